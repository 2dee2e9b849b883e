//! A running server, tried through real sockets: a module per behaviour.

mod subscribing;
mod resume;
mod closing;
mod protocol;
mod latest;
mod http_api;
mod admin_guard;
mod sse;
mod handshake;
mod audiences;
mod library;

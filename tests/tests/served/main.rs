//! A running server, tried through real sockets: a module per behaviour.
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
// Suites that hold in either encoding are part of `protobuf` too.
#![allow(clippy::duplicate_mod)]

/// Starts a server for the suites whose clients can speak either encoding.
fn start(config: &str) -> tidings_tests::harness::TestServer {
    tidings_tests::harness::TestServer::start(config)
}

mod subscribing;
mod resume;
mod cursors;
mod back_pressure;
mod remembered;
mod closing;
mod protocol;
mod requests;
mod protobuf;
mod latest;
mod filters;
mod mjpeg;
mod http_api;
mod answers;
mod admin_guard;
mod sse;
mod handshake;
mod audiences;
mod library;
mod compression;
mod costs;

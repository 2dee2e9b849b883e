//! How it travels: from listeners over worker threads to clients' sockets, and the HTTP API
//! around. Modules in the order in which a connection passes through them:

/// What an operator can set.
pub mod config;
/// What all threads of a server share.
pub mod node;
/// Starting, draining, ending.
pub mod server;
/// Accepting connections.
mod listen;
/// Requests and answers.
mod http;
/// Who clients are, and what they may do.
pub mod auth;
/// Paths that speak a dialect.
mod endpoint;
/// What carries clients' frames.
mod transports;
/// The threads that own clients.
mod worker;
/// What data must look like.
mod schema;
/// Events on their way to the broker, of requests and sources.
mod publishing;
/// What works beside this server, and whether it does.
pub mod services;
/// The connection to NATS.
mod nats;
/// Where events come in from besides publishing.
mod sources;
/// Clients' commands and what answers them.
mod commands;
/// Bytes of events.
mod rendering;
/// Looks of events that clients chose.
mod variants;
/// How events look at each endpoint.
mod wardrobe;
/// Who is connected.
pub mod registry;
/// Who watches what.
mod presence;
/// Which groups they are in.
mod memberships;
/// What clients had that dropped, until they come back.
mod absent;
/// What clients did who have left.
mod departures;
/// How good a connection is.
mod quality;
/// Publishers that wait for consumers.
mod gates;
/// How often addresses connect, and users send.
mod counted;
/// Token buckets.
mod rate;
/// Tokens that restore a client's id.
mod session_token;
/// Questions to the broker.
mod asking;
/// The newest event of some topics.
mod newest;
/// Whether events go through.
mod probe;
/// Taking up a changed configuration.
pub mod reload;
/// What is counted.
pub mod metrics;
/// The process's clocks.
pub mod clock;

pub use node::{Bound, Node};
pub use server::{Parts, Running, StartError, stream_table};

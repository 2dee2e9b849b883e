//! The subprotocol `tidings.v1.proto`: what holds in JSON holds there too, and what it has alone.

mod frames;

#[path = "../audiences.rs"]
mod audiences;
#[path = "../closing.rs"]
mod closing;
#[path = "../costs.rs"]
mod costs;
#[path = "../cursors.rs"]
mod cursors;
#[path = "../filters.rs"]
mod filters;
#[path = "../latest.rs"]
mod latest;
#[path = "../remembered.rs"]
mod remembered;
#[path = "../requests.rs"]
mod requests;
#[path = "../resume.rs"]
mod resume;
#[path = "../subscribing.rs"]
mod subscribing;

use tidings_tests::harness::{Encoding, TestServer};

/// Starts a server whose clients speak Protobuf.
fn start(config: &str) -> TestServer {
    TestServer::speaking(Encoding::Protobuf, config)
}

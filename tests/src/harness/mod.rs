//! What tests of a running server share: starting one, clients of each transport that do exactly
//! what they are told, transcripts, and accounts of what a reader got.
//!
//! Nothing here sleeps for a fixed time and hopes: it waits for a condition, up to a deadline.
// A helper of tests fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

/// A server under test, within this process or as a process of its own.
pub mod server;
/// Servers of others that a test kills, freezes and starts again: NATS and Redis.
pub mod backing;
/// A WebSocket client that sends and reads frames as it is told.
pub mod socket;
/// Frames of RFC 6455, spelled independently of the server's own.
pub mod frame;
/// HTTP requests over a socket of their own.
pub mod http;
/// A reader of server-sent events.
pub mod sse;
/// A reader of images that replace each other.
pub mod images;
/// What is said on the wire, compared with what should be.
pub mod transcript;
/// Events that pour in while a test does something else.
pub mod pour;
/// What a reader got, compared with what a stream holds.
pub mod account;

use std::time::Duration;

pub use account::Account;
pub use backing::{Backing, Feeder};
pub use http::Reply;
pub use images::Images;
pub use pour::Pour;
pub use server::TestServer;
pub use socket::{Encoding, Incoming, Socket};
pub use sse::EventSource;

/// How long anything may take that should happen at once, on a machine that is busy.
pub const SOON: Duration = Duration::from_secs(20);

/// Waits until `condition` holds; panics with `what` where it does not in time.
pub async fn eventually<F>(what: &str, mut condition: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let held = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, held).await.is_ok(), "never came true: {what}");
}

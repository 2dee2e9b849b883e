//! Where events come in from besides publishing: the real program beside real servers of NATS and
//! Redis that are killed, frozen and started again.
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod nats;
mod redis;
mod system;
mod schemas;
mod presence;

use serde_json::Value;
use tidings_tests::harness::{TestServer, eventually};

/// Waits until the server says that it is connected to everything, or is not.
async fn is_degraded(server: &TestServer, degraded: bool) {
    let wanted = if degraded { "degraded" } else { "ok" };
    eventually("the health says whether the remote part answers", || async {
        server.get("/v1/health").await["status"] == wanted
    })
    .await;
    // It delivers in any case.
    assert_eq!(server.request("GET", "/readyz").await.status, 200);
}

/// What the built-in stream keeps.
async fn kept(server: &TestServer) -> Vec<Value> {
    let answer = server.get("/v1/streams/default/events?limit=10000").await;
    answer["events"].as_array().unwrap().clone()
}

/// Waits until the built-in stream keeps so many events, and no more; the events.
async fn kept_events(server: &TestServer, count: usize) -> Vec<Value> {
    eventually("so many events are kept", || async { kept(server).await.len() >= count }).await;
    let events = kept(server).await;
    assert_eq!(events.len(), count, "{events:?}");
    events
}

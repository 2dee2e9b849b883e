//! What a delivery costs in system calls, counted.

use super::start;
use serde_json::{Value, json};

#[tokio::test]
async fn events_that_come_together_leave_each_socket_as_one_write() {
    let server = start("");
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(server.subscriber(&["news"]).await);
    }
    let before = server.metric("socket_writes").await;
    let event = |n: u64| json!({ "topic": "news", "data": { "n": n, "padding": "x".repeat(64) } });
    let events: Value = (0..100).map(event).collect();
    server.post("/v1/publish", &events).await.ok();
    for client in &mut clients {
        for n in 0..100 {
            assert_eq!(client.json_with("event").await["event"]["data"]["n"], n);
        }
    }
    let writes = server.metric("socket_writes").await - before;
    assert_eq!(writes, 20);
}

//! The whole process stands still, as when its machine is suspended.

use std::time::Duration;

use serde_json::json;
use tidings_tests::harness::server::temporary_directory;
use tidings_tests::harness::{Socket, TestServer};

use crate::{alone, rounds, tried};

const CLIENTS: usize = 20;

/// The data of the next so many events.
async fn numbers(socket: &mut Socket, count: usize) -> Vec<u64> {
    let mut found = Vec::new();
    while found.len() < count {
        let message = socket.json_with_any("event").await;
        found.push(message["event"]["data"].as_u64().unwrap());
    }
    found
}

#[tokio::test]
async fn a_server_that_stood_still_goes_on_with_all_its_clients() {
    let _alone = alone().await;
    let seconds = if rounds() > 3 { 30 } else { 2 };
    let directory = temporary_directory();
    let server = TestServer::spawn(&format!(
        "[[endpoint]]\npath = \"/v1/ws\"\nheartbeat = \"500ms\"\n[broker]\ndir = {:?}\n\
         [[stream]]\nname = \"a\"\ntopics = [\"a.>\"]\ndurability = \"fsync\"\n",
        directory.path()
    ))
    .await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(server.subscriber(&["a.>"]).await);
    }
    server.publish_numbers("a.x", 1..=100).await;
    for client in &mut clients {
        assert_eq!(numbers(client, 100).await, (1..=100).collect::<Vec<u64>>());
    }
    let mut publisher = server.connect().await;
    server.signal("STOP");
    for n in 101..=110 {
        publisher.send(&json!({ "id": n, "publish": { "topic": "a.x", "data": n } })).await;
    }
    // The fault itself.
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    server.signal("CONT");
    for n in 101..=110 {
        let answer = publisher.json_with_any("id").await;
        assert_eq!((&answer["id"], answer.get("error")), (&json!(n), None));
    }
    server.publish_numbers("a.x", 111..=120).await;
    for client in &mut clients {
        assert_eq!(numbers(client, 20).await, (101..=120).collect::<Vec<u64>>());
    }
    let outcome =
        format!("for {seconds} s; {CLIENTS} clients stay, nothing is lost or comes twice");
    tried("11 server stands still", 1, &outcome);
}

use serde_json::{Value, json};
use tidings_tests::harness::{Socket, TestServer, eventually};

async fn is_present(server: &TestServer, topic: &str, clients: u64) {
    eventually("so many clients are present", || async {
        server.get(&format!("/v1/presence?topic={topic}")).await
            == json!({ "users": [], "clients": clients })
    })
    .await;
}

#[tokio::test]
async fn who_subscribes_to_a_topic_is_counted_over_all_workers() {
    let server = TestServer::start("");
    let mut clients = Vec::new();
    for topics in [&["room.1"][..], &["room.*", "room.1"], &[">"], &["room.2"], &["room.1.x"], &[]]
    {
        let mut client = server.connect().await;
        if !topics.is_empty() {
            client.subscribe(topics).await;
        }
        clients.push(client);
    }
    for (topic, count) in
        [("room.1", 3), ("room.2", 3), ("room.3", 2), ("room.1.x", 2), ("other", 1), ("%3E", 5)]
    {
        is_present(&server, topic, count).await;
    }
    clients[1].ask("unsubscribe", json!({ "topics": ["room.*"] })).await;
    is_present(&server, "room.2", 2).await;
    clients.truncate(1);
    is_present(&server, "room.1", 1).await;
    assert_eq!(server.request("GET", "/v1/presence").await.error(400), "bad_request");
    assert_eq!(
        server.request("GET", "/v1/presence?topic=a..b").await.error(400),
        "invalid_pattern"
    );
}

/// The next event of joins and leaves.
async fn next(socket: &mut Socket) -> Value {
    let event = socket.json_with("event").await["event"].clone();
    assert_eq!(event["topic"], "$presence.room.1");
    event["data"].clone()
}

#[tokio::test]
async fn joins_and_leaves_are_told_to_whom_it_was_granted() {
    let config = "[auth.roles.anonymous]\nsubscribe = [\">\", \"$presence.room.*\"]\n";
    let server = TestServer::start(config);
    let mut watcher = server.subscriber(&["$presence.room.1"]).await;
    let mut first = server.subscriber(&["room.1"]).await;
    while next(&mut watcher).await["clients"] != 1 {}
    let second = server.subscriber(&["room.*"]).await;
    while next(&mut watcher).await != json!({ "joined": [], "left": [], "clients": 2 }) {}
    drop(second);
    first.ask("unsubscribe", json!({ "topics": ["room.1"] })).await;
    while next(&mut watcher).await["clients"] != 0 {}
    let refused = first.ask_refused("subscribe", json!({ "topics": ["$presence.other"] })).await;
    assert_eq!(refused["code"], "forbidden");
}

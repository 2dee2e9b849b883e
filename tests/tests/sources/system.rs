use serde_json::{Value, json};
use tidings_tests::harness::{Backing, Socket, TestServer, eventually};

use super::kept;

async fn next(socket: &mut Socket) -> Value {
    socket.json_with("event").await["event"].clone()
}

#[tokio::test]
async fn connections_are_counted_at_most_once_a_second_and_when_they_change() {
    let config = "[[source]]\nkind = \"system\"\nroot = \"gesture\"\n";
    let server = TestServer::spawn(config).await;
    let mut watcher = server.subscriber(&["gesture.system"]).await;
    let event = next(&mut watcher).await;
    assert_eq!(event["topic"], "gesture.system");
    let data = &event["data"];
    assert_eq!((&data["event"], &data["count"]), (&json!("connection_count"), &json!(1)));
    assert_eq!(data["message"], "1 client is connected");
    assert!(data["timestamp"].as_u64().unwrap() > 1_700_000_000_000);
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(server.connect().await);
    }
    while next(&mut watcher).await["data"]["count"] != 21 {}
    drop(others);
    while next(&mut watcher).await["data"]["count"] != 1 {}
    // Each says something new, and they keep their distance.
    let events = kept(&server).await;
    let counts: Vec<_> = events.iter().map(|event| event["data"]["count"].as_u64()).collect();
    assert!(counts.windows(2).all(|pair| pair[0] != pair[1]), "{counts:?}");
    let times: Vec<u64> = events.iter().map(|event| event["time"].as_u64().unwrap()).collect();
    assert!(times.windows(2).all(|pair| pair[1] >= pair[0] + 900), "{times:?}");
}

#[tokio::test]
async fn services_that_come_and_go_are_told() {
    let mut nats = Backing::nats().await;
    let config = format!(
        "[nats]\nurl = \"{}\"\n[[source]]\nkind = \"nats\"\nsubjects = [\"a\"]\n\
         [[source]]\nkind = \"system\"\nroot = \"gesture\"\n",
        nats.url()
    );
    let server = TestServer::spawn(&config).await;
    let told = |event: &'static str, times: usize| {
        let server = &server;
        async move {
            eventually("it is told", || async {
                let events = kept(server).await;
                let those = events.iter().filter(|it| it["data"]["event"] == event);
                let those: Vec<_> = those.filter(|it| it["data"]["service"] == "nats").collect();
                assert!(those.iter().all(|it| it["data"]["message"].is_string()));
                assert!(those.iter().all(|it| it["data"]["timestamp"].is_u64()));
                those.len() == times
            })
            .await;
        }
    };
    told("service_started", 1).await;
    nats.kill();
    told("service_stopped", 1).await;
    nats.begin().await;
    told("service_started", 2).await;
    assert_eq!(server.get("/v1/health").await["services"], json!({ "nats": "running" }));
}

use serde_json::{Value, json};
use tidings_tests::harness::{Backing, Feeder, SOON, TestServer, eventually};

use super::{is_degraded, kept, kept_events};

fn source(nats: &Backing, rest: &str) -> String {
    format!("[nats]\nurl = \"{}\"\n[[source]]\nkind = \"nats\"\n{rest}\n", nats.url())
}

#[tokio::test]
async fn what_is_published_to_a_subject_reaches_its_user_and_nobody_else() {
    let nats = Backing::nats().await;
    let rest = "subjects = [\"blob.>\"]\nroot = \"studio\"\nuser = \"/user_id\"";
    let server = TestServer::spawn(&source(&nats, rest)).await;
    is_degraded(&server, false).await;
    let mut anybody = server.subscriber(&[">"]).await;
    let mut feeder = Feeder::connect(&nats).await;
    // Until the subscription is there, which only the server knows, NATS has nobody to give it to.
    for data in [r#"{"user_id":"ann","n":9007199254740993}"#, r#"{"user_id":7}"#] {
        feeder.publish("blob.created", data).await;
    }
    for nobodys in [r#"{"user":"ann"}"#, "ann", "[1", "\u{1}", r#"{"user_id":""}"#] {
        feeder.publish("blob.created", nobodys).await;
    }
    feeder.publish("blob.created", b"\xff\xfe").await;
    feeder.publish("other.subject", r#"{"user_id":"ann"}"#).await;
    feeder.publish("blob.deleted.now", r#"{"user_id":"bob"}"#).await;
    feeder.flush().await;
    let events = kept_events(&server, 3).await;
    let seen: Vec<_> = events.iter().map(|event| (&event["topic"], &event["user"])).collect();
    let (created, deleted) = (json!("studio.blob.created"), json!("studio.blob.deleted.now"));
    let (ann, seven, bob) = (json!("ann"), json!("7"), json!("bob"));
    assert_eq!(seen, [(&created, &ann), (&created, &seven), (&deleted, &bob)]);
    assert_eq!(events[0]["data"]["n"].to_string(), "9007199254740993");
    assert_eq!(server.metric("source_without_user").await, 6);
    assert_eq!(server.metric("source_events").await, 3);
    // What is for everyone comes behind them, and is the first that a client without a user gets.
    server.publish("news", json!(1)).await;
    assert_eq!(anybody.json().await["event"]["topic"], "news");
    assert_eq!(server.log().matches("they name no user").count(), 1, "{}", server.log());
}

#[tokio::test]
async fn data_headers_and_ids_become_those_of_events() {
    let nats = Backing::nats().await;
    let server = TestServer::spawn(&source(&nats, "subjects = [\"a.>\", \"*.b\"]")).await;
    is_degraded(&server, false).await;
    let mut feeder = Feeder::connect(&nats).await;
    feeder.publish("a.b", "{\"z\": 1.0,\n \"a\":\"é\"}").await;
    feeder.publish("a.text", "not JSON").await;
    feeder.publish("a.bytes", b"\xff\xd8\xff").await;
    feeder.publish_with("a.image", "Content-Type: image/png\r\n", "PNG").await;
    for _ in 0..3 {
        let headers = "Nats-Msg-Id: one\r\nTrace: x\r\nTrace: y\r\n";
        feeder.publish_with("a.once", headers, "1").await;
    }
    // Topics that no event can have.
    feeder.publish("a.\u{200b}", "1").await;
    feeder.publish(&format!("a.{}", "x".repeat(300)), "1").await;
    feeder.publish(&format!("a{}", ".x".repeat(20)), "1").await;
    feeder.publish("a.last", "null").await;
    feeder.flush().await;
    let events = kept_events(&server, 6).await;
    let data: Vec<_> =
        events.iter().map(|event| (event["topic"].as_str().unwrap(), &event["data"]));
    let data: Vec<_> = data.collect();
    // A subject that several patterns match comes once.
    assert_eq!(data[0], ("a.b", &json!({ "z": 1.0, "a": "é" })));
    assert_eq!(data[1], ("a.text", &json!("not JSON")));
    let (bytes, image) = (data[2].1, data[3].1);
    assert_eq!(bytes, &json!({ "content_type": "application/octet-stream", "base64": "/9j/" }));
    assert_eq!(image, &json!({ "content_type": "image/png", "base64": "UE5H" }));
    assert_eq!(data[4], ("a.once", &json!(1)));
    assert_eq!(events[4]["headers"], json!({ "Trace": "x, y" }));
    assert_eq!(data[5].0, "a.last");
    assert_eq!(server.metric("source_refused").await, 3);
}

#[tokio::test]
async fn a_server_that_is_away_dies_or_freezes_keeps_nothing_from_working() {
    let mut nats = Backing::absent_nats();
    let server = TestServer::spawn(&source(&nats, "subjects = [\"a.>\"]")).await;
    is_degraded(&server, true).await;
    let reasons = server.get("/v1/health").await["reasons"].to_string();
    assert!(reasons.contains("nats cannot be reached"), "{reasons}");
    server.publish("a.x", json!("without")).await;

    nats.begin().await;
    is_degraded(&server, false).await;
    arrives(&server, &nats, "first").await;
    nats.kill();
    is_degraded(&server, true).await;
    server.publish("a.x", json!("without")).await;
    nats.begin().await;
    is_degraded(&server, false).await;
    arrives(&server, &nats, "second").await;
    nats.freeze();
    is_degraded(&server, true).await;
    assert_eq!(server.metric("nats_connected").await, 0);
    nats.thaw();
    is_degraded(&server, false).await;
    arrives(&server, &nats, "third").await;
    assert_eq!(server.metric("nats_disconnects").await, 2);
}

/// Publishes until an event arrives: a subscription is made again behind the connection.
async fn arrives(server: &TestServer, nats: &Backing, data: &str) {
    let mut feeder = Feeder::connect(nats).await;
    let started = std::time::Instant::now();
    let has = |events: Vec<Value>| events.iter().any(|event| event["data"] == data);
    while !has(kept(server).await) {
        assert!(started.elapsed() < SOON, "{data} does not arrive: {}", server.log());
        feeder.publish("a.x", format!("\"{data}\"")).await;
        feeder.flush().await;
    }
}

#[tokio::test]
async fn the_login_of_the_url_is_used_and_never_shown() {
    let nats = Backing::nats_with("tidings", "canary%41").await;
    // The server takes it as it is; a URL says `%` as `%25`.
    let config = source(&nats, "subjects = [\"a.>\"]").replace("canary%41", "canary%2541");
    let config = format!("{config}[log]\nlevel = \"trace\"\n");
    let server = TestServer::spawn(&config).await;
    is_degraded(&server, false).await;
    let wrong = config.replace("canary%2541", "canary-wrong");
    let refused = TestServer::spawn(&wrong).await;
    eventually("it is refused", || async { refused.log().contains("cannot be reached") }).await;
    for log in [server.log(), refused.log(), server.get("/v1/health").await.to_string()] {
        assert!(!log.contains("canary"), "{log}");
    }
}

#[tokio::test]
async fn a_flood_fills_no_memory_and_what_is_lost_is_counted() {
    const MESSAGES: u64 = 20_000;
    let nats = Backing::nats().await;
    let server = TestServer::spawn(&source(&nats, "subjects = [\"a.>\"]")).await;
    is_degraded(&server, false).await;
    // Nothing is taken: what comes has to wait or to go.
    server.post("/v1/stop", &Value::Null).await.ok();
    let mut feeder = Feeder::connect(&nats).await;
    let data = format!("\"{}\"", "x".repeat(10_000));
    for _ in 0..MESSAGES {
        feeder.publish("a.x", &data).await;
    }
    feeder.flush().await;
    eventually("what finds no room is lost", || async {
        server.metric("source_dropped").await > 0
    })
    .await;
    // 200 MB were sent, and 16 MiB may wait.
    assert!(server.metric("resident_bytes").await < 150 << 20);
    server.post("/v1/start", &Value::Null).await.ok();
    eventually("all is accounted for", || async {
        let lost = server.metric("source_dropped").await;
        let taken = server.metric("source_events").await;
        assert!(taken + lost <= MESSAGES, "{taken} + {lost}");
        taken > 1_000 && taken + lost == MESSAGES
    })
    .await;
    assert_eq!(server.log().matches("the broker is behind").count(), 1);
}

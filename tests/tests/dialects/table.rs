//! Clients of the pool-table vision system.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tidings_tests::harness::server::free_address;
use tidings_tests::harness::{Images, Incoming, Socket, TestServer, eventually, http};
use tidings_tests::vectors;

const PROFILE: &str = include_str!("../../../profiles/table.toml");
const API: &str = "/api/v1/websocket";

/// The profile with its clients at a free address, with its limits.
fn strict() -> (String, SocketAddr) {
    let clients = free_address();
    (PROFILE.replace("127.0.0.1:8000", &clients.to_string()), clients)
}

/// The same with limits that tests do not meet, and heartbeats that they need not wait for.
fn profile() -> (String, SocketAddr) {
    let (text, clients) = strict();
    let text = text.replace("\"10/min\"", "\"10000/min\"").replace("\"100/min\"", "\"10000/min\"");
    (text.replace("heartbeat = \"30s\"", "heartbeat = \"200ms\""), clients)
}

async fn connect(clients: SocketAddr) -> Socket {
    connect_with(clients, "").await
}

async fn connect_with(clients: SocketAddr, headers: &str) -> Socket {
    let mut socket = Socket::open_unwelcomed(clients, "/api/v1/ws", headers).await.unwrap();
    assert_eq!(socket.json().await["type"], "connection");
    socket
}

/// What the client sends is answered by something of that type; what else comes is passed over.
async fn ask(socket: &mut Socket, message: Value, answer: &str) -> Value {
    socket.send(&message).await;
    next(socket, answer).await
}

async fn next(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let message = socket.json().await;
        if message["type"] == kind {
            return message["data"].clone();
        }
    }
}

async fn subscribe(socket: &mut Socket, streams: &[&str], filters: Value) -> Value {
    let data = json!({ "streams": streams, "filters": filters });
    ask(socket, json!({ "type": "subscribe", "data": data }), "subscribed").await
}

/// A JPEG of that size, as far as anybody looks, with more bytes to tell it by.
fn jpeg(width: u16, height: u16, more: &[u8]) -> Vec<u8> {
    let [h, l] = height.to_be_bytes();
    let [wh, wl] = width.to_be_bytes();
    [&[0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, h, l, wh, wl, 3][..], more].concat()
}

async fn publish_frame(server: &TestServer, image: &[u8]) {
    let headers = [("content-type", "image/jpeg")];
    let path = "/v1/publish/table.frame";
    http::send(server.admin, "POST", path, &headers, image).await.ok();
}

#[tokio::test]
async fn transcripts_hold() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    vectors::play_all(&server, clients, "table").await;
}

#[tokio::test]
async fn the_real_program_serves_it() {
    let (text, clients) = profile();
    let server = TestServer::spawn(&text).await;
    let mut socket = connect(clients).await;
    subscribe(&mut socket, &["state"], Value::Null).await;
    server.publish("table.state", json!({ "balls": [] })).await;
    assert_eq!(next(&mut socket, "state").await["balls"], json!([]));
    let health = http::get(clients, &format!("{API}/health/summary")).await.ok();
    assert_eq!((&health["healthy"], &health["active_connections"]), (&json!(true), &json!(1)));
}

#[tokio::test]
async fn limits_are_those_of_the_document() {
    let (text, clients) = strict();
    let _server = TestServer::start(&text);
    let mut sockets = Vec::new();
    let refused = loop {
        // Its other name is counted with it.
        let path = ["/api/v1/ws", "/api/v1/websocket/ws"][sockets.len() % 2];
        match Socket::open_unwelcomed(clients, path, "").await {
            Ok(socket) => sockets.push(socket),
            Err(refused) => break refused,
        }
    };
    // More become possible while they come.
    assert!((10..30).contains(&sockets.len()), "{}", sockets.len());
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("retry-after"), "{refused}");
    let mut socket = sockets.pop().unwrap();
    assert_eq!(socket.json().await["type"], "connection");
    let mut pongs = 0;
    let error = loop {
        socket.send(&json!({ "type": "ping" })).await;
        let message = socket.json().await;
        if message["type"] == "error" {
            break message["data"].clone();
        }
        pongs += 1;
    };
    assert!((100..300).contains(&pongs), "{pongs}");
    assert_eq!(error["code"], "RATE_LIMIT");
    assert!(error["retry_after_ms"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn an_image_comes_as_text_or_as_bytes() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let (mut plain, mut binary) = (connect(clients).await, connect(clients).await);
    subscribe(&mut plain, &["frame"], Value::Null).await;
    subscribe(&mut binary, &["frame", "state"], json!({ "binary": true })).await;
    let image = jpeg(640, 480, b"\n\xff");
    publish_frame(&server, &image).await;
    let data = next(&mut plain, "frame").await;
    assert_eq!((&data["width"], &data["height"]), (&json!(640), &json!(480)));
    assert_eq!((&data["format"], &data["image"]), (&json!("jpeg"), &json!("/9j/wAARCAHgAoADCv8=")));
    let Incoming::Binary(bytes) = binary.next().await else { panic!("no bytes") };
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let envelope: Value = serde_json::from_slice(&bytes[..end]).unwrap();
    assert_eq!(envelope["type"], "frame");
    assert_eq!(envelope["data"]["size"], image.len());
    assert_eq!(bytes[end + 1..], image);
    // What is text stays text.
    server.publish("table.state", json!({ "a": 1 })).await;
    assert_eq!(next(&mut binary, "state").await["a"], 1);
}

#[tokio::test]
async fn only_the_newest_image_comes_to_who_is_slow_and_at_most_30_a_second() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let mut socket = connect(clients).await;
    subscribe(&mut socket, &["frame"], Value::Null).await;
    for width in 1..=300 {
        publish_frame(&server, &jpeg(width, 1, b"")).await;
    }
    let (mut count, mut width) = (0, 0);
    while width < 300 {
        let next = next(&mut socket, "frame").await["width"].as_u64().unwrap();
        assert!(next > width);
        (count, width) = (count + 1, next);
    }
    assert!(count < 300, "every one came");
}

#[tokio::test]
async fn a_page_shows_the_images() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let first = jpeg(2, 2, b"first");
    publish_frame(&server, &first).await;
    let mut images = Images::open_at(clients, &format!("{API}/frame.mjpeg")).await;
    assert_eq!(images.next().await.unwrap(), first);
    let second = jpeg(2, 2, b"second");
    publish_frame(&server, &second).await;
    assert_eq!(images.next().await.unwrap(), second);
    let path = format!("{API}/frame.mjpeg");
    let head = http::send(clients, "HEAD", &path, &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0), "{}", head.head);
    assert!(head.header("content-type").unwrap().starts_with("multipart/"), "{}", head.head);
}

#[tokio::test]
async fn a_rate_of_its_own_skips_what_is_older() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let mut socket = connect(clients).await;
    subscribe(&mut socket, &["state"], json!({ "max_fps": 5 })).await;
    server.publish_numbers("table.state", 1..=200).await;
    let (mut count, mut last) = (0, 0);
    while last < 200 {
        let message = socket.json().await;
        last = message["data"].as_u64().unwrap();
        count += 1;
    }
    assert!(count < 200, "every one came");
}

#[tokio::test]
async fn many_looks_live_beside_each_other_and_too_many_are_told() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let mut sockets = Vec::new();
    for number in 0..8 {
        let mut socket = connect(clients).await;
        let field = format!("f{}", number % 4);
        subscribe(&mut socket, &["state"], json!({ "fields": [field] })).await;
        sockets.push((field, socket));
    }
    let mut plain = connect(clients).await;
    subscribe(&mut plain, &["state"], Value::Null).await;
    let data = json!({ "f0": 0, "f1": 1, "f2": 2, "f3": 3 });
    for _ in 0..2 {
        server.publish("table.state", data.clone()).await;
        for (field, socket) in &mut sockets {
            let told = next(socket, "state").await;
            let names: Vec<&String> = told.as_object().unwrap().keys().collect();
            assert_eq!(names, [&**field, "sequence"]);
        }
        assert_eq!(next(&mut plain, "state").await.as_object().unwrap().len(), 5);
    }
    // A client that changes its mind again and again leaves nothing behind.
    let mut fickle = sockets.pop().unwrap().1;
    for number in 0..300 {
        let field = format!("g{number}");
        subscribe(&mut fickle, &["state"], json!({ "fields": [field] })).await;
    }
    server.publish("table.state", json!({ "g298": 1, "g299": 2 })).await;
    let told = next(&mut fickle, "state").await;
    assert_eq!((told.get("g298"), &told["g299"]), (None, &json!(2)));
}

#[tokio::test]
async fn who_drops_gets_back_its_look_and_what_it_missed() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let mut socket = connect(clients).await;
    let cookie = socket.cookie().unwrap();
    subscribe(&mut socket, &["state", "alert"], json!({ "fields": ["a"] })).await;
    server.publish("table.state", json!({ "a": 1, "b": 1 })).await;
    let told = next(&mut socket, "state").await;
    assert_eq!((&told["a"], told.get("b")), (&json!(1), None));
    drop(socket);
    server.has_remembered(1).await;
    server.publish("table.state", json!({ "a": 2, "b": 2 })).await;
    server.publish("table.alert", json!({ "a": 3, "b": 3 })).await;
    let mut socket = connect_with(clients, &format!("Cookie: {cookie}\r\n")).await;
    let mut seen = (false, false);
    while seen != (true, true) {
        let told = socket.json().await;
        assert_eq!(told["data"].get("b"), None, "{told}");
        seen.0 |= told["data"]["a"] == 2;
        seen.1 |= told["data"]["a"] == 3;
    }
    let status = ask(&mut socket, json!({ "type": "get_status" }), "status").await;
    assert_eq!(status["subscriptions"], json!(["state", "alert"]));
}

#[tokio::test]
async fn an_alert_overtakes_images() {
    let (text, clients) = profile();
    let _server = TestServer::start(&text);
    let mut socket = connect(clients).await;
    subscribe(&mut socket, &["frame", "alert"], Value::Null).await;
    let path = format!("{API}/broadcast/alert?level=warning&message=Test%20it&code=TEST");
    let reply = http::post(clients, &path, &json!({})).await.ok();
    assert!(reply["message"].is_string() && reply["timestamp"].is_string(), "{reply}");
    let alert = next(&mut socket, "alert").await;
    let sequence = &reply["sequence"];
    let expected = json!({
        "level": "warning", "message": "Test it", "code": "TEST", "details": {},
        "sequence": sequence,
    });
    assert_eq!(alert, expected);
    let path = format!("{API}/broadcast/alert");
    assert_eq!(http::post(clients, &path, &json!({})).await.error(400), "bad_request");
    let path = format!("{API}/broadcast/alert?message=m&level=loud");
    assert_eq!(http::post(clients, &path, &json!({})).await.error(400), "bad_request");
}

#[tokio::test]
async fn figures_are_those_of_the_clients() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let (mut one, mut two) = (connect(clients).await, connect(clients).await);
    subscribe(&mut one, &["state", "frame"], Value::Null).await;
    subscribe(&mut two, &["state"], Value::Null).await;
    server.publish("table.state", json!({})).await;
    next(&mut one, "state").await;
    next(&mut two, "state").await;
    publish_frame(&server, &jpeg(1, 1, b"")).await;
    next(&mut one, "frame").await;
    // A ping of the server was answered.
    let metrics = loop {
        let metrics = http::get(clients, &format!("{API}/metrics")).await.ok();
        if metrics["connection_stats"]["latency_ms"]["avg"].is_number() {
            break metrics;
        }
        // Nothing comes but pings, which are answered on the way.
        two.next_within(Duration::from_millis(20)).await;
    };
    let stats = &metrics["connection_stats"];
    assert_eq!((&stats["active_connections"], &stats["total_connections"]), (&json!(2), &json!(2)));
    assert_eq!((&stats["messages_sent"], &stats["messages_received"]), (&json!(3), &json!(2)));
    assert_eq!(stats["stability_score"], 1.0);
    assert_eq!(metrics["broadcast_stats"]["streams"]["state"]["subscribers"], 2);
    assert_eq!(metrics["frame_metrics"]["kept_frames"], 1);
    assert_eq!(metrics["frame_metrics"]["subscribers"], 1);
    assert!(metrics["timestamp"].is_string());
    let health = http::get(clients, &format!("{API}/health")).await.ok();
    let levels = ["EXCELLENT", "GOOD", "FAIR", "POOR", "CRITICAL"];
    assert!(levels.contains(&health["system_health"]["level"].as_str().unwrap()), "{health}");
    assert_eq!(health["clients"].as_array().unwrap().len(), 2);
    assert_eq!(health["streams"]["frame"]["subscribers"], 1);
    // Those who have left still count.
    drop(one);
    eventually("its end is counted", async || {
        let metrics = http::get(clients, &format!("{API}/metrics")).await.ok();
        metrics["connection_stats"]["disconnections"] == 1
    })
    .await;
    let metrics = http::get(clients, &format!("{API}/metrics")).await.ok();
    let stats = &metrics["connection_stats"];
    assert_eq!((&stats["active_connections"], &stats["total_connections"]), (&json!(1), &json!(2)));
    assert_eq!(stats["messages_sent"], 3);
}

#[tokio::test]
async fn an_operator_looks_at_connections_and_changes_them() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let mut socket = connect(clients).await;
    let status = ask(&mut socket, json!({ "type": "get_status" }), "status").await;
    let id = status["client_id"].as_str().unwrap();
    let listed = http::get(clients, &format!("{API}/connections")).await.ok();
    assert_eq!((&listed["total"], &listed["connections"][0]["client_id"]), (&json!(1), &json!(id)));
    let path = format!("{API}/connections/{id}");
    let body = json!({ "streams": ["state", "nope"] });
    let done = http::post(clients, &format!("{path}/subscribe"), &body).await.ok();
    assert_eq!((&done["streams"], &done["rejected"]), (&json!(["state"]), &json!(["nope"])));
    assert_eq!(next(&mut socket, "subscribed").await["all_subscriptions"], json!(["state"]));
    server.publish("table.state", json!({ "a": 1 })).await;
    assert_eq!(next(&mut socket, "state").await["a"], 1);
    assert_eq!(http::get(clients, &path).await.ok()["subscriptions"], json!(["state"]));
    let named = format!("{path}/unsubscribe?streams=state");
    let done = http::post(clients, &named, &json!({})).await;
    assert_eq!(done.error(400), "bad_request");
    let body = json!({ "streams": ["state"] });
    let done = http::post(clients, &format!("{path}/unsubscribe"), &body).await.ok();
    assert_eq!(done["all_subscriptions"], json!([]));
    let done = http::post(clients, &format!("{path}/disconnect"), &json!({})).await.ok();
    assert_eq!(done["client_id"], id);
    assert_eq!(socket.close_code().await, 4403);
    let unknown = format!("{API}/connections/{}", "0".repeat(32));
    assert_eq!(http::get(clients, &unknown).await.error(404), "not_found");
}

#[tokio::test]
async fn delivery_stops_and_starts() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let mut socket = connect(clients).await;
    subscribe(&mut socket, &["state"], Value::Null).await;
    let stopped = http::post(clients, &format!("{API}/system/stop"), &json!({})).await.ok();
    assert!(stopped["message"].is_string() && stopped["timestamp"].is_string(), "{stopped}");
    let summary = http::get(clients, &format!("{API}/health/summary")).await.ok();
    assert_eq!((&summary["running"], &summary["level"]), (&json!(false), &json!("CRITICAL")));
    let body = json!({ "topic": "table.state", "data": {} });
    assert_eq!(http::post(server.admin, "/v1/publish", &body).await.error(503), "draining");
    http::post(clients, &format!("{API}/system/start"), &json!({})).await.ok();
    server.publish("table.state", json!({ "a": 1 })).await;
    assert_eq!(next(&mut socket, "state").await["a"], 1);
}

#[tokio::test]
async fn management_is_not_for_pages_of_others() {
    let (text, clients) = profile();
    let _server = TestServer::start(&text);
    for (method, path) in [
        ("POST", "system/stop"),
        ("POST", "system/start"),
        ("GET", "connections"),
        ("POST", "broadcast/alert?message=m"),
    ] {
        let path = format!("{API}/{path}");
        let headers = [("origin", "http://evil.example")];
        let reply = http::send(clients, method, &path, &headers, b"").await;
        assert_eq!(reply.error(403), "forbidden", "{path}");
        assert!(reply.json()["timestamp"].is_string(), "{path}");
    }
    // Whether all is well is no secret.
    let headers = [("origin", "http://evil.example")];
    http::send(clients, "GET", &format!("{API}/health"), &headers, b"").await.ok();
}

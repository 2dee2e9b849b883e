//! Frames: who gets which, and what is told to those who send wrong ones.

use serde_json::{Value, json};
use tidings_tests::harness::frame::{self, masked};
use tidings_tests::harness::http;
use tidings_tests::harness::socket::request;
use tidings_tests::harness::{Encoding, Incoming, Socket, TestServer};
use tidings_tests::protobuf::{client_message, push_bytes, push_varint};
use tokio::net::TcpStream;

use super::start;

/// The subprotocol that is agreed with who offers these, if any.
async fn agreed(server: &TestServer, offers: &str) -> Option<String> {
    let request = request("/v1/ws", &format!("Sec-WebSocket-Protocol: {offers}\r\n"));
    let reply = http::exchange(server.public, request.as_bytes()).await;
    assert_eq!(reply.status, 101, "{offers}");
    reply.header("sec-websocket-protocol").map(str::to_owned)
}

#[tokio::test]
async fn the_first_that_the_server_knows_in_the_clients_order_is_spoken() {
    let server = start("");
    for (offers, expected) in [
        ("tidings.v1.proto", "tidings.v1.proto"),
        ("tidings.v1.json", "tidings.v1.json"),
        ("tidings.v1.proto, tidings.v1.json", "tidings.v1.proto"),
        ("tidings.v1.json, tidings.v1.proto", "tidings.v1.json"),
        ("tidings.v2.proto, tidings.v1.proto", "tidings.v1.proto"),
    ] {
        assert_eq!(agreed(&server, offers).await.as_deref(), Some(expected), "{offers}");
    }
    let wrong = request("/v1/ws", "Sec-WebSocket-Protocol: tidings.v2.proto\r\n");
    let reply = http::exchange(server.public, wrong.as_bytes()).await;
    assert_eq!(reply.error(400), "bad_request");
}

#[tokio::test]
async fn both_are_spoken_at_one_endpoint_and_say_the_same() {
    let server = start("");
    let mut protobuf = server.subscriber(&["t"]).await;
    let mut json = Socket::open(server.public).await;
    json.subscribe(&["t"]).await;
    for data in [json!({ "a": [1.5, "é"] }), json!(null), json!("text")] {
        server.publish("t", data.clone()).await;
        let event = protobuf.json().await;
        assert_eq!(event["event"]["data"], data);
        assert_eq!(json.json().await, event);
    }
    // From one to the other.
    let body = json!({ "topic": "t", "data": [1], "headers": { "h": "v", "": "\"" } });
    protobuf.send(&json!({ "publish": body })).await;
    let event = protobuf.json().await;
    assert_eq!(event["event"]["headers"], json!({ "h": "v", "": "\"" }));
    assert_eq!(json.json().await, event);
    json.send(&json!({ "publish": body })).await;
    let event = protobuf.json().await;
    assert_eq!(event["event"]["data"], json!([1]));
    assert_eq!(json.json().await, event);
    let publish = json!({ "topic": "t", "content_type": "a/b" });
    protobuf.send_publish(&json!({ "publish": publish }), b"\x00\n\xff").await;
    let Incoming::Binary(frame) = protobuf.next().await else { panic!("no bytes") };
    assert!(frame.ends_with(b"}}\n\x00\n\xff"));
    let Incoming::Binary(other) = json.next().await else { panic!("no bytes") };
    let line = |frame: &[u8]| {
        let line = frame.split(|byte| *byte == b'\n').next().unwrap();
        serde_json::from_slice::<Value>(line).unwrap()
    };
    assert_eq!(line(&frame), line(&other));
}

#[tokio::test]
async fn an_event_is_rendered_once_for_each_encoding() {
    let server = start("[server]\nworkers = 1\n");
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(server.subscriber(&["t"]).await);
        let mut json = Socket::open(server.public).await;
        json.subscribe(&["t"]).await;
        sockets.push(json);
    }
    let before = server.metric("renderings").await;
    server.publish("t", json!(1)).await;
    for socket in &mut sockets {
        assert_eq!(socket.json_with("event").await["event"]["data"], 1);
    }
    assert_eq!(server.metric("renderings").await - before, 2);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_bad_request_and_the_client_stays() {
    let server = start("");
    let mut socket = server.subscriber(&["steady"]).await;
    let publish = |data: &[u8]| {
        let (mut body, mut out) = (Vec::new(), Vec::new());
        push_bytes(1, b"steady", &mut body);
        push_bytes(2, data, &mut body);
        push_bytes(5, &body, &mut out);
        out
    };
    let subscribe_and_ping = b"\x1a\x00\x3a\x00".to_vec();
    for wrong in [
        Vec::new(),
        b"{\"ping\":{}}".to_vec(),
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"\x3a".to_vec(),
        b"\x3a\xff\xff\xff\xff\x0f".to_vec(),
        b"\x3a\x01\xff".to_vec(),
        b"\x38\x01".to_vec(),
        subscribe_and_ping,
        publish(b""),
        publish(b"{"),
        publish(b"1 2"),
        publish(b"\xff"),
        publish("[".repeat(40).as_bytes()),
    ] {
        socket.send_binary(&wrong).await;
        let answer = socket.json().await;
        assert_eq!(answer["error"]["code"], "bad_request", "{wrong:x?} brings {answer}");
    }
    socket.send_text(r#"{"id":1,"ping":{}}"#).await;
    let answer = socket.json().await;
    assert_eq!(answer["error"]["code"], "bad_request", "{answer}");
    server.publish("steady", json!(1)).await;
    assert_eq!(socket.json().await["event"]["data"], 1);
}

#[tokio::test]
async fn fields_that_are_not_known_are_passed_over() {
    let server = start("");
    let mut socket = server.connect().await;
    let mut message = client_message(&json!({ "id": 5, "subscribe": { "topics": ["t"] } }));
    push_bytes(500, b"news", &mut message);
    push_varint(501 << 3, &mut message);
    push_varint(u64::MAX, &mut message);
    push_varint(502 << 3 | 1, &mut message);
    message.extend_from_slice(&[0; 8]);
    push_varint(503 << 3 | 5, &mut message);
    message.extend_from_slice(&[0; 4]);
    socket.send_binary(&message).await;
    let answer = socket.json().await;
    assert_eq!(answer["ok"]["topics"], json!(["t"]), "{answer}");
}

#[tokio::test]
async fn a_position_at_the_beginning_leaves_its_seq_out() {
    let server = start("");
    server.publish_numbers("t", 1..=3).await;
    let epoch = server.get("/v1/streams/default").await["epoch"].clone();
    let mut socket = server.connect().await;
    // No `after`, as Protobuf leaves out what is 0.
    let positions = json!([{ "stream": "default", "epoch": epoch }]);
    let body = json!({ "topics": ["t"], "from": { "positions": positions } });
    socket.ask("subscribe", body).await;
    for seq in 1..=3 {
        assert_eq!(socket.json().await["event"]["seq"], seq);
    }
    // An empty list is a list: every stream from its first kept event.
    let mut other = server.connect().await;
    other.ask("subscribe", json!({ "topics": ["t"], "from": { "positions": [] } })).await;
    assert_eq!(other.json().await["event"]["seq"], 1);
}

#[tokio::test]
async fn a_message_in_parts_is_whole() {
    let server = start("");
    let stream = TcpStream::connect(server.public).await.unwrap();
    let mut socket = Socket::speaking(Encoding::Protobuf, stream, "/v1/ws").await;
    let message = client_message(&json!({ "id": 1, "ping": {} }));
    let (head, tail) = message.split_at(1);
    socket.send_raw(&frame::masked_with(frame::BINARY, head)).await;
    socket.send_raw(&masked(frame::CONTINUATION, tail)).await;
    assert_eq!(socket.json().await["id"], 1);
}

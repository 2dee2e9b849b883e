//! Clients of the speech-to-text server.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tidings_tests::harness::frame::{self, masked};
use tidings_tests::harness::server::free_address;
use tidings_tests::harness::{Incoming, Socket, TestServer, http};
use tidings_tests::vectors;

const PROFILE: &str = include_str!("../../../profiles/speech.toml");

/// The profile with its clients at a free address.
fn profile() -> (String, SocketAddr) {
    let clients = free_address();
    let text = PROFILE.replace("127.0.0.1:8080", &clients.to_string());
    // Handlers connect beside the clients, and need no token here.
    let roles = "[auth.roles.anonymous]\nsubscribe = [\">\"]\nhandle = [\">\"]\n";
    (text + roles, clients)
}

async fn connect(clients: SocketAddr, headers: &str) -> Socket {
    Socket::open_unwelcomed(clients, "/events", headers).await.unwrap()
}

/// Everything that was sent so far has been looked at.
async fn settle(socket: &mut Socket) {
    socket.send_text("{").await;
    assert_eq!(socket.json().await["code"], "invalid_json");
}

#[tokio::test]
async fn transcripts_hold() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    vectors::play_all(&server, clients, "speech").await;
}

#[tokio::test]
async fn the_real_program_serves_it() {
    let (text, clients) = profile();
    let text = text.replace("status = \"online\"", "status = \"listening\"");
    let server = TestServer::spawn(&text).await;
    let mut socket = connect(clients, "Origin: null\r\n").await;
    settle(&mut socket).await;
    server.publish("speech.transcription", json!({ "text": "hello" })).await;
    assert_eq!(socket.json().await, json!({ "event": "transcription", "text": "hello" }));
    let status = http::get(clients, "/system/status").await.ok();
    assert_eq!(
        (&status["status"], &status["active_connections"]),
        (&json!("listening"), &json!(1))
    );
}

#[tokio::test]
async fn pages_of_any_origin_may_read_the_status() {
    let (text, clients) = profile();
    let _server = TestServer::start(&text);
    for origin in ["null", "http://example.com"] {
        let headers = [("Origin", origin)];
        let reply = http::send(clients, "GET", "/system/status", &headers, b"").await;
        reply.ok();
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "authorization"),
        ];
        let reply = http::send(clients, "OPTIONS", "/system/status", &headers, b"").await;
        assert_eq!(reply.status, 204);
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert_eq!(reply.header("access-control-allow-headers"), Some("authorization"));
        assert!(reply.header("access-control-allow-methods").unwrap().contains("GET"));
        // What is not the system's is not theirs to read.
        let reply = http::send(clients, "GET", "/healthz", &headers[..1], b"").await;
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn only_pages_of_named_origins_may_read_and_listen() {
    let (text, clients) = profile();
    let named = "[\"https://good.example\"]";
    let text = text.replace("origins = [\"*\"]", &format!("origins = {named}"));
    let text = text.replace("cors = [\"*\"]", &format!("cors = {named}"));
    let _server = TestServer::start(&text);
    let with = |origin: &str| format!("Origin: {origin}\r\n");
    assert!(
        Socket::open_unwelcomed(clients, "/events", &with("https://good.example")).await.is_ok()
    );
    let refused = Socket::open_unwelcomed(clients, "/events", &with("null")).await;
    assert!(refused.err().unwrap().starts_with("HTTP/1.1 403 "));
    let read = async |origin| {
        http::send(clients, "GET", "/system/status", &[("Origin", origin)], b"").await
    };
    let reply = read("https://good.example").await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://good.example"));
    assert_eq!(reply.header("vary"), Some("Origin"));
    assert_eq!(read("https://evil.example").await.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_message_that_is_too_large_closes() {
    let (text, clients) = profile();
    let _server = TestServer::start(&text);
    let mut socket = connect(clients, "").await;
    let large = masked(frame::BINARY, &vec![0; (1 << 20) + 1]);
    socket.try_send_raw(&large).await;
    assert_eq!(socket.close_code().await, 1009);
}

/// Audio in binary events of the native protocol: the first line, and the bytes.
fn chunk(incoming: Incoming) -> (Value, Vec<u8>) {
    let Incoming::Binary(frame) = incoming else { panic!("no chunk but {incoming:?}") };
    let end = frame.iter().position(|byte| *byte == b'\n').unwrap();
    let line: Value = serde_json::from_slice(&frame[..end]).unwrap();
    (line["event"].clone(), frame[end + 1..].to_vec())
}

#[tokio::test]
async fn audio_waits_for_the_recognizer() {
    const CHUNK_BYTES: usize = 16 << 10;
    const CHUNKS: u64 = 40;
    // The bound counts topics and an overhead, too; the event that passes it is taken.
    const AHEAD_MAX: u64 = 5;
    let (text, clients) = profile();
    let text = text.replace("bytes = \"1MiB\"", "bytes = \"64KiB\"");
    let server = TestServer::start(&text);
    let mut recognizer = server.connect().await;
    recognizer.ask("hello", json!({ "device": "recognizer" })).await;
    let audio = json!({ "topics": ["speech.audio.>"], "from": "stored" });
    recognizer.ask("subscribe", audio).await;
    let epoch = server.get("/v1/streams/speech-audio").await["epoch"].clone();

    let mut speaker = connect(clients, "").await;
    let sending = tokio::spawn(async move {
        let start =
            json!({ "command": "audio_start", "data": { "format": "pcm16", "rate": 16000 } });
        speaker.send(&start).await;
        for number in 0..CHUNKS {
            speaker.send_binary(&vec![number as u8; CHUNK_BYTES]).await;
        }
        speaker.send(&json!({ "command": "audio_end" })).await;
        speaker
    });
    let start = recognizer.json_with("event").await;
    assert_eq!(start["event"]["data"]["rate"], 16000);
    for number in 0..CHUNKS {
        let incoming = loop {
            match recognizer.next().await {
                // Marks and answers.
                Incoming::Json(_) => {}
                other => break other,
            }
        };
        let (event, bytes) = chunk(incoming);
        assert_eq!(bytes, vec![number as u8; CHUNK_BYTES]);
        assert_eq!(event["content_type"], "audio/pcm16;rate=16000");
        assert_eq!(event["headers"], json!({ "format": "pcm16", "rate": "16000" }));
        let stream = server.get("/v1/streams/speech-audio").await;
        let (last, seq) = (stream["last"].as_u64().unwrap(), event["seq"].as_u64().unwrap());
        assert!(last < seq + AHEAD_MAX, "{last} while {seq} is not acknowledged");
        let ack = json!([{ "stream": "speech-audio", "epoch": epoch, "seq": seq }]);
        recognizer.send(&json!({ "ack": ack })).await;
    }
    let mut speaker = sending.await.unwrap();
    for command in ["audio_start", "audio_end"] {
        let answer = speaker.json().await;
        assert_eq!(
            (&answer["command"], &answer["ok"]),
            (&json!(command), &json!(true)),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_static_token_may_be_asked_for() {
    let (text, clients) = profile();
    let text = text.replace("auth = \"optional\"", "auth = \"required\"");
    let tokens = "[[auth.tokens]]\nid = \"listeners\"\nsecret_env = \"SPEECH_TEST_TOKEN\"\n";
    let secret = [("SPEECH_TEST_TOKEN", "a-secret-of-32-bytes-or-more-abcdef")];
    let server = TestServer::spawn_with_environment(&format!("{text}\n{tokens}"), &secret).await;
    let refused = Socket::open_unwelcomed(clients, "/events", "").await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let wrong = "Authorization: Bearer something-else-something-else\r\n";
    let refused = Socket::open_unwelcomed(clients, "/events", wrong).await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let header = format!("Authorization: Bearer {}\r\n", secret[0].1);
    let mut by_header = connect(clients, &header).await;
    let path = format!("/events?token={}", secret[0].1);
    let mut by_query = Socket::open_unwelcomed(clients, &path, "").await.unwrap();
    settle(&mut by_header).await;
    settle(&mut by_query).await;
    server.publish("speech.a", json!({ "n": 1 })).await;
    for socket in [&mut by_header, &mut by_query] {
        assert_eq!(socket.json().await, json!({ "event": "a", "n": 1 }));
    }
}

#[tokio::test]
async fn events_come_in_batches_where_that_is_asked_for() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let path = "/events?batch=50ms";
    let mut socket = Socket::open_unwelcomed(clients, path, "").await.unwrap();
    settle(&mut socket).await;
    server.publish_numbers("speech.n", 0..100).await;
    let mut events = Vec::new();
    while events.len() < 100 {
        match socket.json().await {
            Value::Array(batch) => events.extend(batch),
            other => panic!("no batch but {other}"),
        }
    }
    assert_eq!(events[99], json!({ "event": "n", "data": 99 }));
    let refused = Socket::open_unwelcomed(clients, "/events?batch=soon", "").await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
}

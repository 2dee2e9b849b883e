//! Clients of the gesture and AI backend.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tidings_tests::harness::frame::{self, masked};
use tidings_tests::harness::server::free_address;
use tidings_tests::harness::{Socket, TestServer, http};
use tidings_tests::vectors;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const PROFILE: &str = include_str!("../../../profiles/gesture.toml");

/// The profile with its clients at a free address.
fn profile() -> (String, SocketAddr) {
    let clients = free_address();
    let text = PROFILE.replace("127.0.0.1:3001", &clients.to_string());
    // Handlers connect beside the clients, and need no token here.
    let roles = "[auth.roles.anonymous]\nsubscribe = [\">\"]\nhandle = [\">\"]\n";
    (text + roles, clients)
}

async fn connect(clients: SocketAddr) -> Socket {
    let mut socket = Socket::open_unwelcomed(clients, "/", "").await.unwrap();
    assert_eq!(socket.json().await["type"], "connection");
    socket
}

async fn next(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let message = socket.json().await;
        if message["type"] == kind {
            return message;
        }
    }
}

async fn subscribe(socket: &mut Socket, channels: &[&str]) {
    socket.send(&json!({ "type": "subscribe", "channels": channels })).await;
    next(socket, "subscribed").await;
}

#[tokio::test]
async fn transcripts_hold() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    vectors::play_all(&server, clients, "gesture").await;
}

#[tokio::test]
async fn the_real_program_serves_it() {
    let (text, clients) = profile();
    let server = TestServer::spawn(&text).await;
    let mut socket = connect(clients).await;
    server.publish("gesture.gesture", json!({ "type": "wave" })).await;
    assert_eq!(next(&mut socket, "gesture").await["data"], json!({ "type": "wave" }));
    // A plain request for the same path is answered with a page.
    let page = http::get(clients, "/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"), "{}", page.head);
}

#[tokio::test]
async fn who_comes_and_goes_is_told_to_those_who_want_it() {
    let (text, clients) = profile();
    let _server = TestServer::start(&text);
    let mut socket = connect(clients).await;
    subscribe(&mut socket, &["system"]).await;
    let other = connect(clients).await;
    let counted = async |socket: &mut Socket, count: u64| loop {
        let told = next(socket, "system").await["data"].clone();
        if told["event"] == "connection_count" && told["count"] == count {
            assert!(told["timestamp"].is_u64(), "{told}");
            return;
        }
    };
    counted(&mut socket, 2).await;
    drop(other);
    counted(&mut socket, 1).await;
}

#[tokio::test]
async fn health_and_figures_are_told() {
    let (text, clients) = profile();
    let _server = TestServer::start(&text);
    let mut socket = connect(clients).await;
    socket.send_text(r#"{"type":"ping"}"#).await;
    next(&mut socket, "pong").await;
    let health = http::get(clients, "/health").await.ok();
    assert_eq!(
        (&health["status"], &health["services"]["events"]),
        (&json!("healthy"), &json!("up"))
    );
    assert!(health["uptime"].is_number() && health["timestamp"].is_u64(), "{health}");
    let told = http::get(clients, "/api/metrics/websocket").await.ok();
    let metrics = &told["metrics"];
    assert_eq!(metrics["activeConnections"], 1, "{told}");
    assert!(metrics["totalMessages"].as_u64().unwrap() >= 1, "{told}");
    for name in ["connectedClients", "messagesPerSecond", "errorRate"] {
        assert!(metrics[name].is_number(), "{name} in {told}");
    }
}

/// A service that answers every request with the same; what it was asked comes back.
async fn service(
    status: &'static str,
    answer: Value,
) -> (SocketAddr, tokio::task::JoinHandle<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        let body = loop {
            assert!(stream.read_buf(&mut read).await.unwrap() > 0, "the request ends early");
            let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            if let Ok(body) = serde_json::from_slice::<Value>(&read[end + 4..]) {
                break body;
            }
        };
        let answer = answer.to_string();
        let length = answer.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
        body
    });
    (address, serving)
}

/// The profile whose questions go to a service of a form of its own.
fn asking(address: SocketAddr, timeout: &str) -> (String, SocketAddr) {
    let (text, clients) = profile();
    let to = format!(
        "to = \"http://{address}/api/generate\"\nbody = '{{\"model\":\"llama3.2:latest\",\"prompt\":\
         \"${{/query}}\",\"system\":\"${{/context}}\",\"stream\":false}}'"
    );
    let text = text.replace("to = \"handler\"", &to);
    (text.replace("timeout = \"60s\"", &format!("timeout = \"{timeout}\"")), clients)
}

#[tokio::test]
async fn a_service_with_a_form_of_its_own_answers_questions() {
    let answer = json!({
        "model": "llama3.2:latest", "response": "because", "done": true,
        "total_duration": 1_234_000_000_u64, "eval_count": 45,
    });
    let (address, serving) = service("200 OK", answer).await;
    let (text, clients) = asking(address, "20s");
    let _server = TestServer::start(&text);
    let mut socket = connect(clients).await;
    let question = json!({ "query": "why?" });
    let told = http::post(clients, "/api/ai/infer", &question).await.ok();
    let metadata = json!({ "model": "llama3.2:latest", "inferenceTime": 1234, "tokenCount": 45 });
    assert_eq!(told, json!({ "text": "because", "metadata": metadata }));
    let asked = serving.await.unwrap();
    let expected = json!({ "model": "llama3.2:latest", "prompt": "why?", "stream": false });
    assert_eq!(asked, expected);
    let event = next(&mut socket, "ai_response").await["data"].clone();
    assert_eq!((&event["query"], &event["response"]), (&json!("why?"), &json!("because")));
    assert_eq!(event["metadata"], metadata);
}

#[tokio::test]
async fn a_service_that_fails_is_told_to_everyone() {
    let (address, _serving) = service("500 Internal Server Error", json!({ "error": "oom" })).await;
    let (text, clients) = asking(address, "20s");
    let _server = TestServer::start(&text);
    let mut socket = connect(clients).await;
    let reply = http::post(clients, "/api/ai/infer", &json!({ "query": "why?" })).await;
    assert_eq!((reply.status, &reply.json()["code"]), (502, &json!("AI_ERROR")));
    assert_eq!(next(&mut socket, "error").await["data"]["code"], "AI_ERROR");
}

#[tokio::test]
async fn a_service_that_does_not_answer_in_time_is_told() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (text, clients) = asking(silent.local_addr().unwrap(), "100ms");
    let _server = TestServer::start(&text);
    let mut socket = connect(clients).await;
    let reply = http::post(clients, "/api/ai/infer", &json!({ "query": "why?" })).await;
    assert_eq!((reply.status, &reply.json()["code"]), (504, &json!("AI_ERROR")));
    assert_eq!(next(&mut socket, "error").await["data"]["code"], "AI_ERROR");
}

#[tokio::test]
async fn input_is_taken_from_pages_and_clients_that_may() {
    let (text, clients) = profile();
    let text = text.replace("origins = [\"loopback\"]", "origins = [\"https://good.example\"]");
    let _server = TestServer::start(&text);
    let gesture = json!({ "type": "wave", "position": { "x": 0, "y": 0 } }).to_string();
    let path = "/api/gesture/process";
    let send = async |origin| {
        http::send(clients, "POST", path, &[("Origin", origin)], gesture.as_bytes()).await.status
    };
    assert_eq!(send("https://good.example").await, 200);
    assert_eq!(send("https://evil.example").await, 403);
    let not_allowed = text.replace("publish = [\"gesture.gesture\"]", "publish = []");
    let (not_allowed, moved) = (not_allowed.replace(&clients.to_string(), "MOVED"), free_address());
    let text = not_allowed.replace("MOVED", &moved.to_string());
    let _server = TestServer::start(&text);
    let refused = http::send(moved, "POST", path, &[], gesture.as_bytes()).await;
    assert_eq!(refused.error(403), "forbidden");
}

#[tokio::test]
async fn messages_over_http_are_bounded_as_those_of_clients() {
    let (text, clients) = profile();
    let bounds = "limits = { message_bytes = \"1KiB\", messages = \"3/min\" }";
    let _server = TestServer::start(&text.replace("limits = { message_bytes = \"1MiB\" }", bounds));
    let gesture = json!({ "type": "wave", "position": { "x": 0, "y": 0 } });
    let large = json!({ "type": "wave".repeat(300), "position": { "x": 0, "y": 0 } });
    let send = async |gesture| http::post(clients, "/api/gesture/process", gesture).await;
    assert_eq!(send(&large).await.error(413), "too_large");
    send(&gesture).await.ok();
    send(&gesture).await.ok();
    let refused = send(&gesture).await;
    assert_eq!(refused.error(429), "rate_limited");
    assert!(refused.header("retry-after").is_some());
}

#[tokio::test]
async fn pages_of_this_machine_may_connect_and_those_of_the_web_may_not() {
    let (text, clients) = profile();
    let _server = TestServer::start(&text);
    let open = async |origin: &str| {
        Socket::open_unwelcomed(clients, "/", &format!("Origin: {origin}\r\n")).await
    };
    for origin in
        ["http://localhost:5173", "http://127.0.0.1:3000", "https://[::1]", "http://127.8.9.1"]
    {
        assert!(open(origin).await.is_ok(), "{origin}");
        let headers = [("origin", origin)];
        let health = http::send(clients, "GET", "/health", &headers, b"").await;
        assert_eq!(health.header("access-control-allow-origin"), Some(origin));
    }
    for origin in [
        "null",
        "http://evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://128.0.0.1",
        "http://user@localhost",
    ] {
        let refused = open(origin).await.err().unwrap();
        assert!(refused.starts_with("HTTP/1.1 403 "), "{origin}: {refused}");
        let headers = [("origin", origin)];
        let health = http::send(clients, "GET", "/health", &headers, b"").await;
        assert_eq!(health.header("access-control-allow-origin"), None, "{origin}");
    }
}

#[tokio::test]
async fn a_browser_gets_back_one_of_the_protocols_that_it_offers() {
    let (text, clients) = profile();
    let _server = TestServer::start(&text);
    for (offered, echoed) in
        [("app, bearer.x.y.z", "app"), ("bearer.x.y.z, app", "app"), ("x.y.z", "x.y.z")]
    {
        let header = format!("Sec-WebSocket-Protocol: {offered}\r\n");
        let socket = Socket::open_unwelcomed(clients, "/", &header).await.unwrap();
        let head = socket.head.to_ascii_lowercase();
        assert!(head.contains(&format!("sec-websocket-protocol: {echoed}\r\n")), "{head}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_closes() {
    let (text, clients) = profile();
    let _server = TestServer::start(&text);
    let mut socket = connect(clients).await;
    let large = masked(frame::TEXT, &vec![b' '; (1 << 20) + 1]);
    socket.try_send_raw(&large).await;
    assert_eq!(socket.close_code().await, 1009);
}

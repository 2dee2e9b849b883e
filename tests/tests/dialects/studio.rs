//! Clients of the writing studio.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tidings_tests::harness::server::free_address;
use tidings_tests::harness::{Backing, Incoming, SOON, Socket, TestServer, eventually, http};
use tidings_tests::vectors;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const PROFILE: &str = include_str!("../../../profiles/studio.toml");
const SECRET: &str = "a secret of at least thirty-two bytes";

/// The real program with the profile, its clients at a free address, and no NATS server.
async fn serve() -> (TestServer, SocketAddr) {
    serve_beside(&Backing::absent_nats()).await
}

/// The same beside a NATS server.
async fn serve_beside(nats: &Backing) -> (TestServer, SocketAddr) {
    let clients = free_address();
    let text = PROFILE.replace("127.0.0.1:8010", &clients.to_string());
    let text = text.replace("nats://127.0.0.1:4222", &nats.url());
    let server = TestServer::spawn_with_environment(&text, &[("TIDINGS_SECRET", SECRET)]).await;
    (server, clients)
}

async fn token(server: &TestServer, about: Value) -> String {
    server.post("/v1/tokens", &about).await.ok()["token"].as_str().unwrap().to_owned()
}

async fn try_connect(clients: SocketAddr, query: &str) -> Result<Socket, String> {
    Socket::open_unwelcomed(clients, &format!("/api/v1/ws{query}"), "").await
}

/// Connects and takes what it is told first.
async fn connect(clients: SocketAddr, token: &str) -> (Socket, Value) {
    let mut socket = try_connect(clients, &format!("?token={token}")).await.unwrap();
    let connected = socket.json().await;
    assert_eq!(connected["type"], "connected");
    (socket, connected)
}

async fn ask(socket: &mut Socket, message: Value) -> Value {
    socket.send(&message).await;
    socket.json().await
}

async fn publish(server: &TestServer, topic: &str, user: &str, data: Value) {
    let body = json!({ "topic": topic, "data": data, "user": user });
    http::post(server.admin, "/v1/publish", &body).await.ok();
}

#[tokio::test]
async fn transcripts_hold() {
    let (server, clients) = serve().await;
    for (name, text) in [
        ("studio/events.txt", include_str!("../../vectors/studio/events.txt")),
        ("studio/errors.txt", include_str!("../../vectors/studio/errors.txt")),
    ] {
        // A device of its own: one that comes back would have what it had.
        let alice = token(&server, json!({ "user": "alice", "device": name })).await;
        vectors::play(&server, clients, name, &text.replace("<alice>", &alice)).await;
    }
}

#[tokio::test]
async fn nobody_connects_without_a_token() {
    let (server, clients) = serve().await;
    for query in ["", "?token=", "?token=a.b.c", "?device=d"] {
        let refused = try_connect(clients, query).await.err().unwrap();
        assert!(refused.contains(" 401 "), "{query}: {refused}");
    }
    let good = token(&server, json!({ "user": "alice" })).await;
    let header = format!("Authorization: Bearer {good}\r\n");
    let mut socket = Socket::open_unwelcomed(clients, "/api/v1/ws", &header).await.unwrap();
    let connected = socket.json().await;
    assert_eq!(connected["data"]["status"], "ready");
    assert_eq!(connected["data"]["user_id"], "alice");
}

#[tokio::test]
async fn without_a_key_it_does_not_start() {
    let output = std::process::Command::new(tidings_tests::harness::server::program())
        .args(["check", "--profile", "studio"])
        .env_remove("TIDINGS_SECRET")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("TIDINGS_SECRET"), "{told}");
}

#[tokio::test]
async fn events_reach_the_user_on_every_device_and_nobody_else() {
    let (server, clients) = serve().await;
    let desk = token(&server, json!({ "user": "alice", "device": "desk" })).await;
    let phone = token(&server, json!({ "user": "alice", "device": "phone" })).await;
    let other = token(&server, json!({ "user": "bob" })).await;
    let (mut desk, _) = connect(clients, &desk).await;
    let (mut phone, _) = connect(clients, &phone).await;
    let (mut bob, _) = connect(clients, &other).await;
    for socket in [&mut desk, &mut phone, &mut bob] {
        let all = ask(socket, json!({ "type": "subscribe", "events": ["*"] })).await;
        assert_eq!(all["data"]["events"], json!(["*"]));
    }
    publish(&server, "studio.blob.created", "alice", json!({ "n": 1 })).await;
    publish(&server, "studio.error", "alice", json!({ "n": 2 })).await;
    publish(&server, "studio.blob.created", "bob", json!({ "n": 3 })).await;
    for socket in [&mut desk, &mut phone] {
        assert_eq!(socket.json().await["data"]["n"], 1);
        assert_eq!(socket.json().await["data"]["n"], 2);
    }
    assert_eq!(bob.json().await["data"]["n"], 3);
    // Errors need no subscription, and are for their user all the same.
    let (mut quiet, _) = connect(clients, &other).await;
    publish(&server, "studio.error", "alice", json!({ "n": 4 })).await;
    publish(&server, "studio.error", "bob", json!({ "n": 5 })).await;
    assert_eq!(quiet.json().await["data"]["n"], 5);
}

#[tokio::test]
async fn the_sixth_device_is_refused() {
    let (server, clients) = serve().await;
    let mut sockets = Vec::new();
    for device in 0..5 {
        let token = token(&server, json!({ "user": "alice", "device": format!("d{device}") }));
        sockets.push(connect(clients, &token.await).await.0);
    }
    let sixth = token(&server, json!({ "user": "alice", "device": "d5" })).await;
    let refused = try_connect(clients, &format!("?token={sixth}")).await.err().unwrap();
    assert!(refused.contains(" 429 "), "{refused}");
    // Another tab of a device that is there is none.
    let first = token(&server, json!({ "user": "alice", "device": "d0" })).await;
    connect(clients, &first).await;
    let bob = token(&server, json!({ "user": "bob" })).await;
    connect(clients, &bob).await;
}

#[tokio::test]
async fn a_session_is_extended_in_place() {
    let (server, clients) = serve().await;
    let short = token(&server, json!({ "user": "alice", "device": "d", "ttl": "1m" })).await;
    let long = token(&server, json!({ "user": "alice", "device": "d", "ttl": "1h" })).await;
    let (mut socket, _) = connect(clients, &short).await;
    let refreshed = ask(&mut socket, json!({ "type": "refresh", "token": long })).await;
    assert_eq!(refreshed["type"], "refreshed", "{refreshed}");
    let expires_at = refreshed["data"]["expires_at"].as_u64().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let left = expires_at.checked_sub(now.as_secs()).unwrap();
    // Both sides round.
    assert!((3_000..=3_601).contains(&left), "{left} s are left");
}

#[tokio::test]
async fn a_device_that_comes_back_gets_what_it_missed() {
    let (server, clients) = serve().await;
    let token = token(&server, json!({ "user": "alice", "device": "desk" })).await;
    let (mut socket, _) = connect(clients, &token).await;
    ask(&mut socket, json!({ "type": "subscribe", "events": ["blob.cr*"] })).await;
    socket.cut();
    server.has_connections(0).await;
    publish(&server, "studio.blob.updated", "alice", json!({ "n": 1 })).await;
    publish(&server, "studio.blob.created", "alice", json!({ "n": 2 })).await;
    publish(&server, "studio.error", "alice", json!({ "n": 3 })).await;
    let (mut socket, _) = connect(clients, &token).await;
    assert_eq!(socket.json().await["data"]["n"], 2);
    assert_eq!(socket.json().await["data"]["n"], 3);
    let all = ask(&mut socket, json!({ "type": "subscribe", "events": ["book.*"] })).await;
    assert_eq!(all["data"]["events"], json!(["blob.cr*", "book.*"]));
}

#[tokio::test]
async fn without_a_device_a_token_gets_back_what_it_had_and_no_other_of_its_user() {
    let (server, clients) = serve().await;
    let tokens = [
        token(&server, json!({ "user": "alice", "ttl": "1h" })).await,
        token(&server, json!({ "user": "alice", "ttl": "2h" })).await,
    ];
    let (mut socket, _) = connect(clients, &tokens[0]).await;
    ask(&mut socket, json!({ "type": "subscribe", "events": ["blob.*"] })).await;
    drop(socket);
    server.has_connections(0).await;
    let mut staying = Vec::new();
    for (token, expected) in [(&tokens[1], json!(["a.*"])), (&tokens[0], json!(["blob.*", "a.*"]))]
    {
        let (mut socket, _) = connect(clients, token).await;
        let all = ask(&mut socket, json!({ "type": "subscribe", "events": ["a.*"] })).await;
        assert_eq!(all["data"]["events"], expected);
        // A newer token of the session's is the same client's.
        let newer = self::token(&server, json!({ "user": "alice", "ttl": "3h" })).await;
        ask(&mut socket, json!({ "type": "refresh", "token": newer })).await;
        drop(socket);
        server.has_connections(staying.len() as u64).await;
        let (mut socket, _) = connect(clients, &newer).await;
        let all = ask(&mut socket, json!({ "type": "subscribe", "events": ["a.*"] })).await;
        assert_eq!(all["data"]["events"], expected);
        // It stays, or it would be the next one's.
        staying.push(socket);
    }
}

#[tokio::test]
async fn health_tells_who_is_there() {
    let (server, clients) = serve().await;
    let alice = token(&server, json!({ "user": "alice", "device": "a" })).await;
    let bob = token(&server, json!({ "user": "bob" })).await;
    let none = json!({
        "status": "healthy", "active_connections": 0, "active_users": 0, "message_queue_size": 0,
    });
    assert_eq!(http::get(clients, "/health").await.ok(), none);
    let _sockets = [
        connect(clients, &alice).await,
        connect(clients, &alice).await,
        connect(clients, &bob).await,
    ];
    eventually("three connections of two users are counted", || async {
        let health = http::get(clients, "/health").await.ok();
        health["active_connections"] == 3 && health["active_users"] == 2
    })
    .await;
}

/// A service of the studio, in NATS's own protocol.
struct Service(BufReader<TcpStream>);

impl Service {
    /// Connects and listens for commands.
    async fn connect(nats: &Backing) -> Self {
        let stream = TcpStream::connect(nats.address).await.unwrap();
        let mut service = Self(BufReader::new(stream));
        service.write("CONNECT {\"verbose\":false}\r\nSUB studio.commands.* 1\r\nPING\r\n").await;
        while service.line().await != "PONG" {}
        service
    }

    async fn write(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).await.unwrap() > 0, "the NATS server ended");
        line.trim_end().to_owned()
    }

    async fn publish(&mut self, subject: &str, data: &Value) {
        let text = data.to_string();
        self.write(&format!("PUB {subject} {}\r\n{text}\r\n", text.len())).await;
    }

    /// The next command: its subject, where to reply, and what it says.
    async fn command(&mut self) -> (String, String, Value) {
        loop {
            let line = self.line().await;
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["MSG", subject, _, reply, length] => {
                    let mut payload = vec![0; length.parse().unwrap()];
                    self.0.read_exact(&mut payload).await.unwrap();
                    let asked = serde_json::from_slice(&payload).unwrap();
                    return (subject.to_owned(), reply.to_owned(), asked);
                }
                ["PING"] => self.write("PONG\r\n").await,
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn services_publish_and_take_commands_over_nats() {
    let nats = Backing::nats().await;
    let (server, clients) = serve_beside(&nats).await;
    eventually("the server has found NATS", || async {
        server.get("/v1/health").await["services"]["nats"] == "running"
    })
    .await;
    let mut service = Service::connect(&nats).await;
    let alice = token(&server, json!({ "user": "alice", "device": "desk" })).await;
    let (mut socket, _) = connect(clients, &alice).await;
    ask(&mut socket, json!({ "type": "subscribe", "events": ["blob.*"] })).await;
    // Whether the source has subscribed by now nobody says; in the end it has.
    let mut tries = 0;
    let created = loop {
        service.publish("blob.created", &json!({ "user_id": "bob", "n": 0 })).await;
        service.publish("blob.created", &json!({ "n": 1 })).await;
        service.publish("blob.created", &json!({ "user_id": "alice", "n": 2 })).await;
        if let Some(Incoming::Json(event)) = socket.next_within(SOON / 40).await {
            break event;
        }
        tries += 1;
        assert!(tries < 40, "nothing comes");
    };
    assert_eq!(created["type"], "blob.created");
    assert_eq!(created["data"], json!({ "user_id": "alice", "n": 2 }));
    let command = json!({ "type": "process_blob", "data": { "blob_id": "b1" }, "id": 7 });
    socket.send(&command).await;
    let (subject, reply, asked) = service.command().await;
    assert_eq!(subject, "studio.commands.process_blob");
    assert_eq!((&asked["user"], &asked["data"]), (&json!("alice"), &json!({ "blob_id": "b1" })));
    service.publish(&reply, &json!({ "queued": true })).await;
    let result = socket.json_with_any("id").await;
    let expected = json!({ "command": "process_blob", "result": { "queued": true } });
    assert_eq!((&result["type"], &result["data"]), (&json!("result"), &expected));
    socket.send(&command).await;
    let (_, reply, _) = service.command().await;
    let error =
        json!({ "code": "PROCESSOR_FAILED", "message": "no quota", "retry_after_ms": 3_600_000 });
    service.publish(&reply, &json!({ "error": error })).await;
    let told = socket.json_with_any("id").await;
    let expected = json!({
        "code": "PROCESSOR_FAILED", "message": "no quota", "blob_id": "b1", "retry_after": 3600,
    });
    assert_eq!((&told["type"], &told["data"]), (&json!("error"), &expected));
}

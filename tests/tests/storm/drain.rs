//! The end of a process under load, and its restart.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_tests::harness::server::{free_address, temporary_directory};
use tidings_tests::harness::{
    Account, EventSource, Incoming, Socket, TestServer, eventually, http,
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::alone;

const STREAMS: &str = r#"
[server]
drain_deadline = "10s"
[[stream]]
name = "a"
topics = ["a.>"]
"#;

/// Says hello and reads until it is sent away: where it was, and when it may come back.
async fn read_until_closed(mut socket: Socket, mut account: Account) -> (Account, u64) {
    let closing = loop {
        match socket.next().await {
            Incoming::Json(message) if message.get("closing").is_some() => break message,
            Incoming::Json(message) => assert!(account.take(&message), "{message}"),
            other => panic!("{other:?} before `closing`"),
        }
    };
    let closing = &closing["closing"];
    assert_eq!(closing["code"], 1012, "{closing}");
    let after_ms = closing["reconnect"]["after_ms"].as_u64().expect("when to come back");
    assert_eq!(socket.close_code().await, 1012);
    (account, after_ms)
}

async fn hello(address: std::net::SocketAddr, resume: Value) -> (Socket, Value) {
    let mut socket = Socket::open(address).await;
    let mut body = json!({ "subscriptions": [{ "topics": ["a.>", "c"] }] });
    if !resume.is_null() {
        body["resume"] = resume;
    }
    let answer = socket.ask("hello", body).await;
    (socket, answer)
}

/// Publishes without end, as long as someone listens.
async fn load(admin: std::net::SocketAddr) {
    loop {
        let Ok(mut stream) = TcpStream::connect(admin).await else { return };
        let events = ["a.x", "a.y", "c"].map(|topic| json!({ "topic": topic, "data": 1 }));
        let body = json!(events).to_string();
        let head = "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        // The server may end in the middle.
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

#[tokio::test]
async fn a_terminated_server_sends_its_clients_away_and_they_go_on_with_the_next() {
    let _alone = alone().await;
    let addresses = [free_address(), free_address()];
    let mut server = TestServer::spawn_with(STREAMS, None, addresses).await;
    let (public, admin) = (server.public, server.admin);
    let mut readers = Vec::new();
    for _ in 0..50 {
        let (socket, answer) = hello(public, Value::Null).await;
        let mut account = Account::default();
        account.begin(&answer);
        readers.push(tokio::spawn(read_until_closed(socket, account)));
    }
    let mut source = EventSource::open(public, "topics=a.>", None).await;
    assert_eq!(source.next().await.name, "ok");
    // It will not answer the close frame, and so keeps the server for a moment.
    let lazy = Socket::open(public).await;
    let loading = tokio::spawn(load(admin));
    eventually("there is load", || async { server.metric("deliveries").await > 2_000 }).await;

    let signalled = Instant::now();
    server.signal("TERM");
    eventually("the server is not ready", || async {
        http::get(admin, "/readyz").await.status == 503
    })
    .await;
    assert_eq!(http::get(admin, "/healthz").await.status, 200);
    let refused = Socket::over_unwelcomed(TcpStream::connect(public).await.unwrap(), "/v1/ws");
    assert!(refused.await.err().expect("nobody is let in").starts_with("HTTP/1.1 503 "));
    let status = server.ended().await;
    assert!(status.success(), "{status}: {}", server.log());
    assert!(signalled.elapsed() < Duration::from_secs(12));
    drop(lazy);
    loading.await.unwrap();
    let sent = source.next_named("closing").await;
    assert_eq!(sent.json()["code"], 1012);
    assert!(sent.retry.is_some(), "{sent:?}");
    let mut left = Vec::new();
    let mut times = Vec::new();
    for reader in readers {
        let (account, after_ms) = reader.await.unwrap();
        assert!(account.at("a") > 0);
        left.push(account);
        times.push(after_ms);
    }
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 5, "all come back at once: {times:?}");

    let server = TestServer::spawn_with(STREAMS, None, addresses).await;
    server.publish_numbers("a.x", 0..3).await;
    for mut account in left {
        let (mut socket, _) = hello(public, account.resume()).await;
        for _ in 0..2 {
            let gap = socket.json_with("gap").await;
            assert_eq!(gap["gap"]["reason"], "epoch", "{gap}");
            assert!(account.take(&gap));
            if gap["gap"]["stream"] == "a" {
                account.read(&mut socket, |account| account.at("a") == 3).await;
            }
        }
        let gaps: Vec<_> = ["a", "default"].map(|stream| account.gaps(stream).len()).into();
        assert_eq!(gaps, [1, 1]);
        assert_eq!(account.received("a"), [1, 2, 3]);
    }
    let (mut socket, _) = hello(public, Value::Null).await;
    server.publish("c", json!("live")).await;
    assert_eq!(socket.json_with("event").await["event"]["data"], "live");
}

#[tokio::test]
async fn clients_of_a_stream_in_a_directory_go_on_without_a_gap() {
    let _alone = alone().await;
    let (addresses, directory) = ([free_address(), free_address()], temporary_directory());
    let config = format!("{STREAMS}[broker]\ndir = {:?}\n", directory.path());
    let mut server = TestServer::spawn_with(&config, None, addresses).await;
    let mut socket = server.connect().await;
    let mut account = Account::default();
    account.begin(&socket.subscribe(&["a.>"]).await);
    server.publish_numbers("a.x", 1..=3).await;
    account.read(&mut socket, |account| account.at("a") == 3).await;
    let reader = tokio::spawn(read_until_closed(socket, account));
    server.signal("TERM");
    let status = server.ended().await;
    assert!(status.success(), "{status}: {}", server.log());
    let (mut account, _) = reader.await.unwrap();

    let server = TestServer::spawn_with(&config, None, addresses).await;
    server.publish_numbers("a.x", 4..=6).await;
    let mut socket = server.connect().await;
    let subscriptions = json!([{ "topics": ["a.>"] }]);
    let body = json!({ "subscriptions": subscriptions, "resume": account.resume() });
    socket.ask("hello", body).await;
    account.read(&mut socket, |account| account.at("a") == 6).await;
    assert_eq!(account.received("a"), [1, 2, 3, 4, 5, 6]);
    assert!(account.gaps("a").is_empty());
}

#[tokio::test]
async fn a_drain_over_http_ends_the_process() {
    let _alone = alone().await;
    let mut server = TestServer::spawn(STREAMS).await;
    let (socket, answer) = hello(server.public, Value::Null).await;
    let mut account = Account::default();
    account.begin(&answer);
    let answer = server.post("/v1/drain", &Value::Null).await.ok();
    assert_eq!((&answer["draining"], &answer["clients"]), (&json!(true), &json!(1)));
    read_until_closed(socket, account).await;
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn a_client_that_reads_nothing_does_not_keep_the_server() {
    let _alone = alone().await;
    let mut server = TestServer::spawn(STREAMS).await;
    let mut slow = Socket::open_narrow(server.public, 4096).await;
    slow.subscribe(&["a.>"]).await;
    let pad = "x".repeat(10_000);
    for _ in 0..300 {
        server.publish("a.x", json!(pad)).await;
    }
    let signalled = Instant::now();
    server.signal("TERM");
    assert!(server.ended().await.success());
    assert!(signalled.elapsed() < Duration::from_secs(12), "{:?}", signalled.elapsed());
}

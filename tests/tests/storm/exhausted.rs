//! Handshakes that never end, and more connections than descriptors.

use std::time::{Duration, Instant};

use serde_json::json;
use tidings_tests::harness::server::free_address;
use tidings_tests::harness::{Incoming, Socket, TestServer, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::alone;

/// Sends a handshake one byte a second, or nothing at all; how long the server put up with it.
async fn dawdle(address: std::net::SocketAddr, says_something: bool) -> Duration {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let started = Instant::now();
    let mut request = b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\n".iter();
    let mut answer = [0; 512];
    loop {
        if says_something && let Some(byte) = request.next() {
            let _ = stream.write_all(&[*byte]).await;
        }
        let read = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut answer)).await;
        if matches!(read, Ok(Ok(0) | Err(_))) {
            return started.elapsed();
        }
    }
}

#[tokio::test]
async fn after_a_pause_of_the_whole_process_clients_that_live_stay() {
    let _alone = alone().await;
    let server = TestServer::spawn("[[endpoint]]\npath = \"/v1/ws\"\nheartbeat = \"300ms\"").await;
    let mut sockets = Vec::new();
    for _ in 0..50 {
        let mut socket = server.connect().await;
        socket.pongs = false;
        sockets.push(socket);
    }
    // Each has been asked, and answers while the server does not run.
    for socket in &mut sockets {
        assert!(matches!(socket.next().await, Incoming::Ping(_)));
    }
    server.signal("STOP");
    for socket in &mut sockets {
        socket.send_raw(&frame::masked(frame::PONG, b"")).await;
        socket.pongs = true;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.signal("CONT");
    for socket in &mut sockets {
        socket.ask("ping", json!({})).await;
    }
    assert_eq!(server.metric("connections").await, 50);
}

#[tokio::test]
async fn honest_clients_connect_at_once_among_two_thousand_slow_handshakes() {
    let _alone = alone().await;
    let server =
        TestServer::spawn("[limits]\nhandshakes = 500\n[server]\nhandshake_deadline = \"3s\"")
            .await;
    let address = server.public;
    let slow: Vec<_> = (0..2_000).map(|n| tokio::spawn(dawdle(address, n % 2 == 0))).collect();
    let mut times = Vec::new();
    for _ in 0..40 {
        let started = Instant::now();
        let mut socket = server.connect().await;
        socket.ask("ping", json!({})).await;
        times.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    times.sort();
    assert!(times[times.len() / 2] < Duration::from_millis(100), "{times:?}");
    assert!(times[times.len() - 1] < Duration::from_millis(1_000), "{times:?}");
    for task in slow {
        let time = task.await.unwrap();
        assert!(time < Duration::from_secs(7), "a slow handshake lasted {time:?}");
    }
    server.has_connections(0).await;
}

/// A client that waited and is let in by now.
async fn one_let_in(waiting: &mut Vec<JoinHandle<Result<Socket, String>>>) -> Option<Socket> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    let done = waiting.iter().position(JoinHandle::is_finished)?;
    Some(waiting.swap_remove(done).await.unwrap().unwrap())
}

#[tokio::test]
async fn out_of_descriptors_clients_stay_and_accepting_resumes_when_some_leave() {
    let _alone = alone().await;
    let addresses = [free_address(), free_address()];
    let mut server = TestServer::spawn_with("", Some(80), addresses).await;
    let mut listening = server.subscriber(&["t"]).await;
    let mut speaking = server.connect().await;
    let mut waiting: Vec<_> = Vec::new();
    for _ in 0..120 {
        let address = server.public;
        waiting.push(tokio::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            Socket::over_unwelcomed(stream, "/v1/ws").await
        }));
    }
    let mut inside = Vec::new();
    // As many get in as there are descriptors; the others wait in the kernel's queue.
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < Duration::from_secs(1) {
        if let Some(socket) = one_let_in(&mut waiting).await {
            inside.push(socket);
            quiet_since = Instant::now();
        }
    }
    assert!((20..80).contains(&inside.len()), "{} got in", inside.len());
    assert!(server.has_ended().is_none(), "{}", server.log());
    // It does not spin: a line each time that it tried.
    let lines = server.log().lines().count();
    assert!(lines < 300, "{lines} lines");
    for n in 0..20 {
        speaking.ask("publish", json!({ "topic": "t", "data": n })).await;
        assert_eq!(listening.json_with("event").await["event"]["data"], n);
    }
    // For each one that leaves, one that waited is let in.
    while !waiting.is_empty() {
        inside.pop();
        let socket = loop {
            if let Some(socket) = one_let_in(&mut waiting).await {
                break socket;
            }
        };
        inside.insert(0, socket);
    }
    drop(inside);
    server.has_connections(2).await;
    speaking.ask("publish", json!({ "topic": "t", "data": "end" })).await;
    assert_eq!(listening.json_with("event").await["event"]["data"], "end");
    assert!(server.metric("accept_failures").await > 0);
}

//! Answers over HTTP that their clients do not take.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::Value;
use tidings_tests::harness::http::read_reply;
use tidings_tests::harness::{SOON, TestServer, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// Of several workers one may be a little behind another.
const ONE_WORKER: &str = "[server]\nworkers = 1\ndrain_deadline = \"0s\"\n";
const EVENTS: &str = "/v1/events?topic=t&limit=1000";

/// A server with more to answer than the kernel's buffers hold.
async fn server(config: &str) -> TestServer {
    let server = TestServer::start(config);
    let publisher = server.library().publisher();
    let pad = "x".repeat(5_000);
    for _ in 0..200 {
        publisher.publish("t", &pad).unwrap();
    }
    publisher.publish("t", &pad).unwrap().appended().await.unwrap();
    server
}

/// Asks and waits until the answer begins, without reading it.
async fn ask(address: std::net::SocketAddr, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::timeout(SOON, stream.readable()).await.expect("no answer").unwrap();
    stream
}

/// Waits until the server has ended a connection, without reading from it.
async fn is_ended(stream: &TcpStream) {
    eventually("the connection is ended", || async {
        stream.try_write(b"x").is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
    })
    .await;
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_left() {
    let server = server(&format!("{ONE_WORKER}answer_deadline = \"300ms\"")).await;
    is_ended(&ask(server.public, EVENTS).await).await;
    is_ended(&ask(server.admin, "/v1/streams/default/events?limit=1000").await).await;
}

#[tokio::test]
async fn who_takes_an_answer_slowly_gets_all_of_it() {
    let server = server(&format!("{ONE_WORKER}answer_deadline = \"300ms\"")).await;
    let mut stream = ask(server.public, EVENTS).await;
    let (mut answer, mut part) = (Vec::new(), vec![0; 16 << 10]);
    // Several times as long as it may take nothing.
    while !answer.ends_with(b"\"more\":false}") {
        let count = tokio::time::timeout(SOON, stream.read(&mut part)).await.unwrap().unwrap();
        assert!(count > 0, "it ends after {} bytes", answer.len());
        answer.extend_from_slice(&part[..count]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(answer.len() > 1_000_000, "{} bytes", answer.len());
}

#[tokio::test]
async fn of_too_many_answers_that_are_not_taken_the_oldest_are_given_up() {
    let server = server(&format!("{ONE_WORKER}[limits]\nhandshakes = 5")).await;
    let mut unread = Vec::new();
    for _ in 0..12 {
        unread.push(ask(server.public, EVENTS).await);
    }
    let mut kept = unread.split_off(7);
    for stream in &unread {
        is_ended(stream).await;
    }
    for stream in &mut kept {
        let page: Value = read_reply(stream).await.ok();
        assert_eq!(page["events"].as_array().unwrap().len(), 201);
    }
}

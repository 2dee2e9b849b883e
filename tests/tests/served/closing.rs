//! Heartbeats, and how connections end.

use std::time::{Duration, Instant};

use serde_json::json;
use tidings_tests::harness::socket::request;
use tidings_tests::harness::{Account, Incoming, TestServer, eventually, frame};

use super::start;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const QUICK: &str = r#"
[[endpoint]]
path = "/v1/ws"
heartbeat = "200ms"
"#;

#[tokio::test]
async fn an_idle_server_sends_heartbeats() {
    let server = start(QUICK);
    let mut socket = server.connect().await;
    socket.pongs = false;
    let first = socket.next_within(Duration::from_secs(2)).await;
    assert!(matches!(first, Some(Incoming::Ping(_))), "{first:?}");
}

#[tokio::test]
async fn a_client_that_answers_nothing_is_closed() {
    let server = start(QUICK);
    let mut socket = server.connect().await;
    socket.pongs = false;
    let started = Instant::now();
    let closing = socket.json_with_any("closing").await;
    assert_eq!(closing["closing"]["code"], 4408);
    assert!(closing["closing"]["reconnect"]["after_ms"].is_u64(), "{closing}");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(socket.close_code().await, 4408);
    server.has_connections(0).await;
}

#[tokio::test]
async fn a_message_that_is_never_finished_is_not_waited_for() {
    let server = start(QUICK);
    let mut socket = server.connect().await;
    let part = frame::masked_with(frame::TEXT, &[b'x'; 100_000]);
    socket.send_raw(&part).await;
    // That it answers pings, and asks some itself, does not help.
    socket.send_raw(&frame::masked(frame::PING, b"and you?")).await;
    let closing = socket.json_with_any("closing").await;
    assert_eq!(closing["closing"]["code"], 1008);
    assert_eq!(socket.close_code().await, 1008);
    server.has_connections(0).await;
}

#[tokio::test]
async fn messages_that_each_take_until_the_next_heartbeat_are_taken() {
    let server = start(QUICK);
    let mut socket = server.connect().await;
    socket.pongs = false;
    for id in 1..=8 {
        let message = socket.framed(&json!({ "id": id, "ping": {} }));
        let (begin, rest) = message.split_at(message.len() / 2);
        socket.send_raw(begin).await;
        assert!(matches!(socket.next().await, Incoming::Ping(_)));
        socket.send_raw(rest).await;
        assert_eq!(socket.json().await["id"], id);
    }
}

#[tokio::test]
async fn a_client_that_only_answers_pings_stays_and_is_told_marks() {
    let server = start(QUICK);
    let mut socket = server.connect().await;
    let answer = socket.subscribe(&["wanted.>"]).await;
    let mut account = Account::default();
    account.begin(&answer);
    // Nothing of this is for the client, so only a mark can move its position.
    server.publish_numbers("other", 0..50).await;
    account.read(&mut socket, |account| account.at("default") == 50).await;
    assert!(account.received("default").is_empty());
    // No mark where nothing moved.
    let quiet = socket.next_within(Duration::from_secs(1)).await;
    assert_eq!(quiet, None);
    server.publish("wanted.x", json!(1)).await;
    assert_eq!(socket.json().await["event"]["seq"], 51);
    let mark = socket.json().await;
    assert_eq!(mark["mark"][0]["seq"], 51, "{mark}");
}

/// More than the kernel's buffers hold.
fn publish_much(server: &TestServer) {
    let data = "x".repeat(5_000);
    for _ in 0..5_000 {
        server.library().publisher().publish("t", &data).unwrap();
    }
}

#[tokio::test]
async fn a_close_frame_is_answered_and_nothing_follows_it() {
    let server = start("");
    publish_much(&server);
    let mut socket = server.connect().await;
    // A long way to catch up: there is always something left to send.
    socket
        .send(&json!({ "id": 1, "subscribe": { "topics": ["t"], "from": { "last": 5000 } } }))
        .await;
    assert_eq!(socket.json().await["id"], 1);
    socket.send_raw(&frame::masked(frame::CLOSE, &frame::close(1000, "bye"))).await;
    let code = loop {
        match socket.next().await {
            Incoming::Close(code, _) => break code,
            Incoming::Json(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 1000);
    assert_eq!(socket.next().await, Incoming::End);
    server.has_connections(0).await;
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_gets_no_more_events() {
    let server = start("");
    publish_much(&server);
    let mut socket = server.connect().await;
    socket
        .send(&json!({ "id": 1, "subscribe": { "topics": ["t"], "from": { "last": 5000 } } }))
        .await;
    assert_eq!(socket.json().await["id"], 1);
    socket.send_raw(&frame::unmasked(frame::TEXT, b"{}")).await;
    assert_eq!(socket.close_code().await, 1002);
    server.has_connections(0).await;
}

#[tokio::test]
async fn a_closed_client_that_reads_nothing_is_gone_soon() {
    let server = start("");
    let mut socket = server.connect_narrow(4096).await;
    socket.subscribe(&["t"]).await;
    let client = socket.client();
    let data = "x".repeat(10_000);
    for _ in 0..1_000 {
        server.library().publisher().publish("t", &data).unwrap();
    }
    eventually("the client is slow", || async {
        server.get(&format!("/v1/connections/{client}")).await["health"] == "slow"
    })
    .await;
    let path = format!("/v1/connections/{client}");
    assert_eq!(server.request("DELETE", &path).await.status, 200);
    server.has_connections(0).await;
}

#[tokio::test]
async fn an_empty_close_frame_is_answered_by_one() {
    let server = start("");
    let mut socket = server.connect().await;
    socket.send_raw(&frame::masked(frame::CLOSE, b"")).await;
    // 1005 stands for a close frame without a code.
    assert_eq!(socket.next().await, Incoming::Close(1005, String::new()));
    assert_eq!(socket.next().await, Incoming::End);
}

#[tokio::test]
async fn frames_right_behind_the_handshake_are_read_and_those_behind_a_close_frame_are_not() {
    let server = start("");
    let mut stream = tokio::net::TcpStream::connect(server.public).await.unwrap();
    let ping = frame::masked(frame::TEXT, br#"{"id":1,"ping":{}}"#);
    let close = frame::masked(frame::CLOSE, &frame::close(1000, ""));
    let all = [request("/v1/ws", "").as_bytes(), &ping, &ping, &close, &ping].concat();
    stream.write_all(&all).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    let mut frames = bytes::BytesMut::from(&answer[head..]);
    let mut opcodes = Vec::new();
    while let Some((opcode, _)) = frame::take(&mut frames) {
        opcodes.push(opcode);
    }
    // The welcome, two answers, the close frame, and nothing behind it.
    assert_eq!(opcodes, [frame::TEXT, frame::TEXT, frame::TEXT, frame::CLOSE]);
    assert!(frames.is_empty());
}

#[tokio::test]
async fn a_client_that_vanishes_is_forgotten() {
    let server = start("");
    let socket = server.subscriber(&["t"]).await;
    server.has_connections(1).await;
    drop(socket);
    server.has_connections(0).await;
    let mut half = server.subscriber(&["t"]).await;
    half.half_close().await;
    server.has_connections(0).await;
}

#[tokio::test]
async fn a_slow_client_that_lives_is_kept() {
    let server = start(QUICK);
    let mut socket = server.connect_narrow(4096).await;
    let answer = socket.subscribe(&["t"]).await;
    let mut account = Account::default();
    account.begin(&answer);
    let data = "x".repeat(5_000);
    for _ in 0..1_500 {
        server.library().publisher().publish("t", &data).unwrap();
    }
    // Ten heartbeats pass in which it takes nothing.
    let silent = tokio::time::Instant::now() + Duration::from_secs(2);
    eventually("it took nothing for a while", || async { tokio::time::Instant::now() > silent })
        .await;
    assert_eq!(server.metric("connections").await, 1);
    // And many more in which it takes little at a time.
    while account.at("default") < 1_500 {
        let at = account.at("default");
        account.read(&mut socket, |account| account.at("default") >= (at + 20).min(1_500)).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(account.received("default").len(), 1_500);
    socket.ask_seeing("ping", json!({}), |_| {}).await;
}

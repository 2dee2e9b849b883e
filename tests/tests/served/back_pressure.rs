//! Publishers wait for a consumer that acknowledges: `wait_for` of a stream.

use std::time::Instant;

use serde_json::{Value, json};
use tidings_tests::harness::account::{number, text};
use tidings_tests::harness::{
    Incoming, SOON, Socket, TestServer, eventually, frame, http, server::temporary_directory,
};
use tokio::sync::mpsc;

const STREAMS: &str = r#"
[[endpoint]]
path = "/hasty"
heartbeat = "200ms"
[[stream]]
name = "audio"
topics = ["audio.>"]
wait_for = { device = "recognizer", bytes = "64KiB" }
"#;

/// Data of 4 KiB, which with topic and overhead counts a little more.
const DATA_BYTES: usize = 4 << 10;
/// So many of them may be before the consumer: those within the bound, and the one that passes it.
const AHEAD_MAX: u64 = 65_536 / (4_096 + 256 + 16) + 1;

/// Data that holds a number.
fn numbered(number: u64) -> Value {
    json!(format!("{number:0width$}", width = DATA_BYTES - 2))
}

async fn consumer(server: &TestServer) -> Socket {
    let mut socket = server.connect().await;
    socket.ask("hello", json!({ "device": "recognizer" })).await;
    socket.ask("subscribe", json!({ "topics": ["audio.>"], "from": "stored" })).await;
    socket
}

async fn acknowledge(server: &TestServer, consumer: &mut Socket, seq: u64) {
    let epoch = text(&server.get("/v1/streams/audio").await, "epoch");
    let id = 1_000_000 + seq;
    let ack = json!([{ "stream": "audio", "epoch": epoch, "seq": seq }]);
    consumer.send(&json!({ "id": id, "ack": ack })).await;
    loop {
        let answer = consumer.json_with_any("id").await;
        if answer["id"] == id {
            assert!(answer.get("ok").is_some(), "{answer}");
            return;
        }
    }
}

async fn last(server: &TestServer) -> u64 {
    number(&server.get("/v1/streams/audio").await, "last")
}

async fn has_last(server: &TestServer, wanted: u64) {
    let started = Instant::now();
    while last(server).await != wanted {
        assert!(started.elapsed() < SOON, "{} instead of {wanted}", last(server).await);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Publishes so much over HTTP at once that others have to wait.
async fn close_gate(server: &TestServer) -> u64 {
    let all: Vec<Value> =
        (1..=20).map(|n| json!({ "topic": "audio.x", "data": numbered(n) })).collect();
    http::post(server.admin, "/v1/publish", &json!(all)).await.ok();
    last(server).await
}

async fn try_publish(server: &TestServer) -> http::Reply {
    http::post(server.admin, "/v1/publish", &json!({ "topic": "audio.x", "data": 1 })).await
}

/// What a publisher saw.
#[derive(Debug, PartialEq)]
enum Seen {
    Answer(i64, u64),
    News,
    Ping,
}

/// Publishes numbers as fast as it can, and tells what it sees.
async fn flood(mut socket: Socket, count: u64, seen: mpsc::UnboundedSender<Seen>) {
    socket.subscribe(&["news"]).await;
    socket.pongs = false;
    for n in 1..=count {
        let publish = json!({ "topic": "audio.x", "data": numbered(n) });
        socket.send(&json!({ "id": 10_000 + n, "publish": publish })).await;
    }
    loop {
        let told = match socket.next().await {
            Incoming::Json(message) if message.get("event").is_some() => Seen::News,
            Incoming::Json(message) if message.get("id").is_some() => {
                let seq = message["ok"]["seq"].as_u64().unwrap_or_else(|| panic!("{message}"));
                Seen::Answer(message["id"].as_i64().unwrap(), seq)
            }
            Incoming::Json(_) => continue,
            Incoming::Ping(payload) => {
                socket.send_raw(&frame::masked(frame::PONG, &payload)).await;
                Seen::Ping
            }
            other => panic!("{other:?}"),
        };
        if seen.send(told).is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_flood_stays_within_the_bound_of_a_slow_consumer() {
    const COUNT: u64 = 150;
    let server = TestServer::start(STREAMS);
    let mut consumer = consumer(&server).await;
    let hasty = Socket::open_at(server.public, "/hasty").await;
    let (tell, mut seen) = mpsc::unbounded_channel();
    let publisher = tokio::spawn(flood(hasty, COUNT, tell));
    has_last(&server, AHEAD_MAX).await;

    // While it waits it is not taken for dead, gets what it subscribed to, and nobody else waits.
    let mut other = server.connect().await;
    other.ask("publish", json!({ "topic": "elsewhere.x", "data": 1 })).await;
    let (mut pings, mut answers) = (0, Vec::new());
    while pings < 5 {
        match seen.recv().await.unwrap() {
            Seen::Ping => pings += 1,
            Seen::Answer(id, seq) => answers.push((id, seq)),
            Seen::News => panic!("nothing was published"),
        }
    }
    server.publish("news", json!("now")).await;
    while seen.recv().await.unwrap() != Seen::News {}
    assert_eq!((answers.len() as u64, last(&server).await), (AHEAD_MAX, AHEAD_MAX));

    let (mut received, mut acknowledged) = (Vec::new(), 0);
    while acknowledged < COUNT {
        let wanted = (acknowledged + AHEAD_MAX).min(COUNT);
        while (received.len() as u64) < wanted {
            let event = consumer.json_with_any("event").await;
            received.push(event["event"]["data"].as_str().unwrap().parse::<u64>().unwrap());
        }
        assert!(last(&server).await <= acknowledged + AHEAD_MAX);
        // By turns a little and all of it.
        acknowledged = if acknowledged % 2 == 0 { wanted } else { acknowledged + 1 };
        acknowledge(&server, &mut consumer, acknowledged).await;
    }
    assert_eq!(received, (1..=COUNT).collect::<Vec<_>>());
    while answers.len() < COUNT as usize {
        if let Seen::Answer(id, seq) = seen.recv().await.unwrap() {
            answers.push((id, seq));
        }
    }
    let expected: Vec<_> = (1..=COUNT).map(|n| (10_000 + n as i64, n)).collect();
    assert_eq!(answers, expected);
    publisher.abort();
}

#[tokio::test]
async fn a_request_waits_a_little_and_then_is_told_to_come_back() {
    let server = TestServer::start(STREAMS);
    let mut consumer = consumer(&server).await;
    let closed = close_gate(&server).await;
    let refused = try_publish(&server).await;
    assert_eq!(refused.error(503), "overloaded", "{}", refused.text());
    assert!(refused.header("retry-after").is_some(), "{}", refused.head);
    assert_eq!(last(&server).await, closed);
    // Of an array only what goes there is refused.
    let mixed = json!([{ "topic": "audio.x", "data": 1 }, { "topic": "elsewhere", "data": 1 }]);
    let answer = http::post(server.admin, "/v1/publish", &mixed).await.ok();
    assert_eq!(answer[0]["error"]["code"], "overloaded", "{answer}");
    assert_eq!(answer[1]["seq"], 1, "{answer}");
    // One that waits goes on as soon as the consumer has come closer.
    let (reply, ()) =
        tokio::join!(try_publish(&server), acknowledge(&server, &mut consumer, closed));
    assert_eq!(reply.ok()["seq"], closed + 1);
}

#[tokio::test]
async fn programs_around_the_server_are_refused_at_once() {
    let server = TestServer::start(STREAMS);
    let mut consumer = consumer(&server).await;
    let closed = close_gate(&server).await;
    let publisher = server.library().publisher();
    assert_eq!(publisher.publish("audio.x", &1).unwrap_err().code.as_str(), "overloaded");
    acknowledge(&server, &mut consumer, closed).await;
    publisher.publish("audio.x", &1).unwrap().appended().await.unwrap();
}

#[tokio::test]
async fn nobody_waits_for_a_consumer_that_is_gone_until_it_is_back() {
    let server = TestServer::start(STREAMS);
    // A device that nobody named, or that never asked for this stream, holds nobody up.
    let mut idle = server.connect().await;
    idle.ask("hello", json!({ "device": "recognizer" })).await;
    close_gate(&server).await;
    let closed = close_gate(&server).await;
    let consumer = consumer(&server).await;
    let mut publisher = server.connect().await;
    for n in 0..3 {
        let publish = json!({ "topic": "audio.x", "data": n });
        publisher.send(&json!({ "id": 10_000 + n, "publish": publish })).await;
    }
    assert_eq!(try_publish(&server).await.status, 503);
    assert_eq!(last(&server).await, closed);
    drop(consumer);
    has_last(&server, closed + 3).await;
    assert_eq!(try_publish(&server).await.ok()["seq"], closed + 4);
    // It is back and has what it missed before it.
    let mut consumer = self::consumer(&server).await;
    assert_eq!(try_publish(&server).await.status, 503);
    // Who unsubscribes acknowledges nothing any more.
    let publish = json!({ "topic": "audio.x", "data": 4 });
    publisher.send(&json!({ "id": 20_000, "publish": publish })).await;
    consumer.send(&json!({ "id": 7, "unsubscribe": { "topics": ["audio.>"] } })).await;
    has_last(&server, closed + 5).await;
}

#[tokio::test]
async fn operators_see_how_many_publishers_wait() {
    let server = TestServer::start(STREAMS);
    let mut consumer = consumer(&server).await;
    let closed = close_gate(&server).await;
    assert_eq!(server.metric("waiting_publishers").await, 0);
    let publish = json!({ "id": 1, "publish": { "topic": "audio.x", "data": 1 } });
    let mut publishers = Vec::new();
    for _ in 0..2 {
        let mut publisher = server.connect().await;
        publisher.send(&publish).await;
        publishers.push(publisher);
    }
    eventually("both wait", async || server.metric("waiting_publishers").await == 2).await;
    acknowledge(&server, &mut consumer, closed).await;
    eventually("none waits", async || server.metric("waiting_publishers").await == 0).await;
    has_last(&server, closed + 2).await;
}

#[tokio::test]
async fn a_device_may_have_several_connections() {
    let server = TestServer::start(STREAMS);
    let mut first = consumer(&server).await;
    let mut second = consumer(&server).await;
    let closed = close_gate(&server).await;
    // What one acknowledges, the device has.
    acknowledge(&server, &mut first, closed - 15).await;
    assert_eq!(try_publish(&server).await.ok()["seq"], closed + 1);
    assert_eq!(try_publish(&server).await.status, 503);
    // Publishers wait as long as one of them is there.
    drop(first);
    assert_eq!(try_publish(&server).await.status, 503);
    let closed = last(&server).await;
    acknowledge(&server, &mut second, closed).await;
    assert_eq!(try_publish(&server).await.status, 200);
}

#[tokio::test]
async fn a_consumer_that_publishes_does_not_wait_for_itself() {
    let server = TestServer::start(STREAMS);
    let mut consumer = consumer(&server).await;
    let closed = close_gate(&server).await;
    let publish = json!({ "topic": "audio.x", "data": 1 });
    consumer.send(&json!({ "id": 10_000, "publish": publish })).await;
    has_last(&server, closed + 1).await;
    // Its socket is read: its acknowledgement comes through.
    acknowledge(&server, &mut consumer, closed + 1).await;
    assert_eq!(try_publish(&server).await.status, 200);
}

#[tokio::test]
async fn what_retention_takes_is_waited_for_no_more() {
    let rest = STREAMS.replace("wait_for", "retain = { age = \"1s\" }\nwait_for");
    let server = TestServer::start(&rest);
    let _consumer = consumer(&server).await;
    let closed = close_gate(&server).await;
    let mut publisher = server.connect().await;
    let publish = json!({ "topic": "audio.x", "data": 1 });
    publisher.send(&json!({ "id": 10_000, "publish": publish })).await;
    has_last(&server, closed + 1).await;
}

#[tokio::test]
async fn a_restart_knows_how_far_the_consumer_is() {
    let directory = temporary_directory();
    let rest = format!("{STREAMS}\n[broker]\ndir = {:?}\n", directory.path());
    let server = TestServer::start(&rest);
    let closed = {
        let mut consumer = consumer(&server).await;
        let closed = close_gate(&server).await;
        acknowledge(&server, &mut consumer, 2).await;
        closed
    };
    tokio::task::spawn_blocking(|| server.into_library().shut_down()).await.unwrap();
    let server = TestServer::start(&rest);
    let mut consumer = consumer(&server).await;
    assert_eq!(try_publish(&server).await.status, 503);
    acknowledge(&server, &mut consumer, closed - 10).await;
    assert_eq!(try_publish(&server).await.ok()["seq"], closed + 1);
}

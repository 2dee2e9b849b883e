//! A client that stops reading among a hundred that don't, or within the server's process.

use std::time::{Duration, Instant};

use serde_json::json;
use tidings::{Item, Subscribe};
use tidings_tests::harness::account::number;
use tidings_tests::harness::{Account, Socket, TestServer, eventually};

use crate::alone;

const FAST: usize = 99;
const EVENTS: u64 = 1_500;

/// A hundred clients, of whom one reads nothing while everything is published.
struct Stalled {
    server: TestServer,
    slow: Socket,
    account: Account,
}

async fn stall(config: &str) -> Stalled {
    let server = TestServer::spawn(config).await;
    let mut slow = Socket::open_narrow(server.public, 4096).await;
    let mut account = Account::default();
    account.begin(&slow.subscribe(&["t.>"]).await);
    let mut readers = Vec::new();
    for _ in 0..FAST {
        let mut socket = server.subscriber(&["t.>"]).await;
        readers.push(tokio::spawn(async move {
            for seq in 1..=EVENTS {
                assert_eq!(socket.json_with("event").await["event"]["seq"], seq);
            }
        }));
    }
    let before = server.metric("resident_bytes").await;
    let pad = "x".repeat(4_000);
    let mut outbox_bytes = 0;
    for _ in 0..EVENTS / 50 {
        let events: Vec<_> = (0..50).map(|_| json!({ "topic": "t.x", "data": pad })).collect();
        for event in events {
            let answer = server.post("/v1/publish", &event).await;
            assert_eq!(answer.status, 200);
        }
        outbox_bytes = outbox_bytes.max(server.metric("outbox_bytes").await);
    }
    // Nobody waits for the one that stalls.
    for reader in readers {
        reader.await.unwrap();
    }
    let metrics = server.get("/v1/metrics").await;
    assert!(number(&metrics, "lag_events") > EVENTS / 2, "{metrics}");
    assert_eq!(number(&metrics, "gaps"), 0, "{metrics}");
    // A write in flight each, and no more than that for who does not read.
    assert!(outbox_bytes < 2 * (100 << 10) + FAST as u64 * (72 << 10), "{outbox_bytes}");
    assert!(number(&metrics, "outbox_bytes") < 100 << 10, "{metrics}");
    let kept = number(&metrics, "kept_bytes");
    let grown = number(&metrics, "resident_bytes").saturating_sub(before);
    assert!(grown < kept + (24 << 20), "{grown} bytes more, of which {kept} are kept");
    Stalled { server, slow, account }
}

#[tokio::test]
async fn who_reads_again_gets_everything_from_the_log_in_order() {
    let _alone = alone().await;
    let Stalled { server, mut slow, mut account } =
        stall("[[stream]]\nname = \"t\"\ntopics = [\"t.>\"]\nretain = { count = 100_000 }").await;
    account.read(&mut slow, |account| account.at("t") == EVENTS).await;
    assert_eq!(account.received("t"), (1..=EVENTS).collect::<Vec<_>>());
    assert!(account.gaps("t").is_empty());
    // And it is live again.
    server.publish("t.x", json!("now")).await;
    assert_eq!(slow.json_with("event").await["event"]["data"], "now");
}

#[tokio::test]
async fn who_was_overtaken_by_retention_gets_exactly_that_gap_and_the_rest() {
    let _alone = alone().await;
    let Stalled { server, mut slow, mut account } = stall(
        "[[stream]]\nname = \"t\"\ntopics = [\"t.>\"]\nretain = { count = 200 }\n\
         [limits]\ntail_bytes = \"64KiB\"",
    )
    .await;
    let stream = server.get("/v1/streams/t").await;
    let (first, last) = (number(&stream, "first"), number(&stream, "last"));
    assert_eq!((first, last), (EVENTS - 199, EVENTS));
    account.read(&mut slow, |account| account.at("t") == EVENTS).await;
    let received = account.received("t");
    let reached = received.iter().zip(1..).take_while(|(seq, n)| **seq == *n).count() as u64;
    assert_eq!(account.gaps("t"), [(reached + 1, first - 1, "retention".to_owned())]);
    let expected: Vec<u64> = (1..=reached).chain(first..=last).collect();
    assert_eq!(received, expected);
    server.publish("t.x", json!("now")).await;
    assert_eq!(slow.json_with("event").await["event"]["data"], "now");
}

#[tokio::test]
async fn an_alert_overtakes_what_waits_for_a_slow_client() {
    let _alone = alone().await;
    let server = TestServer::spawn(
        "[[stream]]\nname = \"video\"\ntopics = [\"video.>\"]\npriority = -1\n\
         [[stream]]\nname = \"alerts\"\ntopics = [\"alert.>\"]\npriority = 10\n",
    )
    .await;
    let mut slow = Socket::open_narrow(server.public, 4096).await;
    let answer = slow.subscribe(&["video.>", "alert.>"]).await;
    let mut account = Account::default();
    account.begin(&answer);
    let frame = "x".repeat(8_000);
    for _ in 0..1_000 {
        server.publish("video.a", json!(frame)).await;
    }
    server.publish("alert.fire", json!("!")).await;
    account.read(&mut slow, |account| account.at("alerts") == 1).await;
    let before = account.received("video").len();
    assert!(before < 200, "{before} frames of video came before the alert");
    account.read(&mut slow, |account| account.at("video") == 1_000).await;
    assert_eq!(account.received("video").len(), 1_000);
}

/// Processor time that this process has used so far.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name, which may hold anything, in hundredths of a second (proc(5)).
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

#[tokio::test]
async fn a_client_within_the_process_that_stalls_costs_no_processor_time() {
    let _alone = alone().await;
    let server = TestServer::start("[[stream]]\nname = \"default\"\nretain = { count = 100_000 }");
    let client = server.library().client();
    let mut stalled = client.subscribe(Subscribe::to(&["t"]).unwrap()).await.unwrap();
    let pad = "x".repeat(5_000);
    for _ in 0..3_000 {
        server.library().publisher().publish("t", &pad).unwrap();
    }
    eventually("it is behind", || async { server.metric("lag_events").await > 1_000 }).await;
    eventually("the server rests", || async {
        let before = processor_time();
        tokio::time::sleep(Duration::from_millis(500)).await;
        processor_time() - before < Duration::from_millis(100)
    })
    .await;
    // It is woken when there is room again, and not by the next heartbeat.
    let started = Instant::now();
    for seq in 1..=3_000 {
        let Item::Event(event) = stalled.next().await.unwrap() else { panic!("no event {seq}") };
        assert_eq!(event.seq, seq);
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

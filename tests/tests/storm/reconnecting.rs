//! Thousands drop at once and come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_tests::harness::account::number;
use tidings_tests::harness::{Account, Socket, TestServer};

use crate::alone;

const GROUPS: usize = 50;
const BEFORE: u64 = 200;
const MEANWHILE: u64 = 2_000;

/// As many as were promised, or as this process may have descriptors for.
fn clients() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX);
    10_000.min(soft.saturating_sub(300))
}

fn subscriptions(client: usize) -> Value {
    json!([{ "topics": [format!("g.{}.>", client % GROUPS), "all"] }])
}

fn topic(n: u64) -> String {
    if n.is_multiple_of(10) { "all".into() } else { format!("g.{}.x", n as usize % GROUPS) }
}

async fn publish(server: &TestServer, numbers: std::ops::Range<u64>) {
    let numbers: Vec<u64> = numbers.collect();
    for part in numbers.chunks(100) {
        let events: Vec<_> =
            part.iter().map(|n| json!({ "topic": topic(*n), "data": n })).collect();
        assert_eq!(server.post("/v1/publish", &json!(events)).await.status, 200);
    }
}

/// Connects and says hello, again until it is let in.
async fn come(address: std::net::SocketAddr, hello: Value) -> (Socket, Value) {
    let mut socket = loop {
        if let Ok(stream) = tokio::net::TcpStream::connect(address).await
            && let Ok(mut socket) = Socket::over_unwelcomed(stream, "/v1/ws").await
        {
            socket.json_with("welcome").await;
            break socket;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let answer = socket.ask("hello", hello).await;
    (socket, answer)
}

async fn read_to(account: &mut Account, socket: &mut Socket, at: u64) {
    account.read(socket, |account| account.at("default") >= at).await;
}

#[tokio::test]
async fn all_come_back_and_nothing_is_lost_or_comes_twice() {
    let _alone = alone().await;
    let server = Arc::new(TestServer::spawn("").await);
    let address = server.public;
    let started = Instant::now();
    let mut first = Vec::new();
    for client in 0..clients() {
        first.push(tokio::spawn(async move {
            let hello = json!({ "subscriptions": subscriptions(client) });
            let (mut socket, answer) = come(address, hello).await;
            let mut account = Account::default();
            account.begin(&answer);
            let start = account.at("default");
            // The last one is for all.
            read_to(&mut account, &mut socket, BEFORE).await;
            (client, start, socket, account)
        }));
    }
    server.has_connections_within(clients() as u64, Duration::from_secs(60)).await;
    publish(&server, 1..BEFORE + 1).await;
    let mut there = Vec::new();
    for task in first {
        there.push(task.await.unwrap());
    }
    let steady = server.metric("resident_bytes").await;
    eprintln!("{} clients came in {:?}", there.len(), started.elapsed());

    let gone: Vec<(usize, u64, Account)> =
        there.into_iter().map(|(client, start, _, account)| (client, start, account)).collect();
    let back = Instant::now();
    let publishing = server.clone();
    let meanwhile = tokio::spawn(async move {
        publish(&publishing, BEFORE + 1..BEFORE + MEANWHILE + 1).await;
    });
    let mut again = Vec::new();
    for (client, start, mut account) in gone {
        again.push(tokio::spawn(async move {
            let hello =
                json!({ "resume": account.resume(), "subscriptions": subscriptions(client) });
            let (mut socket, answer) = come(address, hello).await;
            let position = &answer["subscriptions"][0]["positions"][0];
            assert_eq!(number(position, "seq"), account.at("default"));
            read_to(&mut account, &mut socket, BEFORE + MEANWHILE).await;
            (client, start, socket, account)
        }));
    }
    meanwhile.await.unwrap();
    let mut returned = Vec::new();
    for task in again {
        let (client, start, socket, account) = task.await.unwrap();
        let group = format!("g.{}.x", client % GROUPS);
        let is_mine = |n: &u64| topic(*n) == "all" || topic(*n) == group;
        let expected: Vec<u64> = (start + 1..=BEFORE + MEANWHILE).filter(is_mine).collect();
        // The data are the numbers of the events, and so are their seqs.
        assert_eq!(account.received("default"), expected, "client {client}");
        assert!(account.gaps("default").is_empty());
        returned.push(socket);
    }
    let took = back.elapsed();
    eprintln!("{} clients were back after {took:?}", returned.len());
    assert!(took < Duration::from_secs(30), "{took:?}");
    let metrics = server.get("/v1/metrics").await;
    assert_eq!(number(&metrics, "gaps"), 0, "{metrics}");
    let resident = number(&metrics, "resident_bytes");
    assert!(resident < steady * 3 / 2 + (32 << 20), "{steady} bytes grew to {resident}");
}

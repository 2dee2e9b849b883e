//! The server inside a program.

use std::time::{Duration, Instant};

use serde_json::json;
use tidings::{Item, Subscribe};
use tidings_tests::harness::account::number;
use tidings_tests::harness::{Incoming, TestServer};

#[tokio::test]
async fn publishing_from_many_threads_never_waits_and_every_event_is_kept_once() {
    let server =
        TestServer::start("[[stream]]\nname = \"default\"\nretain = { count = 1_000_000 }");
    let mut socket = server.subscriber(&["t.>"]).await;
    let mut threads = Vec::new();
    for thread in 0..8 {
        let publisher = server.library().publisher();
        threads.push(std::thread::spawn(move || {
            let topic = format!("t.{thread}");
            let mut slowest = Duration::ZERO;
            let mut receipts = Vec::new();
            for n in 0..500 {
                let started = Instant::now();
                receipts.push(publisher.publish(&topic, &n).unwrap());
                slowest = slowest.max(started.elapsed());
            }
            let seqs: Vec<u64> = receipts.into_iter().map(|r| r.wait().unwrap().seq).collect();
            assert!(seqs.is_sorted_by(|a, b| a < b));
            (slowest, seqs)
        }));
    }
    let mut all = Vec::new();
    for thread in threads {
        let (slowest, seqs) = thread.join().unwrap();
        assert!(slowest < Duration::from_millis(500), "a publish took {slowest:?}");
        all.extend(seqs);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=4_000).collect::<Vec<_>>());
    let mut next = [0; 8];
    for seq in 1..=4_000 {
        let event = socket.json_with("event").await["event"].clone();
        assert_eq!(event["seq"], seq);
        let thread: usize = event["topic"].as_str().unwrap()[2..].parse().unwrap();
        assert_eq!(number(&event, "data"), next[thread]);
        next[thread] += 1;
    }
}

#[tokio::test]
async fn a_subscriber_within_the_process_gets_what_a_socket_gets() {
    let server = TestServer::start("");
    for n in 0..5 {
        server.publish("t.a", json!(n)).await;
    }
    let mut within = server
        .library()
        .client()
        .subscribe(Subscribe::to(&["t.>"]).unwrap().from(protocol::Start::Last(2)))
        .await
        .unwrap();
    let mut outside = server.connect().await;
    outside.ask("subscribe", json!({ "topics": ["t.>"], "from": { "last": 2 } })).await;
    server.publish("t.b", json!({ "ö": [1, null] })).await;
    server.library().publisher().publish_bytes("t.c", "a/b", vec![0, 10, 255]).unwrap();
    for _ in 0..4 {
        let (line, bytes) = match outside.next().await {
            Incoming::Json(event) => (event, None),
            Incoming::Binary(frame) => {
                let end = frame.iter().position(|byte| *byte == b'\n').unwrap();
                let line = serde_json::from_slice(&frame[..end]).unwrap();
                (line, Some(frame[end + 1..].to_vec()))
            }
            other => panic!("{other:?}"),
        };
        let event = loop {
            match within.next().await.unwrap() {
                Item::Event(event) => break event,
                other => assert!(!matches!(other, Item::Gap(_)), "{other:?}"),
            }
        };
        let line = &line["event"];
        assert_eq!(line["topic"], event.topic.as_str());
        assert_eq!((number(line, "seq"), number(line, "time")), (event.seq, event.time_ms));
        match bytes {
            None => assert_eq!(line["data"], event.json::<serde_json::Value>().unwrap()),
            Some(bytes) => assert_eq!(bytes, [0, 10, 255]),
        }
    }
}

#[tokio::test]
async fn a_subscriber_within_the_process_gets_the_largest_events() {
    for event_bytes in [1 << 20, 8 << 20] {
        let server = TestServer::start(&format!("[limits]\nevent_bytes = \"{event_bytes}B\""));
        let client = server.library().client();
        let mut within = client.subscribe(Subscribe::to(&["t"]).unwrap()).await.unwrap();
        // With the quotes as many bytes as an event's data may have, before its envelope.
        let data = "x".repeat(event_bytes - 2);
        server.library().publisher().publish("t", &data).unwrap().appended().await.unwrap();
        match within.next().await.unwrap() {
            Item::Event(event) => assert_eq!(event.json::<String>().unwrap().len(), data.len()),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_cannot_be_published_is_an_error_at_once() {
    let server = TestServer::start("[limits]\nevent_bytes = \"1KiB\"");
    let publisher = server.library().publisher();
    let code =
        |result: Result<tidings::Receipt, tidings::Error>| result.err().unwrap().code.as_str();
    assert_eq!(code(publisher.publish("a..b", &1)), "invalid_topic");
    assert_eq!(code(publisher.publish("a", &"x".repeat(2_000))), "too_large");
    assert_eq!(code(publisher.publish("$system.probe", &1)), "forbidden");
    assert!(tidings::Server::start("[listen]\npublik = 1").is_err());
    // A port that is taken is an error, and leaves nothing behind.
    let taken = format!("[listen]\npublic = \"{}\"\nadmin = \"127.0.0.1:0\"", server.public);
    assert!(tidings::Server::start(&taken).is_err());
    server.publish("a", json!(1)).await;
}

#[tokio::test(flavor = "current_thread")]
async fn shutting_down_ends_clients_listeners_and_threads() {
    let server = TestServer::start("[server]\nworkers = 3\ndrain_deadline = \"5s\"");
    let (public, admin) = (server.public, server.admin);
    let mut within =
        server.library().client().subscribe(Subscribe::to(&["t"]).unwrap()).await.unwrap();
    let socket = server.subscriber(&["t"]).await;
    let publisher = server.library().publisher();
    let reading = tokio::spawn(async move {
        let mut socket = socket;
        let closing = socket.json_with("closing").await;
        assert_eq!(closing["closing"]["code"], 1012);
        socket.close_code().await
    });
    let within = tokio::spawn(async move {
        // It comes back by itself, or tries to.
        while let Ok(item) = within.next().await {
            if matches!(item, Item::Reconnecting(_)) {
                return;
            }
        }
    });
    let library = server.into_library();
    let started = Instant::now();
    let ending = std::thread::spawn(move || library.shut_down());
    assert_eq!(reading.await.unwrap(), 1012);
    within.await.unwrap();
    while !ending.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ending.join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(tokio::net::TcpStream::connect(public).await.is_err());
    assert!(tokio::net::TcpStream::connect(admin).await.is_err());
    assert_eq!(publisher.publish("t", &1).err().unwrap().code.as_str(), "draining");
}

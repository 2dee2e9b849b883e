//! Only the newest of each topic, at a rate.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_tests::harness::account::{number, text};
use tidings_tests::harness::server::temporary_directory;
use tidings_tests::harness::{Pour, Socket, TestServer};

use super::start;

const RATED: &str = r#"
[[stream]]
name = "rated"
topics = ["rated.>"]
max_rate = 10
[[stream]]
name = "newest"
topics = ["newest.>"]
deliver = "latest"
"#;

/// When each event of a topic came, and its data.
type Times = BTreeMap<String, Vec<(Instant, u64)>>;

async fn read_for(socket: &mut Socket, time: Duration, times: &mut Times) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        let Some(incoming) = socket.next_within(left).await else { return };
        let tidings_tests::harness::Incoming::Json(message) = incoming else {
            panic!("{incoming:?}")
        };
        let Some(event) = message.get("event") else {
            assert!(message.get("mark").is_some(), "{message}");
            continue;
        };
        let of = times.entry(text(event, "topic")).or_default();
        of.push((Instant::now(), number(event, "data")));
    }
}

/// At most ten in any second, with one more for the edges of the window.
fn check_rate(times: &[(Instant, u64)], what: &str) {
    for (at, (begin, _)) in times.iter().enumerate() {
        let within = times[at..].iter().take_while(|(t, _)| *t < *begin + Duration::from_secs(1));
        let count = within.count();
        assert!(count <= 11, "{count} of {what} in a second");
    }
    assert!(times.is_sorted_by(|a, b| a.1 < b.1), "{what} out of order");
}

async fn ten_a_second(body: Value, topics: [&str; 3]) {
    let server = start(RATED);
    let mut socket = server.connect().await;
    socket.ask("subscribe", body).await;
    let pour = Pour::start(server.library().publisher(), &topics, Duration::from_millis(1));
    let mut times = Times::new();
    read_for(&mut socket, Duration::from_secs(3), &mut times).await;
    let published = pour.stop();
    // What was published last comes in the end.
    read_for(&mut socket, Duration::from_millis(500), &mut times).await;
    for topic in topics {
        let of = &times[topic];
        check_rate(of, topic);
        assert!(of.len() >= 20, "only {} of {topic} in three seconds", of.len());
        let last = published.iter().rposition(|(_, _, of)| of == topic).unwrap();
        assert_eq!(of.last().unwrap().1, last as u64, "the last of {topic}");
    }
}

#[tokio::test]
async fn a_subscription_gets_ten_a_second_of_each_topic_and_always_the_last() {
    ten_a_second(json!({ "topics": ["t.>"], "max_rate": 10 }), ["t.a", "t.b", "t.c"]).await;
}

#[tokio::test]
async fn a_streams_rate_holds_for_every_subscription() {
    let body = json!({ "topics": ["rated.>"] });
    ten_a_second(body, ["rated.a", "rated.b", "rated.c"]).await;
}

#[tokio::test]
async fn the_streams_rate_bounds_that_of_a_subscription() {
    let body = json!({ "topics": ["rated.>"], "max_rate": 500 });
    ten_a_second(body, ["rated.a", "rated.b", "rated.c"]).await;
}

#[tokio::test]
async fn the_newest_alone_comes_to_who_reads_late() {
    let server = start(RATED);
    let mut socket = server.connect_narrow(4096).await;
    socket.subscribe(&["newest.>"]).await;
    let pad = "x".repeat(10_000);
    let publisher = server.library().publisher();
    for n in 0..2_000_u64 {
        for topic in ["newest.a", "newest.b"] {
            publisher
                .publish(topic, &json!({ "n": n, "pad": pad }))
                .unwrap()
                .appended()
                .await
                .unwrap();
        }
    }
    let mut last = BTreeMap::new();
    let mut count = 0;
    while last.get("newest.a") != Some(&1_999) || last.get("newest.b") != Some(&1_999) {
        let event = socket.json_with("event").await["event"].clone();
        let (topic, n) = (text(&event, "topic"), number(&event["data"], "n"));
        assert!(last.insert(topic, n).is_none_or(|before| before < n));
        count += 1;
    }
    // Far fewer than the 4,000 that were published, and no gap told of them.
    assert!(count < 2_000, "{count}");
    let quiet = socket.next_within(Duration::from_millis(200)).await;
    assert_eq!(quiet, None);
}

#[tokio::test]
async fn the_last_of_a_latest_subscription_is_the_newest_of_each_topic() {
    let server = start(RATED);
    for n in 0..20 {
        for topic in ["t.a", "t.b", "t.c"] {
            server.publish(topic, json!(n)).await;
        }
    }
    let mut socket = server.connect().await;
    let body = json!({ "topics": ["t.*"], "latest": true, "from": { "last": 1 } });
    socket.ask("subscribe", body).await;
    for seq in 58..=60 {
        let event = socket.json().await["event"].clone();
        assert_eq!((number(&event, "seq"), number(&event, "data")), (seq, 19));
    }
    assert_eq!(socket.next_within(Duration::from_millis(200)).await, None);
}

#[tokio::test]
async fn whoever_asks_for_every_event_gets_it_beside_one_who_does_not() {
    let server = start(RATED);
    let mut socket = server.subscriber(&["t.every"]).await;
    let body = json!({ "topics": ["t.>"], "max_rate": 2 });
    socket.ask("subscribe", body).await;
    for n in 0..50 {
        server.publish("t.every", json!(n)).await;
        server.publish("t.rated", json!(n)).await;
    }
    // Each mode keeps its own order.
    let (mut every, mut rated) = (Vec::new(), Vec::new());
    while every.len() < 50 || rated.last() != Some(&49) {
        let event = socket.json_with("event").await["event"].clone();
        let of = if event["topic"] == "t.every" { &mut every } else { &mut rated };
        of.push(number(&event, "data"));
    }
    assert_eq!(every, (0..50).collect::<Vec<_>>());
    assert!(rated.len() <= 5 && rated.is_sorted(), "{rated:?}");
}

/// Publishes `count` events of `topics` topics, a few of which have their only event at the very
/// beginning; starts again, and asks for all topics.
async fn after_a_restart(count: u64, topics: u64) {
    const RARE: u64 = 3;
    let directory = temporary_directory();
    let kept = format!(
        "[broker]\ndir = {:?}\n[limits]\ntail_bytes = \"64KiB\"\n[[stream]]\nname = \"state\"\n\
         topics = [\"state.>\"]\nretain = {{ bytes = \"4GiB\", count = 10000000 }}\n",
        directory.path().join("data")
    );
    let server = TestServer::start(&kept);
    let event = |n: u64, topic: u64| json!({ "topic": format!("state.{topic}"), "data": n });
    for n in 0..RARE {
        server.publish(&format!("state.rare.{n}"), json!(n)).await;
    }
    let numbers: Vec<u64> = (RARE..count).collect();
    for some in numbers.chunks(1000) {
        let body: Vec<Value> = some.iter().map(|n| event(*n, n % (topics - RARE))).collect();
        assert_eq!(server.post("/v1/publish", &json!(body)).await.status, 200);
    }
    drop(server);

    let server = TestServer::start(&kept);
    let epoch = text(&server.get("/v1/streams/state").await, "epoch");
    let mut socket = server.connect().await;
    let from = json!({ "positions": [{ "stream": "state", "epoch": epoch, "after": 0 }] });
    let body = json!({ "topics": ["state.>"], "latest": true, "from": from });
    socket.ask("subscribe", body).await;
    let mut expected: Vec<u64> = (0..RARE).chain(count - (topics - RARE)..count).collect();
    expected.reverse();
    while let Some(n) = expected.pop() {
        let event = socket.json_with("event").await["event"].clone();
        assert_eq!((number(&event, "seq"), number(&event, "data")), (n + 1, n));
    }
    // And on it goes, in one order.
    server.publish("state.rare.1", json!(count)).await;
    let event = socket.json_with("event").await["event"].clone();
    assert_eq!((number(&event, "seq"), number(&event, "data")), (count + 1, count));
    assert_eq!(socket.next_within(Duration::from_millis(200)).await, None);
}

#[tokio::test]
async fn the_newest_of_each_topic_is_there_after_a_restart_however_far_back() {
    after_a_restart(20_000, 50).await;
}

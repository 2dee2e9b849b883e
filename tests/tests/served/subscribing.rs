//! Subscribing and unsubscribing while events pour in.

use std::time::Duration;

use protocol::{Pattern, Topic};
use serde_json::{Value, json};
use tidings_tests::harness::account::{number, text};
use tidings_tests::harness::pour::{Published, seqs};
use tidings_tests::harness::{Account, Incoming, Pour, Socket, TestServer};

use super::start;

const STREAMS: &str = r#"
[[stream]]
name = "a"
topics = ["a.>"]
retain = { count = 1_000_000 }
[[stream]]
name = "b"
topics = ["b.>"]
retain = { count = 1_000_000 }
priority = 3
[[stream]]
name = "default"
retain = { count = 1_000_000 }
# Marks move a reader's place where nothing is for it.
[[endpoint]]
path = "/v1/ws"
heartbeat = "300ms"
"#;
const TOPICS: &[&str] = &["a.x", "a.y", "b.x", "b.y.z", "c.x"];

fn pour(server: &TestServer) -> Pour {
    Pour::start(server.library().publisher(), TOPICS, Duration::from_millis(1))
}

fn wants(topics: &Value, except: &Value, topic: &str) -> bool {
    let topic = Topic::parse(topic).unwrap();
    let any = |patterns: &Value| {
        let patterns = patterns.as_array().cloned().unwrap_or_default();
        patterns.iter().any(|p| Pattern::parse(p.as_str().unwrap()).unwrap().matches(&topic))
    };
    any(topics) && !any(except)
}

/// What a subscription of a connection of its own got: its body, its answer, its account.
struct Reading {
    body: Value,
    answer: Value,
    account: Account,
}

/// Subscribes on a new connection and reads until each stream is so far behind the answer.
async fn read(server: &TestServer, body: Value) -> Reading {
    let mut socket = server.connect().await;
    let answer = socket.ask("subscribe", body.clone()).await;
    let mut account = Account::default();
    account.begin(&answer);
    account
        .read(&mut socket, |account| {
            let positions = answer["positions"].as_array().unwrap();
            positions.iter().all(|p| account.at(&text(p, "stream")) > number(p, "seq") + 150)
        })
        .await;
    Reading { body, answer, account }
}

impl Reading {
    /// Every matching event after the answer's positions came, and nothing else.
    fn check(&self, published: &[Published]) {
        for position in self.answer["positions"].as_array().unwrap() {
            let (stream, after) = (text(position, "stream"), number(position, "seq"));
            let until = self.account.at(&stream);
            let is_wanted = |topic: &str| wants(&self.body["topics"], &self.body["except"], topic);
            let expected = seqs(published, &stream, (after, until), is_wanted);
            assert_eq!(self.account.gaps(&stream), [], "{}", self.body);
            assert_eq!(self.account.received(&stream), expected, "{} in {stream}", self.body);
        }
    }
}

#[tokio::test]
async fn every_matching_event_after_the_answers_positions_comes() {
    let server = start(STREAMS);
    let pour = pour(&server);
    let mut early = server.subscriber(&["a.x"]).await;
    let now_ms = |event: &Value| number(&event["event"], "time");
    let since = loop {
        let event = early.json_with("event").await;
        if number(&event["event"], "seq") > 200 {
            break now_ms(&event) - 50;
        }
    };
    let epoch = text(&server.get("/v1/streams/a").await, "epoch");
    let mut readings = Vec::new();
    for topics in
        [json!(["a.x"]), json!(["a.*"]), json!(["*.x"]), json!([">"]), json!(["a.>", "c.x"])]
    {
        for from in [
            json!("now"),
            json!({ "last": 7 }),
            json!({ "last": 150 }),
            json!({ "since": since }),
            json!({ "positions": [{ "stream": "a", "epoch": epoch, "after": 60 }] }),
        ] {
            readings.push(read(&server, json!({ "topics": topics, "from": from })).await);
        }
        let body = json!({ "topics": topics, "except": ["a.x", "b.y.>"], "from": "now" });
        if topics != json!(["a.x"]) {
            readings.push(read(&server, body).await);
        }
    }
    let published = pour.stop();
    for reading in &readings {
        reading.check(&published);
    }
}

#[tokio::test]
async fn a_hundred_subscribe_at_once_and_none_misses_anything() {
    let server = std::sync::Arc::new(start(STREAMS));
    let pour = pour(&server);
    let mut tasks = Vec::new();
    for place in 0..100 {
        let server = server.clone();
        let topics =
            [json!(["a.x", "b.>"]), json!([">"]), json!(["a.*", "*.x"])][place % 3].clone();
        let from =
            [json!("now"), json!({ "last": 20 }), json!({ "since": 0 })][place / 3 % 3].clone();
        let body = json!({ "topics": topics, "from": from });
        tasks.push(tokio::spawn(async move { read(&server, body).await }));
    }
    let mut readings = Vec::new();
    for task in tasks {
        readings.push(task.await.unwrap());
    }
    let published = pour.stop();
    for reading in &readings {
        reading.check(&published);
    }
}

/// A connection with several subscriptions: what it got of a stream, beside their answers.
struct Several {
    socket: Socket,
    account: Account,
}

impl Several {
    async fn subscribe(&mut self, body: Value) -> Value {
        let account = &mut self.account;
        // What comes before the answer belongs to earlier subscriptions.
        let answer =
            self.socket.ask_seeing("subscribe", body, |m| assert!(account.take(&m), "{m}"));
        let answer = answer.await["ok"].clone();
        self.account.begin(&answer);
        answer
    }

    async fn unsubscribe(&mut self, body: Value) {
        let account = &mut self.account;
        let answer =
            self.socket.ask_seeing("unsubscribe", body, |m| assert!(account.take(&m), "{m}"));
        assert_eq!(answer.await["ok"], json!({}));
    }

    async fn read_to(&mut self, stream: &str, at: u64) {
        self.account.read(&mut self.socket, |account| account.at(stream) >= at).await;
    }
}

fn position(answer: &Value, stream: &str) -> u64 {
    let positions = answer["positions"].as_array().unwrap().iter();
    let mut found = positions.filter(|position| position["stream"] == stream);
    number(found.next().unwrap(), "seq")
}

#[tokio::test]
async fn overlapping_subscriptions_of_a_connection_bring_each_event_once() {
    let server = start(STREAMS);
    let pour = pour(&server);
    let mut several = Several { socket: server.connect().await, account: Account::default() };
    let x = several.subscribe(json!({ "topics": ["a.x"] })).await;
    several.read_to("a", position(&x, "a") + 100).await;
    let all = several.subscribe(json!({ "topics": ["a.>"], "from": { "last": 30 } })).await;
    several.read_to("a", position(&all, "a") + 100).await;
    let b = several.subscribe(json!({ "topics": ["b.>", "a.y"], "from": { "last": 10 } })).await;
    several.read_to("b", position(&b, "b") + 100).await;
    let (s2, s3) = (text(&all, "subscription"), text(&b, "subscription"));
    several
        .account
        .read(&mut several.socket, |a| a.replay(&s2, "a").1 && a.replay(&s3, "a").1)
        .await;
    let published = pour.stop();

    let (x_after, all_after) = (position(&x, "a"), position(&all, "a"));
    let until = several.account.at("a");
    let expected: Vec<u64> = published
        .iter()
        .filter(|(of, seq, topic)| {
            of == "a" && *seq <= until && (*seq > x_after && topic == "a.x" || *seq > all_after)
        })
        .map(|(_, seq, _)| *seq)
        .collect();
    assert_eq!(several.account.received("a"), expected);
    let until = several.account.at("b");
    let expected = seqs(&published, "b", (position(&b, "b"), until), |_| true);
    assert_eq!(several.account.received("b"), expected);
    // A replay is what was asked for, and what came while it was looked for, up to the place where
    // the subscription went live.
    for (subscription, count, until, topics) in
        [(&s2, 30, all_after, "a."), (&s3, 10, position(&b, "a"), "a.y")]
    {
        let wanted = seqs(&published, "a", (0, until), |topic| topic.starts_with(topics));
        let (replay, _) = several.account.replay(subscription, "a");
        assert!(replay.len() >= count && wanted.ends_with(replay), "{replay:?} of {wanted:?}");
    }
}

#[tokio::test]
async fn unsubscribing_meanwhile_ends_one_and_leaves_the_others_whole() {
    let server = start(STREAMS);
    let pour = pour(&server);
    let mut several = Several { socket: server.connect().await, account: Account::default() };
    let kept = several.subscribe(json!({ "topics": ["a.x"] })).await;
    // From where to where the coming and going subscription held.
    let mut periods = Vec::new();
    for round in 0..30 {
        let answer = several.subscribe(json!({ "topics": ["a.*"] })).await;
        several.read_to("a", position(&answer, "a") + 1 + round).await;
        let by_name = json!({ "subscription": answer["subscription"] });
        several
            .unsubscribe(if round % 2 == 0 { by_name } else { json!({ "topics": ["a.*"] }) })
            .await;
        periods.push((position(&answer, "a"), several.account.at("a")));
        several.read_to("a", several.account.at("a") + 10).await;
    }
    let published = pour.stop();
    let kept_after = position(&kept, "a");
    let received = several.account.received("a").to_vec();
    let topic_of =
        |seq: u64| &published.iter().find(|(of, s, _)| of == "a" && *s == seq).unwrap().2;
    let x: Vec<u64> = received.iter().copied().filter(|seq| topic_of(*seq) == "a.x").collect();
    assert_eq!(x, seqs(&published, "a", (kept_after, several.account.at("a")), |t| t == "a.x"));
    let y: Vec<u64> = received.iter().copied().filter(|seq| topic_of(*seq) == "a.y").collect();
    // Whatever held before `ok` came whole, and nothing after it.
    let mut expected = Vec::new();
    for (after, until) in periods {
        expected.extend(seqs(&published, "a", (after, until), |topic| topic == "a.y"));
    }
    assert_eq!(y, expected);
}

#[tokio::test]
async fn the_last_events_and_those_since_a_time_are_exactly_those() {
    let server = start(STREAMS);
    for n in 0..50 {
        server.publish("a.x", json!(n)).await;
        server.publish("a.y", json!(n)).await;
        server.publish("b.x", json!(n)).await;
    }
    let mut socket = server.connect().await;
    let body = json!({ "topics": ["*.x"], "from": { "last": 3 } });
    let answer = socket.ask("subscribe", body).await;
    let mut account = Account::default();
    account.begin(&answer);
    account.read(&mut socket, |a| a.received("a").len() == 3 && a.received("b").len() == 3).await;
    assert_eq!(account.received("a"), [95, 97, 99]);
    assert_eq!(account.received("b"), [48, 49, 50]);
    assert_eq!(answer.get("truncated"), None);

    let events = server.get("/v1/streams/a/events?limit=100").await;
    let events = events["events"].as_array().unwrap().clone();
    let since = number(&events[40], "time");
    let first = events.iter().find(|event| number(event, "time") >= since).unwrap();
    let mut socket = server.connect().await;
    let body = json!({ "topics": ["a.>"], "from": { "since": since } });
    let answer = socket.ask("subscribe", body).await;
    assert_eq!(position(&answer, "a"), number(first, "seq") - 1);
    let mut account = Account::default();
    account.begin(&answer);
    account.read(&mut socket, |account| account.at("a") == 100).await;
    assert_eq!(account.received("a")[0], number(first, "seq"));
}

#[tokio::test]
async fn a_position_ahead_of_the_stream_or_of_another_epoch_is_not_believed() {
    let server = start(STREAMS);
    server.publish_numbers("a.x", 0..5).await;
    let epoch = text(&server.get("/v1/streams/a").await, "epoch");
    let mut socket = server.connect().await;
    let from = |epoch: &str, after: u64| {
        json!({ "topics": ["a.>"], "from": { "positions": [
            { "stream": "a", "epoch": epoch, "after": after }] } })
    };
    let error = socket.ask_refused("subscribe", from(&epoch, 6)).await;
    assert_eq!(error["code"], "bad_request", "{error}");
    // The refusal left nothing behind.
    server.publish("a.x", json!("unwanted")).await;
    socket.ask("ping", json!({})).await;

    let answer = socket.ask("subscribe", from("another", 3)).await;
    assert_eq!(position(&answer, "a"), 0, "{answer}");
    let gap = socket.json().await;
    assert_eq!(gap["gap"]["reason"], "epoch", "{gap}");
    assert_eq!((&gap["gap"]["from"], &gap["gap"]["to"]), (&json!(1), &json!(0)));
    for seq in 1..=6 {
        assert_eq!(socket.json().await["event"]["seq"], seq);
    }
    assert_eq!(socket.next_within(Duration::from_millis(100)).await, None::<Incoming>);
}

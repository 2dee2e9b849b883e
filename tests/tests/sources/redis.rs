use serde_json::{Value, json};
use tidings_tests::harness::server::temporary_directory;
use tidings_tests::harness::{Backing, Feeder, SOON, TestServer, eventually};

use super::{is_degraded, kept, kept_events};

fn source(redis: &Backing, rest: &str) -> String {
    format!("[redis]\nurl = \"{}\"\n[[source]]\nkind = \"redis\"\n{rest}\n", redis.url())
}

async fn add(feeder: &mut Feeder, key: &str, fields: &[(&str, &str)]) {
    let mut words: Vec<&[u8]> = vec![b"XADD", key.as_bytes(), b"*"];
    for (name, value) in fields {
        words.extend([name.as_bytes(), value.as_bytes()]);
    }
    feeder.command(&words).await;
}

#[tokio::test]
async fn channels_and_patterns_bring_events_for_their_users() {
    let redis = Backing::redis_with("canary").await;
    let rest = "channels = [\"news\", \"blob:*\"]\nroot = \"studio\"\nuser = \"/user\"";
    let server = TestServer::spawn(&source(&redis, rest)).await;
    is_degraded(&server, false).await;
    let mut feeder = Feeder::connect(&redis).await;
    for (channel, data) in [
        ("news", r#"{"user":"ann"}"#),
        ("blob:created", r#"{"user":"bob"}"#),
        ("blob:created", "garbage"),
        ("other", r#"{"user":"ann"}"#),
        ("blob: ", r#"{"user":"ann"}"#),
        ("blob:last", r#"{"user":"eve"}"#),
    ] {
        feeder.command(&[b"PUBLISH", channel.as_bytes(), data.as_bytes()]).await;
    }
    feeder.flush().await;
    let events = kept_events(&server, 3).await;
    let seen: Vec<_> = events.iter().map(|event| (&event["topic"], &event["user"])).collect();
    let topics = ["studio.news", "studio.blob.created", "studio.blob.last"].map(Value::from);
    let users = ["ann", "bob", "eve"].map(Value::from);
    assert_eq!(seen, topics.iter().zip(&users).collect::<Vec<_>>());
    assert_eq!(server.metric("source_without_user").await, 1);
    assert_eq!(server.metric("source_refused").await, 1);
    assert!(!server.log().contains("canary"), "{}", server.log());
}

#[tokio::test]
async fn entries_of_streams_are_read_from_now_on() {
    let redis = Backing::redis().await;
    let mut feeder = Feeder::connect(&redis).await;
    add(&mut feeder, "train:log", &[("data", "\"before\"")]).await;
    feeder.flush().await;
    let rest = "streams = [\"train:log\", \"later\"]\nroot = \"trainer\"";
    let server = TestServer::spawn(&source(&redis, rest)).await;
    is_degraded(&server, false).await;
    add(&mut feeder, "train:log", &[("by", "x"), ("data", r#"{"step":5}"#)]).await;
    add(&mut feeder, "later", &[("step", "6"), ("loss", "0.1")]).await;
    add(&mut feeder, "train:log", &[("data", "text")]).await;
    feeder.flush().await;
    let events = kept_events(&server, 3).await;
    let of = |topic: &str| -> Vec<Value> {
        let those = events.iter().filter(|event| event["topic"] == topic);
        those.map(|event| event["data"].clone()).collect()
    };
    assert_eq!(of("trainer.train.log"), [json!({ "step": 5 }), json!("text")]);
    assert_eq!(of("trainer.later"), [json!({ "step": "6", "loss": "0.1" })]);
}

#[tokio::test]
async fn entries_that_come_while_redis_or_the_broker_is_away_are_not_lost() {
    let mut redis = Backing::absent_redis();
    let server = TestServer::spawn(&source(&redis, "streams = [\"s\"]")).await;
    is_degraded(&server, true).await;
    server.publish("other", json!(0)).await;
    redis.begin().await;
    is_degraded(&server, false).await;
    let mut expected = vec![json!(0)];
    for round in 1..=3 {
        if round == 2 {
            redis.freeze();
            is_degraded(&server, true).await;
            redis.thaw();
        } else {
            redis.kill();
            redis.begin().await;
        }
        let mut feeder = Feeder::connect(&redis).await;
        for n in 0..100 {
            add(&mut feeder, "s", &[("data", &(round * 1_000 + n).to_string())]).await;
            expected.push((round * 1_000 + n).into());
        }
        feeder.flush().await;
        let events = kept_events(&server, expected.len()).await;
        let data: Vec<_> = events.iter().map(|event| event["data"].clone()).collect();
        assert_eq!(data, expected);
    }
    is_degraded(&server, false).await;
    // While nothing is taken, entries wait where they are.
    server.post("/v1/stop", &Value::Null).await.ok();
    let mut feeder = Feeder::connect(&redis).await;
    for n in 0..500 {
        add(&mut feeder, "s", &[("data", &n.to_string())]).await;
        expected.push(n.into());
    }
    feeder.flush().await;
    server.post("/v1/start", &Value::Null).await.ok();
    let events = kept_events(&server, expected.len()).await;
    let data: Vec<_> = events.iter().map(|event| event["data"].clone()).collect();
    assert_eq!(data, expected);
    assert_eq!(server.metric("source_dropped").await, 0);
}

#[tokio::test]
async fn entries_that_come_while_the_server_is_away_are_read_when_it_is_back() {
    let redis = Backing::redis().await;
    let mut feeder = Feeder::connect(&redis).await;
    let directory = temporary_directory();
    let rest = format!(
        "streams = [\"train:log\", \"other\"]\nroot = \"t\"\nuser = \"/user\"\n[broker]\ndir = {:?}\n\
         [[stream]]\nname = \"t\"\ntopics = [\"t.>\"]\n",
        directory.path()
    );
    add(&mut feeder, "train:log", &[("data", "\"before\"")]).await;
    let mut number = 0;
    for _ in 0..3 {
        let mut server = TestServer::spawn(&source(&redis, &rest)).await;
        is_degraded(&server, false).await;
        read(&server, number).await;
        add_numbers(&mut feeder, &mut number).await;
        read(&server, number).await;
        // What others publish there says nothing of the stream.
        server.publish("t.train.log", json!("something else")).await;
        server.signal("KILL");
        server.ended().await;
        add_numbers(&mut feeder, &mut number).await;
    }
}

async fn add_numbers(feeder: &mut Feeder, number: &mut usize) {
    for _ in 0..50 {
        *number += 1;
        let data = json!({ "n": number, "user": "ann" }).to_string();
        add(feeder, "train:log", &[("data", &data)]).await;
    }
    feeder.flush().await;
}

/// All numbers up to this one become events, in order and once.
async fn read(server: &TestServer, last: usize) {
    let path = "/v1/streams/t/events?limit=1000";
    let numbers = async || {
        let page = server.get(path).await;
        let events = page["events"].as_array().unwrap().iter();
        events.filter_map(|event| event["data"]["n"].as_u64()).collect::<Vec<_>>()
    };
    eventually("they are read", || async { numbers().await.len() >= last }).await;
    assert_eq!(numbers().await, (1..=last as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_that_began_anew_is_read_from_its_start() {
    let mut redis = Backing::redis().await;
    let mut feeder = Feeder::connect(&redis).await;
    feeder.command(&[b"XADD", b"s", b"99-1", b"data", b"1"]).await;
    feeder.flush().await;
    let server = TestServer::spawn(&source(&redis, "streams = [\"s\"]")).await;
    is_degraded(&server, false).await;
    feeder.command(&[b"DEL", b"s"]).await;
    feeder.command(&[b"XADD", b"s", b"5-1", b"data", b"2"]).await;
    feeder.flush().await;
    redis.kill();
    redis.begin().await;
    let events = kept_events(&server, 1).await;
    assert_eq!(events[0]["data"], 2);
}

#[tokio::test]
async fn a_channel_is_heard_again_after_redis_was_killed_or_frozen() {
    let mut redis = Backing::redis().await;
    let server = TestServer::spawn(&source(&redis, "channels = [\"a.*\"]")).await;
    is_degraded(&server, false).await;
    for round in 0..2 {
        if round == 0 {
            redis.kill();
            is_degraded(&server, true).await;
            redis.begin().await;
        } else {
            redis.freeze();
            is_degraded(&server, true).await;
            redis.thaw();
        }
        is_degraded(&server, false).await;
        let mut feeder = Feeder::connect(&redis).await;
        let started = std::time::Instant::now();
        while !kept(&server).await.iter().any(|event| event["data"] == round) {
            assert!(started.elapsed() < SOON, "{round} does not arrive: {}", server.log());
            feeder.command(&[b"PUBLISH", b"a.x", round.to_string().as_bytes()]).await;
            feeder.flush().await;
        }
    }
    assert_eq!(server.metric("redis_disconnects").await, 2);
}

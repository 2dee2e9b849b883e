//! Clients that drop and come back without saying where they were: nothing is lost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_tests::harness::account::text;
use tidings_tests::harness::{Incoming, SOON, Socket, TestServer};

const REMEMBERS: &str = r#"
[[endpoint]]
path = "/v1/ws"
heartbeat = "200ms"
remember = "5m"
[[stream]]
name = "a"
topics = ["a.>"]
[[stream]]
name = "small"
topics = ["small.>"]
retain = { count = 10 }
"#;

async fn come_back(server: &TestServer, cookie: &str) -> Socket {
    come_back_at(server, cookie, "/v1/ws").await
}

async fn come_back_at(server: &TestServer, cookie: &str, path: &str) -> Socket {
    server.connect_with(path, &format!("Cookie: {cookie}\r\n")).await
}

/// Says hello and nothing of where to go on; what it has again.
async fn greet(socket: &mut Socket) -> Vec<Value> {
    socket.ask("hello", json!({})).await;
    let restored = socket.json().await;
    let Some(restored) = restored.get("restored") else { panic!("{restored}") };
    restored["subscriptions"].as_array().unwrap().iter().map(|one| one["topics"].clone()).collect()
}

/// The data of the next so many live events, whatever else comes.
async fn events(socket: &mut Socket, count: usize) -> Vec<u64> {
    let mut found = Vec::new();
    while found.len() < count {
        found.push(socket.json_with_any("event").await["event"]["data"].as_u64().unwrap());
    }
    found
}

/// Answers a ping, and knows that the answer has arrived.
async fn confirm(socket: &mut Socket) {
    socket.pong().await;
    socket.send(&json!({ "id": 77, "ping": {} })).await;
    while socket.json_with_any("id").await["id"] != 77 {}
}

/// A client that subscribed, was confirmed to have the events up to 5, and got more.
async fn in_the_middle(server: &TestServer) -> (Socket, String) {
    let mut socket = server.subscriber(&["a.>"]).await;
    let cookie = socket.cookie().unwrap();
    server.publish_numbers("a.x", 1..=5).await;
    assert_eq!(events(&mut socket, 5).await, [1, 2, 3, 4, 5]);
    confirm(&mut socket).await;
    server.publish_numbers("a.x", 6..=10).await;
    (socket, cookie)
}

#[tokio::test]
async fn a_connection_that_is_reset_in_the_middle_of_a_stream_goes_on() {
    let server = super::start(REMEMBERS);
    let (socket, cookie) = in_the_middle(&server).await;
    socket.cut();
    server.has_remembered(1).await;
    server.publish_numbers("a.x", 11..=15).await;
    let mut socket = come_back(&server, &cookie).await;
    assert_eq!(greet(&mut socket).await, [json!(["a.>"])]);
    // What was written and perhaps never read comes again.
    assert_eq!(events(&mut socket, 10).await, (6..=15).collect::<Vec<u64>>());
    server.publish("a.x", json!(16)).await;
    assert_eq!(events(&mut socket, 1).await, [16]);
    server.has_remembered(0).await;
}

#[tokio::test]
async fn it_works_again_and_again_on_whichever_worker() {
    let server = super::start(REMEMBERS);
    let (mut socket, cookie) = in_the_middle(&server).await;
    let mut last = 10;
    for round in 0..6 {
        drop(socket);
        server.has_remembered(1).await;
        server.publish_numbers("a.x", last + 1..=last + 3).await;
        last += 3;
        // Another client in between, so that the next one comes to another worker.
        if round % 2 == 0 {
            drop(server.connect().await);
        }
        socket = come_back(&server, &cookie).await;
        greet(&mut socket).await;
        let first = events(&mut socket, 1).await[0];
        assert!(first <= last - 2, "{first} leaves a hole before {}", last - 2);
        let rest = events(&mut socket, (last - first) as usize).await;
        assert_eq!(rest, (first + 1..=last).collect::<Vec<u64>>());
        confirm(&mut socket).await;
    }
}

#[tokio::test]
async fn without_a_pong_it_begins_where_it_began() {
    let server = super::start(&REMEMBERS.replace("200ms", "1h"));
    server.publish_numbers("a.x", 1..=3).await;
    let mut socket = server.subscriber(&["a.>"]).await;
    server.publish_numbers("a.x", 4..=6).await;
    events(&mut socket, 3).await;
    let cookie = socket.cookie().unwrap();
    drop(socket);
    server.has_remembered(1).await;
    let mut socket = come_back(&server, &cookie).await;
    greet(&mut socket).await;
    assert_eq!(events(&mut socket, 3).await, [4, 5, 6]);
}

#[tokio::test]
async fn who_vanishes_without_a_word_and_returns_at_once_misses_nothing() {
    let server = super::start(REMEMBERS);
    let (mut dead, cookie) = in_the_middle(&server).await;
    // It answers nothing any more, but its connection stands for all that the server can tell.
    dead.pongs = false;
    let mut socket = come_back(&server, &cookie).await;
    socket.ask("hello", json!({})).await;
    server.publish_numbers("a.x", 11..=15).await;
    let restored = socket.json_with_any("restored").await;
    assert_eq!(restored["restored"]["subscriptions"][0]["topics"], json!(["a.>"]));
    assert_eq!(events(&mut socket, 10).await, (6..=15).collect::<Vec<u64>>());
    drop(dead);
}

#[tokio::test]
async fn who_subscribes_anew_meanwhile_gets_the_rest_apart() {
    let server = super::start(REMEMBERS);
    let (mut dead, cookie) = in_the_middle(&server).await;
    dead.pongs = false;
    let mut socket = come_back(&server, &cookie).await;
    socket.subscribe(&["a.>"]).await;
    server.publish_numbers("a.x", 11..=12).await;
    let (mut live, mut replayed, mut is_done) = (Vec::new(), Vec::new(), false);
    while !is_done || live.len() < 2 {
        let Some(next) = socket.next_within(SOON).await else {
            panic!("nothing comes behind {live:?} and {replayed:?}")
        };
        let Incoming::Json(message) = next else { continue };
        let number = |event: &Value| event["data"].as_u64().unwrap();
        if let Some(event) = message.get("event") {
            live.push(number(event));
        } else if let Some(replay) = message.get("replay") {
            replayed.extend(replay["events"].as_array().unwrap().iter().map(number));
            is_done = replay["done"] == true;
        }
    }
    assert_eq!(live, [11, 12]);
    assert!(replayed.starts_with(&[6, 7, 8, 9, 10]), "{replayed:?}");
}

#[tokio::test]
async fn what_a_client_had_is_nobody_elses() {
    let server = super::start(REMEMBERS);
    let (socket, _) = in_the_middle(&server).await;
    drop(socket);
    server.has_remembered(1).await;
    for other in ["a=b", "tidings_continuity=AAAAAAAAAAAAAAAAAAAAAA", "tidings_continuity=x"] {
        let mut socket = come_back(&server, other).await;
        socket.ask("hello", json!({ "device": "phone" })).await;
        socket.ask("ping", json!({})).await;
        let connection = server.get(&format!("/v1/connections/{}", socket.client())).await;
        assert_eq!(connection["subscriptions"], json!([]));
    }
    // A device that nobody vouches for is no identity: anybody could name it.
    for _ in 0..2 {
        let path = "/v1/ws?device=phone&topics=a.y";
        let mut socket = server.connect_at(path).await;
        let begun = socket.json_with("ok").await;
        assert_eq!(begun["ok"]["topics"], json!(["a.y"]), "{begun}");
        let connection = server.get(&format!("/v1/connections/{}", socket.client())).await;
        assert_eq!(connection["subscriptions"], json!(["a.y"]));
    }
}

#[tokio::test]
async fn two_of_one_browser_keep_their_own_and_the_longest_dropped_is_taken_first() {
    let server = super::start(REMEMBERS);
    let mut first = server.subscriber(&["a.one"]).await;
    let cookie = first.cookie().unwrap();
    let mut second = come_back(&server, &cookie).await;
    second.subscribe(&["a.two"]).await;
    assert_eq!(second.cookie().unwrap(), cookie);
    // It lives, as is seen after the second came.
    first.ask_seeing("ping", json!({}), drop).await;
    for (socket, left) in [(first, 1), (second, 2)] {
        socket.cut();
        server.has_remembered(left).await;
    }
    for topics in ["a.one", "a.two"] {
        let mut socket = come_back(&server, &cookie).await;
        assert_eq!(greet(&mut socket).await, [json!([topics])]);
        // It stays, or it would be the next one's.
        std::mem::forget(socket);
    }
    server.has_remembered(0).await;
}

#[tokio::test]
async fn what_nobody_comes_back_for_is_forgotten() {
    let server = super::start(&REMEMBERS.replace("5m", "1s"));
    let (socket, cookie) = in_the_middle(&server).await;
    drop(socket);
    server.has_remembered(1).await;
    server.has_remembered(0).await;
    let mut socket = come_back(&server, &cookie).await;
    socket.ask("hello", json!({})).await;
    socket.ask("ping", json!({})).await;
    assert_eq!(server.metric("remembered_crowded_out").await, 0);
}

#[tokio::test]
async fn so_many_are_remembered_and_no_more() {
    for limit in ["remembered = 1", "remembered_bytes = \"1KiB\""] {
        let server = super::start(&format!("{REMEMBERS}\n[limits]\n{limit}\n"));
        let mut cookies = Vec::new();
        // Enough for one in a KiB, and too much for two.
        let long = format!("a.{}", "x".repeat(240));
        for left in [0, 1] {
            let mut socket = server.connect().await;
            socket.subscribe(&[&long, "a.y"]).await;
            cookies.push(socket.cookie().unwrap());
            drop(socket);
            server.has_connections(0).await;
            let began = Instant::now();
            while server.metric("remembered_crowded_out").await != left {
                assert!(began.elapsed() < SOON, "{limit}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        server.has_remembered(1).await;
        let mut socket = come_back(&server, &cookies[1]).await;
        assert_eq!(greet(&mut socket).await, [json!([long, "a.y"])]);
        let mut socket = come_back(&server, &cookies[0]).await;
        socket.ask("hello", json!({})).await;
        socket.ask("ping", json!({})).await;
    }
}

#[tokio::test]
async fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
    let server = super::start(REMEMBERS);
    let socket = server.connect().await;
    let set = socket.set_cookie().unwrap();
    let (value, rest) = set.split_once("; ").unwrap();
    assert_eq!(rest, "Path=/v1/ws; HttpOnly; SameSite=Lax");
    assert_eq!(value.len(), "tidings_continuity=".len() + 22);
    assert_ne!(server.connect().await.cookie().unwrap(), value);
    let server = super::start("");
    assert_eq!(server.connect().await.set_cookie(), None);
}

#[tokio::test]
async fn a_hello_that_says_where_it_goes_on_counts_instead() {
    let server = super::start(REMEMBERS);
    let (socket, cookie) = in_the_middle(&server).await;
    drop(socket);
    server.has_remembered(1).await;
    let epoch = text(&server.get("/v1/streams/a").await, "epoch");
    let mut socket = come_back(&server, &cookie).await;
    let body = json!({
        "resume": [{ "stream": "a", "epoch": epoch, "after": 8 }],
        "subscriptions": [{ "topics": ["a.x"] }],
    });
    socket.ask("hello", body).await;
    assert_eq!(events(&mut socket, 2).await, [9, 10]);
    let connection = server.get(&format!("/v1/connections/{}", socket.client())).await;
    assert_eq!(connection["subscriptions"], json!(["a.x"]));
}

#[tokio::test]
async fn a_simple_client_that_subscribes_again_has_one_subscription() {
    let server = super::start(REMEMBERS);
    let (socket, cookie) = in_the_middle(&server).await;
    drop(socket);
    server.has_remembered(1).await;
    let mut socket = come_back_at(&server, &cookie, "/v1/ws?topics=a.%3E").await;
    let restored = socket.json().await;
    assert!(restored.get("restored").is_some(), "{restored}");
    let begun = socket.json().await;
    assert_eq!((&begun["id"], &begun["ok"]["positions"][0]["seq"]), (&json!(0), &json!(5)));
    assert_eq!(events(&mut socket, 5).await, [6, 7, 8, 9, 10]);
    let connection = server.get(&format!("/v1/connections/{}", socket.client())).await;
    assert_eq!(connection["subscriptions"], json!(["a.>"]));
}

#[tokio::test]
async fn a_client_that_says_nothing_goes_on_at_the_first_heartbeat() {
    let server = super::start(REMEMBERS);
    let (socket, cookie) = in_the_middle(&server).await;
    drop(socket);
    server.has_remembered(1).await;
    let mut socket = come_back(&server, &cookie).await;
    assert_eq!(events(&mut socket, 5).await, [6, 7, 8, 9, 10]);
}

#[tokio::test]
async fn retention_that_overtook_it_is_a_gap() {
    let server = super::start(REMEMBERS);
    let mut socket = server.subscriber(&["small.>"]).await;
    for n in 1..=5 {
        server.publish("small.x", json!(n)).await;
    }
    events(&mut socket, 5).await;
    confirm(&mut socket).await;
    let cookie = socket.cookie().unwrap();
    drop(socket);
    server.has_remembered(1).await;
    for n in 6..=25 {
        server.publish("small.x", json!(n)).await;
    }
    let mut socket = come_back(&server, &cookie).await;
    greet(&mut socket).await;
    let gap = socket.json_with_any("gap").await["gap"].clone();
    let expected = (&json!(6), &json!(15), &json!("retention"));
    assert_eq!((&gap["from"], &gap["to"], &gap["reason"]), expected);
    assert_eq!(events(&mut socket, 10).await, (16..=25).collect::<Vec<u64>>());
}

#[tokio::test]
async fn whom_an_operator_closed_begins_anew() {
    let server = super::start(REMEMBERS);
    let (mut socket, cookie) = in_the_middle(&server).await;
    let path = format!("/v1/connections/{}", socket.client());
    assert_eq!(server.request("DELETE", &path).await.status, 200);
    assert_eq!(socket.close_code().await, 4403);
    server.has_connections(0).await;
    server.has_remembered(0).await;
    let mut socket = come_back(&server, &cookie).await;
    socket.ask("hello", json!({})).await;
    socket.ask("ping", json!({})).await;
}

//! Devices that acknowledge, and come back to where they were.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_tests::harness::account::text;
use tidings_tests::harness::{Account, Socket, TestServer, http};

const STREAMS: &str = r#"
[[stream]]
name = "a"
topics = ["a.>"]
[[stream]]
name = "b"
topics = ["b.>"]
[[stream]]
name = "small"
topics = ["small.>"]
retain = { count = 10 }
"#;

async fn device(server: &TestServer, name: &str) -> Socket {
    let mut socket = server.connect().await;
    socket.ask("hello", json!({ "device": name })).await;
    socket
}

async fn epoch(server: &TestServer, stream: &str) -> String {
    text(&server.get(&format!("/v1/streams/{stream}")).await, "epoch")
}

async fn acknowledge(server: &TestServer, socket: &mut Socket, stream: &str, seq: u64) -> Value {
    let epoch = epoch(server, stream).await;
    socket.ask("ack", json!([{ "stream": stream, "epoch": epoch, "seq": seq }])).await
}

/// The data of the next so many live events.
async fn events(socket: &mut Socket, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(socket.json_with("event").await["event"]["data"].clone());
    }
    found
}

async fn cursors(server: &TestServer, stream: &str) -> Value {
    server.get(&format!("/v1/streams/{stream}/cursors")).await["cursors"].clone()
}

#[tokio::test]
async fn a_device_comes_back_behind_what_it_acknowledged() {
    let server = super::start(STREAMS);
    let mut phone = device(&server, "phone").await;
    phone.subscribe(&["a.>"]).await;
    server.publish_numbers("a.x", 1..=5).await;
    assert_eq!(events(&mut phone, 5).await, [1, 2, 3, 4, 5]);
    let epoch = epoch(&server, "a").await;
    let answer = acknowledge(&server, &mut phone, "a", 3).await;
    assert_eq!(answer, json!({ "positions": [{ "stream": "a", "epoch": epoch, "seq": 3 }] }));
    // An older one changes nothing, and the answer says what holds.
    assert_eq!(acknowledge(&server, &mut phone, "a", 2).await, answer);
    drop(phone);
    server.publish_numbers("a.x", 6..=7).await;
    let mut phone = device(&server, "phone").await;
    let begun = phone.ask("subscribe", json!({ "topics": ["a.>"], "from": "stored" })).await;
    assert_eq!(begun["positions"][0]["seq"], 3);
    assert_eq!(events(&mut phone, 4).await, [4, 5, 6, 7]);
    server.publish("a.x", json!(8)).await;
    assert_eq!(events(&mut phone, 1).await, [8]);
    // Another device has acknowledged nothing: it gets all that is kept.
    let mut tablet = device(&server, "tablet").await;
    tablet.ask("subscribe", json!({ "topics": ["a.>"], "from": "stored" })).await;
    assert_eq!(events(&mut tablet, 8).await, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn an_acknowledgement_without_an_id_is_stored_and_says_nothing() {
    let server = super::start(STREAMS);
    let mut phone = device(&server, "phone").await;
    phone.subscribe(&["a.>"]).await;
    server.publish("a.x", json!(1)).await;
    events(&mut phone, 1).await;
    let epoch = epoch(&server, "a").await;
    phone.send(&json!({ "ack": [{ "stream": "a", "epoch": epoch, "seq": 1 }] })).await;
    // Nothing comes but the pong.
    phone.ask("ping", json!({})).await;
    assert_eq!(cursors(&server, "a").await[0]["seq"], 1);
    phone.send(&json!({ "ack": [{ "stream": "a", "epoch": epoch, "seq": 2 }] })).await;
    let told = phone.json().await;
    assert_eq!(told["error"]["code"], "bad_request", "{told}");
    assert_eq!(cursors(&server, "a").await[0]["seq"], 1);
}

#[tokio::test]
async fn what_a_client_cannot_have_had_is_refused() {
    let server = super::start(STREAMS);
    server.publish_numbers("a.x", 1..=5).await;
    server.publish_numbers("b.x", 1..=5).await;
    let mut phone = device(&server, "phone").await;
    phone.subscribe(&["a.>"]).await;
    let (a, b) = (epoch(&server, "a").await, epoch(&server, "b").await);
    for (stream, epoch, seq, code, says) in [
        ("a", &*a, 6, "bad_request", "was not delivered"),
        ("a", &*b, 5, "bad_request", "is in the epoch"),
        ("b", &*b, 1, "bad_request", "gets nothing of the stream b"),
        ("nowhere", &*a, 1, "not_found", "no stream"),
    ] {
        let body = json!([{ "stream": stream, "epoch": epoch, "seq": seq }]);
        let error = phone.ask_refused("ack", body).await;
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
    }
    // One that is wrong among several: nothing is stored.
    let mixed = json!([
        { "stream": "a", "epoch": a, "seq": 5 }, { "stream": "b", "epoch": b, "seq": 1 },
    ]);
    phone.ask_refused("ack", mixed).await;
    assert_eq!(cursors(&server, "a").await, json!([]));
    // The position at which it began counts as delivered, and so do marks.
    acknowledge(&server, &mut phone, "a", 5).await;
}

#[tokio::test]
async fn cursors_belong_to_devices() {
    let server = super::start(STREAMS);
    let mut nobody = server.subscriber(&["a.>"]).await;
    let body = json!([{ "stream": "a", "epoch": epoch(&server, "a").await, "seq": 0 }]);
    let error = nobody.ask_refused("ack", body).await;
    assert!(error["message"].as_str().unwrap().contains("devices"), "{error}");
    let stored = json!({ "topics": ["a.>"], "from": "stored" });
    let error = nobody.ask_refused("subscribe", stored).await;
    assert!(error["message"].as_str().unwrap().contains("devices"), "{error}");
    // It goes on as before.
    server.publish("a.x", json!(1)).await;
    assert_eq!(events(&mut nobody, 1).await, [1]);
}

#[tokio::test]
async fn every_stream_of_a_wildcard_starts_at_its_own_cursor() {
    let server = super::start(STREAMS);
    server.publish_numbers("a.x", 1..=4).await;
    server.publish_numbers("b.x", 11..=14).await;
    server.publish_numbers("c.x", 21..=22).await;
    let mut phone = device(&server, "phone").await;
    phone.subscribe(&["*.x"]).await;
    acknowledge(&server, &mut phone, "a", 4).await;
    acknowledge(&server, &mut phone, "b", 2).await;
    drop(phone);
    server.publish_numbers("a.x", 5..=5).await;
    // Within the hello that names the device, too.
    let mut phone = server.connect().await;
    let subscriptions = json!([{ "topics": ["*.x"], "from": "stored" }]);
    let answer =
        phone.ask("hello", json!({ "device": "phone", "subscriptions": subscriptions })).await;
    let mut account = Account::default();
    account.begin(&answer);
    account.read(&mut phone, |a| a.at("a") == 5 && a.at("b") == 4 && a.at("default") == 2).await;
    assert_eq!(account.received("a"), [5]);
    assert_eq!(account.received("b"), [3, 4]);
    assert_eq!(account.received("default"), [1, 2]);
}

#[tokio::test]
async fn retention_that_overtook_a_cursor_is_a_gap_and_then_live() {
    let server = super::start(STREAMS);
    let mut phone = device(&server, "phone").await;
    phone.subscribe(&["small.>"]).await;
    for n in 1..=5 {
        server.publish("small.x", json!(n)).await;
    }
    events(&mut phone, 5).await;
    acknowledge(&server, &mut phone, "small", 4).await;
    drop(phone);
    for n in 6..=25 {
        server.publish("small.x", json!(n)).await;
    }
    let mut phone = device(&server, "phone").await;
    phone.ask("subscribe", json!({ "topics": ["small.>"], "from": "stored" })).await;
    let gap = phone.json().await["gap"].clone();
    assert_eq!(
        (&gap["from"], &gap["to"], &gap["reason"]),
        (&json!(5), &json!(15), &json!("retention"))
    );
    assert_eq!(events(&mut phone, 10).await, (16..=25).map(Value::from).collect::<Vec<_>>());
    server.publish("small.x", json!(26)).await;
    assert_eq!(events(&mut phone, 1).await, [26]);
    acknowledge(&server, &mut phone, "small", 26).await;
}

#[tokio::test]
async fn what_the_device_left_unread_comes_apart_and_holds_acknowledgements_back() {
    let server = super::start(STREAMS);
    let mut phone = device(&server, "phone").await;
    phone.subscribe(&["a.>"]).await;
    server.publish_numbers("a.x", 1..=5).await;
    events(&mut phone, 5).await;
    acknowledge(&server, &mut phone, "a", 2).await;
    drop(phone);
    let mut phone = device(&server, "phone").await;
    phone.subscribe(&["a.y"]).await;
    phone.ask("subscribe", json!({ "topics": ["a.x"], "from": "stored" })).await;
    let replay = phone.json().await["replay"].clone();
    let data: Vec<&Value> =
        replay["events"].as_array().unwrap().iter().map(|e| &e["data"]).collect();
    assert_eq!((data, &replay["done"]), (vec![&json!(3), &json!(4), &json!(5)], &json!(true)));
    acknowledge(&server, &mut phone, "a", 5).await;
}

#[tokio::test]
async fn operators_see_how_far_devices_are() {
    let server = super::start(STREAMS);
    server.publish_numbers("a.x", 1..=9).await;
    for name in ["c", "a", "b"] {
        let mut socket = device(&server, name).await;
        socket.subscribe(&["a.>"]).await;
        acknowledge(&server, &mut socket, "a", 7).await;
    }
    let page = server.get("/v1/streams/a/cursors?limit=2").await;
    let names = |page: &Value| -> Vec<String> {
        page["cursors"].as_array().unwrap().iter().map(|cursor| text(cursor, "device")).collect()
    };
    assert_eq!((names(&page), &page["more"]), (vec!["a".into(), "b".into()], &json!(true)));
    let cursor = &page["cursors"][0];
    assert_eq!((&cursor["user"], &cursor["seq"]), (&Value::Null, &json!(7)));
    assert_eq!(text(cursor, "epoch"), epoch(&server, "a").await);
    assert!(cursor["at"].as_u64().unwrap() > 1_700_000_000_000, "{cursor}");
    let next = text(&page, "next");
    let rest = server.get(&format!("/v1/streams/a/cursors?limit=2&after={next}")).await;
    assert_eq!((names(&rest), &rest["more"]), (vec!["c".to_owned()], &json!(false)));
    assert_eq!(server.get("/v1/streams/a/cursors?user=ann").await["cursors"], json!([]));
    for (path, status) in
        [("/v1/streams/nowhere/cursors", 404), ("/v1/streams/a/cursors?after=7", 400)]
    {
        assert_eq!(http::get(server.admin, path).await.status, status, "{path}");
    }
    // Clients have no business there.
    assert_eq!(http::get(server.public, "/v1/streams/a/cursors").await.status, 404);
}

#[tokio::test]
async fn so_many_devices_are_kept_and_who_was_away_longest_begins_anew() {
    let server = super::start(&format!("{STREAMS}\n[limits]\ncursors = 2\n"));
    server.publish_numbers("a.x", 1..=3).await;
    for name in ["first", "second", "third"] {
        let mut socket = device(&server, name).await;
        socket.subscribe(&["a.>"]).await;
        acknowledge(&server, &mut socket, "a", 3).await;
    }
    let kept = cursors(&server, "a").await;
    let kept: Vec<&Value> = kept.as_array().unwrap().iter().map(|c| &c["device"]).collect();
    assert_eq!(kept, ["second", "third"]);
    let mut first = device(&server, "first").await;
    first.ask("subscribe", json!({ "topics": ["a.>"], "from": "stored" })).await;
    assert_eq!(events(&mut first, 3).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_query_names_the_device_for_a_socket_and_for_server_sent_events() {
    let server = super::start(STREAMS);
    server.publish_numbers("a.x", 1..=5).await;
    let mut phone = server.connect_at("/v1/ws?device=phone&topics=a.x").await;
    phone.json_with("ok").await;
    acknowledge(&server, &mut phone, "a", 3).await;
    let mut again = server.connect_at("/v1/ws?device=phone&topics=a.x&stored=true").await;
    assert_eq!(events(&mut again, 2).await, [4, 5]);
    let mut source = server.events("topics=a.x&stored=true&device=phone", None).await;
    let event: Value = serde_json::from_str(&source.next().await.data).unwrap();
    assert_eq!(event["data"], 4);
    for query in [
        "topics=a.x&stored=true",
        "topics=a.x&stored=true&device=",
        "topics=a&last=1&stored=true&device=x",
    ] {
        let reply = http::get(server.public, &format!("/v1/sse?{query}")).await;
        assert_eq!(reply.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_server_that_stood_still_brings_nothing_twice_and_forgets_no_cursor() {
    let server = TestServer::spawn(
        "[[endpoint]]\npath = \"/v1/ws\"\nheartbeat = \"200ms\"\n[[stream]]\nname = \"a\"\ntopics = [\"a.>\"]\n",
    )
    .await;
    let mut phone = device(&server, "phone").await;
    phone.subscribe(&["a.>"]).await;
    server.publish_numbers("a.x", 1..=3).await;
    assert_eq!(live(&mut phone, 3).await, [1, 2, 3]);
    acknowledge(&server, &mut phone, "a", 3).await;
    let mut publisher = server.connect().await;
    server.signal("STOP");
    for n in 4..=5 {
        publisher.send(&json!({ "publish": { "topic": "a.x", "data": n } })).await;
    }
    // The fault itself: several heartbeats long.
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.signal("CONT");
    assert_eq!(live(&mut phone, 2).await, [4, 5]);
    server.publish("a.x", json!(6)).await;
    assert_eq!(live(&mut phone, 1).await, [6]);
    assert_eq!(cursors(&server, "a").await[0]["seq"], 3);
}

/// As [`events`], whatever else comes.
async fn live(socket: &mut Socket, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    while found.len() < count {
        found.push(socket.json_with_any("event").await["event"]["data"].clone());
    }
    found
}

#[tokio::test]
async fn acknowledgements_are_stored_before_a_drain_ends_the_process() {
    let mut server = TestServer::spawn(STREAMS).await;
    let mut phone = device(&server, "phone").await;
    phone.subscribe(&["a.>"]).await;
    server.publish_numbers("a.x", 1..=3).await;
    events(&mut phone, 3).await;
    let epoch = epoch(&server, "a").await;
    // What is answered is stored, though the process is told to end right behind.
    phone.send(&json!({ "id": 9, "ack": [{ "stream": "a", "epoch": epoch, "seq": 3 }] })).await;
    let answer = phone.json_with("id").await;
    server.signal("TERM");
    assert_eq!(answer["ok"]["positions"][0]["seq"], 3);
    assert_eq!(phone.json_with_any("closing").await["closing"]["code"], 1012);
    drop(phone);
    assert_eq!(server.ended().await.code(), Some(0));
}

//! The HTTP API of both listeners.

use serde_json::{Value, json};
use tidings::{Item, Subscribe};
use tidings_tests::harness::account::{number, text};
use tidings_tests::harness::{Account, TestServer, http};

const STREAMS: &str = "[[stream]]\nname = \"news\"\ntopics = [\"news.>\"]\n\
    retain = { count = 1000 }\n[limits]\nevent_bytes = \"4KiB\"\nbody_bytes = \"16KiB\"\npublish_events = 10\n";

#[tokio::test]
async fn publishing_answers_with_the_position_that_subscribers_get() {
    let server = TestServer::start(STREAMS);
    let mut socket = server.subscriber(&["news.>"]).await;
    let body = json!({ "topic": "news.a", "data": { "n": 1 }, "headers": { "trace": "t" } });
    let answer = server.post("/v1/publish", &body).await.ok();
    let epoch = text(&server.get("/v1/streams/news").await, "epoch");
    let expected = json!({ "stream": "news", "epoch": epoch, "seq": 1, "duplicate": false,
        "durability": "memory" });
    assert_eq!(answer, expected);
    let event = socket.json().await["event"].clone();
    assert_eq!((&event["seq"], &event["data"]), (&json!(1), &json!({ "n": 1 })));
    assert_eq!(event["headers"], json!({ "trace": "t" }));
}

#[tokio::test]
async fn data_pass_through_byte_for_byte() {
    let server = TestServer::start(STREAMS);
    let mut socket = server.subscriber(&["news.>"]).await;
    let data = r#"{"z":1,"a":9007199254740993,"f":1.50,"e":1e3,"s":"é\u00e9","deep":[[]]}"#;
    let body = format!(r#"{{"topic":"news.a","data":{data}}}"#);
    let reply = http::send(server.admin, "POST", "/v1/publish", &[], body.as_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    socket.json().await;
    assert!(socket.last_text().contains(&format!("\"data\":{data}}}")), "{}", socket.last_text());
    let events = http::get(server.admin, "/v1/streams/news/events").await.text();
    assert!(events.contains(data), "{events}");
}

#[tokio::test]
async fn null_is_data_like_any_other() {
    let server = TestServer::start(STREAMS);
    let mut socket = server.subscriber(&["news.>"]).await;
    let client = server.library().client();
    let mut within = client.subscribe(Subscribe::to(&["news.>"]).unwrap()).await.unwrap();
    let event = json!({ "topic": "news.a", "data": null });
    server.post("/v1/publish", &event).await.ok();
    let answers = server.post("/v1/publish", &json!([event])).await.ok();
    assert_eq!(answers[0]["seq"], 2, "{answers}");
    socket.ask_seeing("publish", event, |_| {}).await;
    for seq in 1..=3 {
        let Item::Event(event) = within.next().await.unwrap() else { panic!("no event {seq}") };
        assert_eq!((event.seq, event.json::<Value>().unwrap()), (seq, Value::Null));
    }
    let events = server.get("/v1/streams/news/events").await["events"].clone();
    for event in events.as_array().unwrap() {
        assert_eq!(event.get("data"), Some(&Value::Null), "{event}");
    }
}

#[tokio::test]
async fn an_array_is_answered_in_order_with_errors_in_their_places() {
    let server = TestServer::start(STREAMS);
    let mut socket = server.subscriber(&[">"]).await;
    let body = json!([
        { "topic": "news.a", "data": 1 },
        { "topic": "news..a", "data": 2 },
        { "topic": "other", "data": 3 },
        { "topic": "news.a" },
        { "topic": "$system.probe", "data": 4 },
        { "topic": "news.big", "data": "x".repeat(5_000) },
        7,
        { "topic": "news.b", "data": 5, "user": "u", "group": "g" },
        { "topic": "news.b", "data": 6 },
    ]);
    let answer = server.post("/v1/publish", &body).await.ok();
    let answers: Vec<Value> = answer.as_array().unwrap().clone();
    let codes: Vec<&str> = answers
        .iter()
        .map(|one| one["error"]["code"].as_str().unwrap_or_else(|| one["stream"].as_str().unwrap()))
        .collect();
    assert_eq!(
        codes,
        [
            "news",
            "invalid_topic",
            "default",
            "bad_request",
            "forbidden",
            "too_large",
            "bad_request",
            "bad_request",
            "news"
        ]
    );
    assert_eq!((number(&answers[0], "seq"), number(&answers[8], "seq")), (1, 2));
    let mut data = Vec::new();
    for _ in 0..3 {
        data.push(number(&socket.json().await["event"], "data"));
    }
    data.sort_unstable();
    assert_eq!(data, [1, 3, 6]);
    assert_eq!(server.post("/v1/publish", &json!([])).await.ok(), json!([]));
    let many: Vec<Value> = (0..11).map(|n| json!({ "topic": "news.a", "data": n })).collect();
    assert_eq!(server.post("/v1/publish", &json!(many)).await.error(413), "too_large");
}

#[tokio::test]
async fn an_id_makes_publishing_again_harmless_and_other_content_a_conflict() {
    let server = TestServer::start(STREAMS);
    let body = json!({ "topic": "news.a", "data": 1, "id": "one" });
    let first = server.post("/v1/publish", &body).await.ok();
    let again = server.post("/v1/publish", &body).await.ok();
    assert_eq!((number(&again, "seq"), &again["duplicate"]), (number(&first, "seq"), &json!(true)));
    let other = json!({ "topic": "news.a", "data": 2, "id": "one" });
    assert_eq!(server.post("/v1/publish", &other).await.error(409), "id_conflict");
    // The raw route speaks of the same ids.
    let headers = [("Idempotency-Key", "one"), ("Content-Type", "application/json")];
    let raw = http::send(server.admin, "POST", "/v1/publish/news.a", &headers, b"1").await.ok();
    assert_eq!(raw["duplicate"], true);
    // Within one request, too.
    let twice = json!([{ "topic": "news.a", "data": 3, "id": "two" },
                       { "topic": "news.a", "data": 3, "id": "two" },
                       { "topic": "news.a", "data": 4, "id": "two" }]);
    let answers = server.post("/v1/publish", &twice).await.ok();
    assert_eq!((&answers[0]["duplicate"], &answers[1]["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(answers[2]["error"]["code"], "id_conflict");
    assert_eq!(server.get("/v1/streams/news").await["last"], 2);
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_with_the_fitting_status() {
    let server = TestServer::start(STREAMS);
    let headers = [("Content-Type", "application/json")];
    let deep = format!("{{\"topic\":\"t\",\"data\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    let long_id = json!({ "topic": "t", "data": 1, "id": "x".repeat(256) }).to_string();
    for (body, status, code) in [
        ("", 400, "bad_request"),
        ("{", 400, "bad_request"),
        ("7", 400, "bad_request"),
        ("{\"topic\":\"t\"}", 400, "bad_request"),
        ("{\"data\":1}", 400, "bad_request"),
        ("{\"topic\":\"t\",\"topic\":\"u\",\"data\":1}", 400, "bad_request"),
        ("{\"topic\":\"t\",\"data\":1,\"client\":\"nobody\"}", 400, "bad_request"),
        ("{\"topic\":\"t\",\"data\":1,\"user\":\"\"}", 400, "bad_request"),
        ("{\"topic\":\"t\",\"data\":1,\"headers\":{\"a\":1}}", 400, "bad_request"),
        ("{\"topic\":\"t.>\",\"data\":1}", 400, "invalid_topic"),
        ("{\"topic\":\"$x\",\"data\":1}", 403, "forbidden"),
        (&deep, 400, "bad_request"),
        (&long_id, 400, "bad_request"),
    ] {
        let reply =
            http::send(server.admin, "POST", "/v1/publish", &headers, body.as_bytes()).await;
        assert_eq!(reply.error(status), code, "{body}");
    }
    let big = json!({ "topic": "t", "data": "x".repeat(5_000) });
    assert_eq!(server.post("/v1/publish", &big).await.error(413), "too_large");
    let body = vec![b' '; 20_000];
    let reply = http::send(server.admin, "POST", "/v1/publish", &headers, &body).await;
    assert_eq!(reply.error(413), "too_large");
    let reply = http::send(server.admin, "POST", "/v1/publish/t", &[], &body).await;
    assert_eq!(reply.error(413), "too_large");
    for path in ["/v1/streams/%ff", "/v1/connections/%ff"] {
        assert_eq!(http::get(server.admin, path).await.error(400), "bad_request");
    }
    let reply = http::send(server.admin, "POST", "/v1/publish/t..u", &[], b"1").await;
    assert_eq!(reply.error(400), "invalid_topic");
    let reply = http::send(server.admin, "POST", "/v1/publish/t", &headers, b"{").await;
    assert_eq!(reply.error(400), "bad_request");
    assert_eq!(server.get("/v1/streams/default").await["last"], 0);
}

#[tokio::test]
async fn a_streams_events_are_read_page_by_page() {
    let server = TestServer::start(STREAMS);
    for n in 0..25 {
        let topic = if n % 5 == 0 { "news.fifth" } else { "news.other" };
        server.publish(topic, json!(n)).await;
    }
    let (mut after, mut found) = (0, Vec::new());
    loop {
        let page = server.get(&format!("/v1/streams/news/events?after={after}&limit=10")).await;
        assert_eq!((number(&page, "first"), number(&page, "last")), (1, 25));
        let events = page["events"].as_array().unwrap().clone();
        assert!(events.len() <= 10);
        found.extend(events.iter().map(|event| number(event, "data")));
        after = number(&page, "after");
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(found, (0..25).collect::<Vec<_>>());
    let page = server.get("/v1/streams/news/events?topic=news.fifth&after=1").await;
    let fifth: Vec<u64> =
        page["events"].as_array().unwrap().iter().map(|event| number(event, "seq")).collect();
    assert_eq!(fifth, [6, 11, 16, 21]);
    assert_eq!(page["more"], false);
    // Of an epoch that is over, the place means nothing: it begins with what is kept.
    let page = server.get("/v1/streams/news/events?after=20&epoch=over&limit=1").await;
    assert_eq!(page["events"][0]["seq"], 1, "{page}");
    assert_eq!(page["epoch"], server.get("/v1/streams/news").await["epoch"]);
    for (path, status) in [
        ("/v1/streams/news/events?after=x", 400),
        ("/v1/streams/news/events?limit=-1", 400),
        ("/v1/streams/news/events?limit=0", 400),
        ("/v1/streams/news/events?limit=10001", 400),
        ("/v1/connections?limit=0", 400),
        ("/v1/streams/news/events?limit=10000&unknown=1", 200),
        ("/v1/streams/news/events?topic=a..b", 400),
        ("/v1/streams/none/events", 404),
        ("/v1/streams/none", 404),
    ] {
        assert_eq!(http::get(server.admin, path).await.status, status, "{path}");
    }
    let state = server.get("/v1/streams/news").await;
    assert_eq!(
        (number(&state, "first"), number(&state, "last"), number(&state, "events")),
        (1, 25, 25)
    );
    let list = server.get("/v1/streams").await;
    let names: Vec<&str> =
        list["streams"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"news") && names.contains(&"default"), "{names:?}");
}

#[tokio::test]
async fn clients_read_kept_events_of_the_public_side_but_only_what_they_may_see() {
    let server = TestServer::start(STREAMS);
    server.publish("news.a", json!(1)).await;
    let private = json!({ "topic": "news.a", "data": 2, "user": "somebody" });
    server.post("/v1/publish", &private).await.ok();
    let page = http::get(server.public, "/v1/events?topic=news.a").await.ok();
    assert_eq!(page["events"].as_array().unwrap().len(), 1, "{page}");
    let admin = server.get("/v1/streams/news/events").await;
    assert_eq!(admin["events"][1]["user"], "somebody");
    let none = http::get(server.public, "/v1/events?limit=1").await;
    assert_eq!(none.error(400), "bad_request");
    assert!(none.text().contains("topic is missing"), "{}", none.text());
    let several = http::get(server.public, "/v1/events?topic=%3E").await;
    assert_eq!(several.error(400), "bad_request");
    let system = http::get(server.public, "/v1/events?topic=$system.probe").await;
    assert_eq!(system.error(403), "forbidden");
}

#[tokio::test]
async fn the_public_side_says_where_else_something_is() {
    let server = TestServer::start(STREAMS);
    let body = json!({ "topic": "news.a", "data": 1 }).to_string();
    let reply = http::send(server.public, "POST", "/v1/publish", &[], body.as_bytes()).await;
    assert_eq!(reply.error(404), "not_found");
    assert!(reply.text().contains("admin listener"), "{}", reply.text());
    // A WebSocket endpoint that is asked like a page names the protocol that it needs.
    let reply = http::get(server.public, "/v1/ws").await;
    assert_eq!(reply.error(426), "bad_request");
    assert_eq!(reply.header("upgrade"), Some("websocket"));
    assert_eq!(http::get(server.admin, "/v1/ws").await.error(404), "not_found");
}

#[tokio::test]
async fn connections_are_listed_page_by_page_shown_and_closed() {
    let server = TestServer::start(STREAMS);
    let mut sockets = Vec::new();
    for _ in 0..7 {
        sockets.push(server.subscriber(&["news.>"]).await);
    }
    server.publish("news.a", json!(1)).await;
    for socket in &mut sockets {
        socket.json().await;
    }
    let (mut after, mut ids) = (String::new(), Vec::new());
    loop {
        let page = server.get(&format!("/v1/connections?limit=3{after}")).await;
        assert_eq!(page["total"], 7);
        let found = page["connections"].as_array().unwrap();
        ids.extend(found.iter().map(|one| text(one, "id")));
        after = format!("&after={}", ids.last().unwrap());
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(ids, sockets.iter().map(tidings_tests::harness::Socket::client).collect::<Vec<_>>());
    let one = server.get(&format!("/v1/connections/{}", ids[3])).await;
    assert_eq!(one["address"], sockets[3].local_address().to_string());
    assert_eq!((&one["endpoint"], &one["dialect"]), (&json!("/v1/ws"), &json!("native")));
    assert_eq!(
        (&one["messages_in"], &one["messages_out"], &one["lag"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(one["subscriptions"], json!(["news.>"]));
    assert_eq!(one["positions"][0]["seq"], 1);

    let closed = server.request("DELETE", &format!("/v1/connections/{}", ids[3])).await;
    assert_eq!(closed.status, 200);
    assert_eq!(sockets[3].json_with("closing").await["closing"]["code"], 4403);
    assert_eq!(sockets[3].close_code().await, 4403);
    server.has_connections(6).await;
    let gone = server.request("DELETE", &format!("/v1/connections/{}", ids[3])).await;
    assert_eq!(gone.error(404), "not_found");
    assert_eq!(http::get(server.admin, "/v1/connections/nonsense").await.status, 400);
    let none = server.get("/v1/connections?user=nobody").await;
    assert_eq!(none["connections"], json!([]));
}

#[tokio::test]
async fn while_stopped_nothing_is_published_or_let_in_and_all_goes_on_afterwards() {
    let server = TestServer::start(STREAMS);
    let mut socket = server.connect().await;
    let mut account = Account::default();
    account.begin(&socket.subscribe(&["news.>"]).await);
    server.publish("news.a", json!(1)).await;
    account.read(&mut socket, |account| account.at("news") == 1).await;
    server.post("/v1/stop", &Value::Null).await.ok();
    assert_eq!(http::get(server.admin, "/readyz").await.status, 503);
    assert_eq!(http::get(server.public, "/healthz").await.status, 200);
    let refused = server.post("/v1/publish", &json!({ "topic": "news.a", "data": 2 })).await;
    assert_eq!(refused.error(503), "draining");
    assert!(refused.header("retry-after").is_some());
    let error = socket.ask_refused("publish", json!({ "topic": "news.a", "data": 2 })).await;
    assert_eq!(error["code"], "draining");
    server.post("/v1/start", &Value::Null).await.ok();
    server.publish("news.a", json!(3)).await;
    account.read(&mut socket, |account| account.at("news") == 2).await;
    assert_eq!(http::get(server.admin, "/readyz").await.status, 200);
}

#[tokio::test]
async fn the_figures_say_what_happened_in_both_forms() {
    let server = TestServer::start(STREAMS);
    let mut sockets = [server.subscriber(&["news.>"]).await, server.subscriber(&["news.a"]).await];
    for n in 0..10 {
        server.publish("news.a", json!(n)).await;
    }
    for socket in &mut sockets {
        for _ in 0..10 {
            socket.json().await;
        }
    }
    sockets[0].ask_refused("subscribe", json!({})).await;
    let metrics = server.get("/v1/metrics").await;
    for (name, value) in [
        ("connections", 2),
        ("events_published", 10),
        ("deliveries", 20),
        ("messages_in", 2),
        ("errors", 1),
        ("gaps", 0),
        ("kept_events", 10),
        ("outbox_bytes", 0),
        ("lag_events", 0),
    ] {
        assert_eq!(number(&metrics, name), value, "{name} in {metrics}");
    }
    let page = http::get(server.admin, "/metrics").await.text();
    for line in ["tidings_connections 2", "tidings_deliveries_total 20", "tidings_errors_total 1"] {
        assert!(page.lines().any(|found| found == line), "no `{line}` in {page}");
    }
    assert!(page.ends_with("# EOF\n"));
}

//! Coming back with positions.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_tests::harness::account::{number, text};
use tidings_tests::harness::pour::seqs;
use tidings_tests::harness::{Account, Incoming, Pour, TestServer};

use super::start;

const STREAMS: &str = r#"
[[stream]]
name = "a"
topics = ["a.>"]
retain = { count = 1_000_000 }
[[stream]]
name = "small"
topics = ["small.>"]
retain = { count = 10 }
"#;

async fn hello(server: &TestServer, body: Value) -> (tidings_tests::harness::Socket, Value) {
    let mut socket = server.connect().await;
    let answer = socket.ask("hello", body).await;
    (socket, answer)
}

#[tokio::test]
async fn a_client_that_drops_again_and_again_loses_nothing_and_gets_nothing_twice() {
    let server = start(STREAMS);
    let topics = ["a.x", "a.y", "c.x"];
    let pour = Pour::start(server.library().publisher(), &topics, Duration::from_millis(1));
    let subscriptions =
        json!([{ "topics": ["a.x"] }, { "topics": ["*.x"] }, { "topics": ["c.>"] }]);
    let (mut socket, answer) = hello(&server, json!({ "subscriptions": subscriptions })).await;
    let mut account = Account::default();
    account.begin(&answer);
    let begun = account.clone();
    for round in 0..40 {
        let at = account.at("a");
        account.read(&mut socket, |account| account.at("a") >= at + 1 + round % 7 * 5).await;
        drop(socket);
        let body = json!({ "resume": account.resume(), "subscriptions": subscriptions });
        let answer;
        (socket, answer) = hello(&server, body).await;
        assert_eq!(answer["subscriptions"].as_array().unwrap().len(), 3, "{answer}");
        for subscribed in answer["subscriptions"].as_array().unwrap() {
            for position in subscribed["positions"].as_array().unwrap() {
                assert_eq!(number(position, "seq"), account.at(&text(position, "stream")));
            }
        }
    }
    let published = pour.stop();
    for stream in ["a", "default"] {
        let within = (begun.at(stream), account.at(stream));
        let expected = seqs(&published, stream, within, |topic| topic.ends_with(".x"));
        assert_eq!(account.received(stream), expected, "{stream}");
        assert_eq!(account.gaps(stream), []);
    }
}

#[tokio::test]
async fn a_stream_that_is_not_named_starts_at_its_first_kept_event() {
    let server = start(STREAMS);
    server.publish_numbers("small.x", 1..=25).await;
    server.publish_numbers("a.x", 1..=5).await;
    let epoch = text(&server.get("/v1/streams/a").await, "epoch");
    let body = json!({
        "resume": [{ "stream": "a", "epoch": epoch, "after": 3 }],
        "subscriptions": [{ "topics": ["a.>", "small.>"] }],
    });
    let (mut socket, answer) = hello(&server, body).await;
    let mut account = Account::default();
    account.begin(&answer);
    account.read(&mut socket, |a| a.at("a") == 5 && a.at("small") == 25).await;
    assert_eq!(account.received("a"), [4, 5]);
    assert_eq!(account.received("small"), (16..=25).collect::<Vec<_>>());
    assert_eq!(account.gaps("small"), []);
}

#[tokio::test]
async fn what_retention_took_meanwhile_is_one_gap() {
    let server = start(STREAMS);
    // One by one: what was appended together may stay at hand a little longer together.
    for n in 1..=25 {
        server.publish("small.x", json!(n)).await;
    }
    let epoch = text(&server.get("/v1/streams/small").await, "epoch");
    let body = json!({
        "resume": [{ "stream": "small", "epoch": epoch, "after": 3 }],
        "subscriptions": [{ "topics": ["small.>"] }],
    });
    let (mut socket, answer) = hello(&server, body).await;
    let mut account = Account::default();
    account.begin(&answer);
    account.read(&mut socket, |account| account.at("small") == 25).await;
    let first = number(&server.get("/v1/streams/small").await, "first");
    assert_eq!(first, 16);
    assert_eq!(account.gaps("small"), [(4, first - 1, "retention".to_owned())]);
    assert_eq!(account.received("small"), (first..=25).collect::<Vec<_>>());
    server.publish("small.x", json!(26)).await;
    account.read(&mut socket, |account| account.at("small") == 26).await;
}

#[tokio::test]
async fn a_session_gives_the_client_id_back_and_closes_who_still_has_it() {
    let server = start(STREAMS);
    let mut old = server.connect().await;
    old.ask("hello", json!({ "device": "phone" })).await;
    let client = old.client();
    let url = format!("/v1/connections/{client}");
    assert_eq!(server.get(&url).await["device"], "phone");
    // Not reading, so its connection is half open for all that the server can tell.
    let (new, answer) = hello(
        &server,
        json!({ "session": old.session(), "subscriptions": [{ "topics": ["a.>"] }] }),
    )
    .await;
    assert_eq!(answer["client"], client);
    let closing = old.json_with("closing").await;
    assert_eq!(closing["closing"]["code"], 4409, "{closing}");
    assert_eq!(closing["closing"].get("reconnect"), None);
    assert_eq!(old.close_code().await, 4409);
    server.has_connections(1).await;
    // What is sent to the id now reaches the new connection.
    let mut new = new;
    let body = json!({ "topic": "a.x", "data": 1, "client": client });
    assert_eq!(server.post("/v1/publish", &body).await.status, 200);
    assert_eq!(new.json().await["event"]["topic"], "a.x");
    assert_eq!(server.get(&url).await["subscriptions"], json!(["a.>"]));
}

#[tokio::test]
async fn a_session_that_is_no_session_gives_no_id() {
    let server = start(STREAMS);
    let other = server.connect().await;
    let mut forged = other.session();
    forged.replace_range(0..1, if forged.starts_with('A') { "B" } else { "A" });
    for session in [forged, "nonsense".to_owned()] {
        let mut socket = server.connect().await;
        let own = socket.client();
        let answer = socket.ask("hello", json!({ "session": session })).await;
        assert_eq!(answer["client"], own);
    }
    let mut other = other;
    other.ask("ping", json!({})).await;
}

#[tokio::test]
async fn hello_comes_first_or_not_at_all() {
    let server = start(STREAMS);
    let mut socket = server.subscriber(&["a.>"]).await;
    let error =
        socket.ask_refused("hello", json!({ "subscriptions": [{ "topics": ["c"] }] })).await;
    assert_eq!(error["code"], "bad_request");
    server.publish("c", json!(0)).await;
    server.publish("a.x", json!(1)).await;
    assert_eq!(socket.json().await["event"]["topic"], "a.x");

    let mut malformed = server.connect().await;
    malformed.send(&json!({ "id": 1, "hello": { "resume": 7 } })).await;
    assert_eq!(malformed.json().await["error"]["code"], "bad_request");
    assert_eq!(malformed.json_with("closing").await["closing"]["code"], 4400);
    assert_eq!(malformed.close_code().await, 4400);
}

#[tokio::test]
async fn a_hello_with_one_wrong_part_begins_nothing() {
    let server = start(&format!("{STREAMS}\n[auth.roles.anonymous]\nsubscribe = [\"a.>\"]\n"));
    let mut socket = server.connect().await;
    let body = json!({ "subscriptions": [{ "topics": ["a.x"] }, { "topics": ["secret.x"] }] });
    assert_eq!(socket.ask_refused("hello", body).await["code"], "forbidden");
    server.publish("a.x", json!(1)).await;
    assert_eq!(socket.next_within(Duration::from_millis(200)).await, None::<Incoming>);
}

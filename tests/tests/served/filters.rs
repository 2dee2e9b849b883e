//! Conditions on data, from the wire and back.

use protocol::Start;
use serde_json::{Value, json};
use tidings::{Client, Item, Subscribe};
use tidings_tests::harness::account::number;
use tidings_tests::harness::{TestServer, http};

const CONFIDENT: &str = r#"{"field":"/confidence","op":"ge","value":0.8}"#;

/// Events whose confidence is a tenth of their number, and one that is bytes.
async fn publish_words(server: &TestServer) {
    for tenths in 1..=10 {
        let data = json!({ "n": tenths, "confidence": f64::from(tenths) / 10.0 });
        server.publish("words.en", data).await;
    }
    let headers = [("Content-Type", "audio/l16")];
    http::send(server.admin, "POST", "/v1/publish/words.en", &headers, b"{}").await.ok();
}

fn confident() -> Value {
    serde_json::from_str(CONFIDENT).unwrap()
}

#[tokio::test]
async fn only_what_holds_comes_live_in_a_replay_and_as_the_last_few() {
    let server = super::start("[[endpoint]]\npath = \"/v1/ws\"\nheartbeat = \"200ms\"");
    let mut socket = server.connect().await;
    let body = json!({ "topics": ["words.>"], "filter": confident() });
    socket.ask("subscribe", body).await;
    publish_words(&server).await;
    for n in 8..=10 {
        assert_eq!(number(&socket.json_with("event").await["event"]["data"], "n"), n);
    }
    // The mark moves past what was left out, the bytes at the end among it.
    let mark = socket.json_with("mark").await;
    assert_eq!(mark["mark"][0]["seq"], 11);
    let last = json!({ "topics": ["words.>"], "from": { "last": 2 },
        "filter": { "not": confident() } });
    let name = socket.ask("subscribe", last).await["subscription"].clone();
    let replay = socket.json_with("replay").await["replay"].clone();
    assert_eq!(replay["subscription"], name);
    let replayed: Vec<u64> = replay["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| number(&event["data"], "n"))
        .collect();
    assert_eq!(replayed, [6, 7]);
    // Both together are all that has fields, each once.
    publish_words(&server).await;
    for n in 1..=10 {
        assert_eq!(number(&socket.json_with("event").await["event"]["data"], "n"), n);
    }
}

#[tokio::test]
async fn a_filter_that_is_none_is_refused_where_it_is_wrong() {
    let server = super::start("");
    let mut socket = server.connect().await;
    let filter = json!({ "all": [confident(), { "field": "/a", "op": "like", "value": 1 }] });
    let error = socket.ask_refused("subscribe", json!({ "topics": [">"], "filter": filter })).await;
    assert_eq!(error["code"], "bad_request");
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("subscribe.filter.all[1].op must be one of eq"), "{message}");
    let query = "/v1/sse?topics=a&filter=%7B%22any%22:%5B%5D%7D";
    let refused = http::get(server.public, query).await;
    assert_eq!(refused.error(400), "bad_request");
    assert!(refused.text().contains("filter.any must be a list of at least one"));
}

#[tokio::test]
async fn server_sent_events_are_filtered_and_resume_filtered() {
    let server = super::start("");
    let query = format!("topics=words.%3E&last=1&filter={}", CONFIDENT.replace('"', "%22"));
    publish_words(&server).await;
    let mut source = server.events(&query, None).await;
    assert_eq!(source.next_named("").await.json()["data"]["n"], 10);
    let last_id = source.last_id.clone();
    drop(source);
    publish_words(&server).await;
    let query = query.replace("&last=1", "");
    let mut source = server.events(&query, Some(&last_id)).await;
    for n in 8..=10 {
        assert_eq!(source.next_named("").await.json()["data"]["n"], n);
    }
}

#[tokio::test]
async fn each_subscription_of_a_client_gets_what_its_own_filter_accepts() {
    let server = super::start("");
    let url = format!("http://{}", server.public);
    let client = Client::connect(&url, Default::default()).await.unwrap();
    let words = || Subscribe::to(&["words.>"]).unwrap();
    let mut some = client.subscribe(words().filter(CONFIDENT).unwrap()).await.unwrap();
    let mut all = client.subscribe(words()).await.unwrap();
    publish_words(&server).await;
    for seq in 1..=11 {
        let Item::Event(event) = all.next().await.unwrap() else { panic!("no event") };
        assert_eq!(event.seq, seq);
    }
    for seq in 8..=10 {
        let Item::Event(event) = some.next().await.unwrap() else { panic!("no event") };
        assert_eq!(event.seq, seq);
    }
    let newest = words().filter(CONFIDENT).unwrap().from(Start::Last(1));
    let mut last = client.subscribe(newest).await.unwrap();
    let Item::Replay(event) = last.next().await.unwrap() else { panic!("no replay") };
    assert_eq!(event.seq, 10);
    assert!(words().filter("{}").unwrap_err().to_string().starts_with("filter must be"));
}

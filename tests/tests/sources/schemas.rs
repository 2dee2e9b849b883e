use serde_json::{Value, json};
use tidings_tests::harness::{Backing, Feeder, TestServer, eventually, http};

use super::{is_degraded, kept_events};

const SCHEMA: &str = r#"{"type":"object","required":["id"],
    "properties":{"id":{"type":"integer"},"tags":{"items":{"type":"string"}}}}"#;

/// A file with a schema, in a directory that is gone with the first.
fn schema_file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tidings_tests::harness::server::temporary_directory();
    let file = directory.path().join("blob.schema.json");
    std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap().to_owned();
    (directory, path)
}

fn config(path: &str) -> String {
    format!("[[schema]]\ntopics = [\"blob.*\"]\nfile = \"{path}\"\n")
}

#[tokio::test]
async fn data_are_checked_on_every_way_in() {
    let (_directory, path) = schema_file(SCHEMA);
    let nats = Backing::nats().await;
    let source = "[[source]]\nkind = \"nats\"\nsubjects = [\"blob.>\"]";
    let config = format!("{}[nats]\nurl = \"{}\"\n{source}\n", config(&path), nats.url());
    let server = TestServer::spawn(&config).await;
    let wrong = json!({ "id": 1, "tags": ["a", 5] });
    // HTTP: one, several, raw.
    let body = json!({ "topic": "blob.created", "data": wrong });
    let refused = server.post("/v1/publish", &body).await;
    assert_eq!(refused.error(422), "invalid_data");
    let message = refused.json()["error"]["message"].to_string();
    assert!(message.contains("`/tags/1`") && message.contains("string"), "{message}");
    let all = json!([body, { "topic": "blob.created", "data": { "id": 2 } }, { "topic": "x", "data": 3 }]);
    let answers = server.post("/v1/publish", &all).await.ok();
    assert_eq!(answers[0]["error"]["code"], "invalid_data");
    assert_eq!((answers[1]["seq"].is_u64(), answers[2]["seq"].is_u64()), (true, true));
    let headers = [("content-type", "image/png")];
    let raw = http::send(server.admin, "POST", "/v1/publish/blob.image", &headers, b"PNG").await;
    assert_eq!(raw.error(422), "invalid_data");
    // A client.
    let mut client = server.connect().await;
    let refused = client.ask_refused("publish", json!({ "topic": "blob.x", "data": {} })).await;
    assert_eq!(refused["code"], "invalid_data");
    assert!(refused["message"].as_str().unwrap().contains("\"id\""), "{refused}");
    client.ask("publish", json!({ "topic": "blob.x", "data": { "id": 4 } })).await;
    // A source.
    is_degraded(&server, false).await;
    let mut feeder = Feeder::connect(&nats).await;
    feeder.publish("blob.created", "{\"id\":\"5\"}").await;
    feeder.publish("blob.created", "{\"id\":6}").await;
    feeder.flush().await;
    let events = kept_events(&server, 4).await;
    assert_eq!(events[3]["data"], json!({ "id": 6 }));
    assert_eq!(server.metric("source_refused").await, 1);
}

#[tokio::test]
async fn the_library_is_told_at_once() {
    let (_directory, path) = schema_file(SCHEMA);
    let server = TestServer::start(&config(&path));
    let publisher = server.library().publisher();
    let refused = publisher.publish("blob.created", &json!({ "id": true })).unwrap_err();
    assert_eq!(refused.code.as_str(), "invalid_data");
    assert!(refused.message.contains("`/id`"), "{}", refused.message);
    assert!(publisher.publish("blob.created", &json!({ "id": 1 })).is_ok());
}

#[tokio::test]
async fn a_reload_takes_a_changed_schema_and_refuses_a_broken_one() {
    let (_directory, path) = schema_file(SCHEMA);
    let server = TestServer::spawn(&config(&path)).await;
    let publish = async |data: Value| {
        let body = json!({ "topic": "blob.created", "data": data });
        server.post("/v1/publish", &body).await.status
    };
    assert_eq!((publish(json!({})).await, publish(json!({ "id": 1 })).await), (422, 200));
    std::fs::write(&path, "{\"type\":\"strnig\"}").unwrap();
    let refused = server.post("/v1/reload", &Value::Null).await;
    let text = refused.text();
    assert_ne!(refused.status, 200);
    let place = "tidings.toml:";
    assert!(text.contains("blob.schema.json") && text.contains(place), "{text}");
    assert_eq!((publish(json!({})).await, publish(json!({ "id": 1 })).await), (422, 200));
    std::fs::write(&path, "{\"required\":[\"name\"]}").unwrap();
    server.post("/v1/reload", &Value::Null).await.ok();
    eventually("the new schema holds", || async { publish(json!({ "id": 1 })).await == 422 }).await;
    assert_eq!(publish(json!({ "name": 1 })).await, 200);
}

//! What is asked wrongly or too often: it is answered, and the client stays.

use serde_json::json;

use super::start;

const SMALL: &str = r#"
[auth.roles.anonymous]
subscribe = ["open.>"]
publish = ["open.talk"]
[limits]
subscriptions = 20
"#;

#[tokio::test]
async fn a_wrong_request_is_answered_with_its_id_and_the_fitting_code() {
    let server = start(SMALL);
    let mut socket = server.subscriber(&["open.steady"]).await;
    let many: Vec<String> = (0..20).map(|n| format!("open.t{n}")).collect();
    for (verb, body, code) in [
        ("subscribe", json!({}), "bad_request"),
        ("subscribe", json!(7), "bad_request"),
        ("subscribe", json!({ "topics": "open.a" }), "bad_request"),
        ("subscribe", json!({ "topics": [] }), "bad_request"),
        ("subscribe", json!({ "topics": [7] }), "bad_request"),
        ("subscribe", json!({ "topics": ["open..a"] }), "invalid_pattern"),
        ("subscribe", json!({ "topics": ["open.>.a"] }), "invalid_pattern"),
        ("subscribe", json!({ "topics": ["open.a b"] }), "invalid_pattern"),
        ("subscribe", json!({ "topics": [""] }), "invalid_pattern"),
        ("subscribe", json!({ "topics": ["a.".repeat(20) + "a"] }), "invalid_pattern"),
        ("subscribe", json!({ "topics": ["open.a"], "except": ["*a"] }), "invalid_pattern"),
        ("subscribe", json!({ "topics": ["secret"] }), "forbidden"),
        ("subscribe", json!({ "topics": [">"] }), "forbidden"),
        ("subscribe", json!({ "topics": ["$system.>"] }), "forbidden"),
        ("subscribe", json!({ "topics": ["open.a"], "from": "yesterday" }), "bad_request"),
        ("subscribe", json!({ "topics": ["open.a"], "from": { "last": -1 } }), "bad_request"),
        ("subscribe", json!({ "topics": ["open.a"], "from": { "last": 0 } }), "bad_request"),
        ("subscribe", json!({ "topics": ["open.a"], "max_rate": 0 }), "bad_request"),
        ("subscribe", json!({ "topics": ["open.a"], "latest": "yes" }), "bad_request"),
        ("subscribe", json!({ "topics": ["open.a"], "filter": { "field": "/a" } }), "bad_request"),
        ("subscribe", json!({ "topics": ["open.a"], "from": "stored" }), "bad_request"),
        ("subscribe", json!({ "topics": many }), "too_many_subscriptions"),
        ("unsubscribe", json!({ "topics": ["open.never"] }), "not_found"),
        ("unsubscribe", json!({ "subscription": "s99" }), "not_found"),
        ("unsubscribe", json!({ "subscription": 1 }), "bad_request"),
        ("unsubscribe", json!({}), "bad_request"),
        ("publish", json!({ "topic": "open.talk" }), "bad_request"),
        ("publish", json!({ "data": 1 }), "bad_request"),
        ("publish", json!({ "topic": "open.*", "data": 1 }), "invalid_topic"),
        ("publish", json!({ "topic": "open.steady", "data": 1 }), "forbidden"),
        ("publish", json!({ "topic": "$system.probe", "data": 1 }), "forbidden"),
        (
            "publish",
            json!({ "topic": "open.talk", "data": 1, "user": "u", "group": "g" }),
            "bad_request",
        ),
        ("publish", json!({ "topic": "open.talk", "data": 1, "key": "" }), "bad_request"),
        (
            "publish",
            json!({ "topic": "open.talk", "data": 1, "headers": { "a": 1 } }),
            "bad_request",
        ),
        ("history", json!({ "topic": "secret" }), "forbidden"),
        ("history", json!({ "topic": "open.a", "limit": 0 }), "bad_request"),
        ("call", json!({ "command": "a.b" }), "forbidden"),
        ("handle", json!({ "commands": ["a.*"] }), "forbidden"),
        ("presence", json!({ "topic": "secret" }), "forbidden"),
        ("ack", json!([]), "bad_request"),
        ("refresh", json!({ "token": "t" }), "bad_request"),
        ("hello", json!({ "token": "t" }), "bad_request"),
    ] {
        let wrong = json!({ "id": 77, verb: body });
        socket.send(&wrong).await;
        let answer = socket.json().await;
        server.publish("open.steady", json!("still here")).await;
        assert_eq!(socket.json().await["event"]["data"], "still here", "after {wrong}");
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&json!(77), &json!(code)),
            "{wrong}"
        );
    }
    // None of them left a subscription behind.
    let path = format!("/v1/connections/{}", socket.client());
    assert_eq!(server.get(&path).await["subscriptions"], json!(["open.steady"]));
}

#[tokio::test]
async fn messages_beyond_the_rate_are_refused_and_the_client_stays() {
    let server = start("[[endpoint]]\npath = \"/v1/ws\"\nlimits = { messages = \"5/s\" }\n");
    let mut socket = server.subscriber(&["t"]).await;
    for id in 0..20 {
        socket.send(&json!({ "id": id, "ping": {} })).await;
    }
    let mut refused = Vec::new();
    for id in 0..20 {
        let answer = socket.json().await;
        assert_eq!(answer["id"], id);
        if let Some(error) = answer.get("error") {
            assert_eq!(error["code"], "rate_limited");
            refused.push(error["retry_after_ms"].as_u64().unwrap());
        }
    }
    assert!((14..=18).contains(&refused.len()), "{refused:?}");
    assert!(refused.iter().all(|ms| (1..=1_000).contains(ms)), "{refused:?}");
    server.publish("t", json!(1)).await;
    assert_eq!(socket.json().await["event"]["data"], 1);
    let wait = std::time::Duration::from_millis(*refused.last().unwrap() + 5);
    tokio::time::sleep(wait).await;
    socket.ask("ping", json!({})).await;
}

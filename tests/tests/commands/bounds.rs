use serde_json::json;
use tidings_tests::harness::{Incoming, TestServer};

use super::{OPEN, answer, call, given, handler, start};

#[tokio::test]
async fn only_what_a_role_names_may_be_sent_and_handled() {
    let server = TestServer::spawn(
        "[auth.roles.anonymous]\nsubscribe = ['>']\ncommand = ['trainer.*']\nhandle = ['trainer.>']",
    )
    .await;
    let mut client = server.connect().await;
    for command in ["studio.create", "trainer", "trainer.a.b"] {
        let error = client.ask_refused("call", json!({ "command": command })).await;
        assert_eq!(error["code"], "forbidden");
    }
    for patterns in [&[">"][..], &["trainer.*", "studio.*"], &["*.pause"]] {
        let error = client.ask_refused("handle", json!({ "commands": patterns })).await;
        assert_eq!(error["code"], "forbidden");
    }
    // A refused list changes nothing of an earlier one.
    client.ask("handle", json!({ "commands": ["trainer.pause"] })).await;
    client.ask_refused("handle", json!({ "commands": ["a"] })).await;
    client.send(&json!({ "id": 100, "call": { "command": "trainer.pause" } })).await;
    let asked = given(&mut client).await;
    answer(&mut client, &asked, json!(1)).await;
    assert_eq!(client.json().await["id"], 100);
    // With nothing configured, nobody may do either.
    let server = TestServer::spawn("").await;
    let mut client = server.connect().await;
    assert_eq!(client.ask_refused("call", json!({ "command": "a" })).await["code"], "forbidden");
    assert_eq!(
        client.ask_refused("handle", json!({ "commands": ["a"] })).await["code"],
        "forbidden"
    );
}

#[tokio::test]
async fn calls_that_cannot_be_read_are_told_apart() {
    let server = start("").await;
    let mut client = server.connect().await;
    for (body, code) in [
        (json!({}), "bad_request"),
        (json!({ "command": "a.*" }), "invalid_topic"),
        (json!({ "command": "" }), "invalid_topic"),
        (json!({ "command": 1 }), "bad_request"),
        (json!({ "command": "a", "timeout_ms": -1 }), "bad_request"),
    ] {
        assert_eq!(client.ask_refused("call", body.clone()).await["code"], code, "{body}");
    }
    let no_call = json!({ "call_id": 1, "data": 1 });
    assert_eq!(client.ask_refused("result", no_call).await["code"], "not_found");
    for (body, status, code) in [
        (json!({ "data": 1 }), 400, "bad_request"),
        (json!({ "command": "a b" }), 400, "invalid_topic"),
        (json!({ "command": "a", "timeout_ms": 0 }), 400, "bad_request"),
        (json!({ "command": "a", "user": "" }), 400, "bad_request"),
        (json!([]), 400, "bad_request"),
    ] {
        assert_eq!(server.post("/v1/call", &body).await.error(status), code, "{body}");
    }
    let deep = format!("{{\"command\":\"a\",\"data\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    let headers = [("content-type", "application/json")];
    let admin = server.admin;
    let reply =
        tidings_tests::harness::http::send(admin, "POST", "/v1/call", &headers, deep.as_bytes())
            .await;
    assert_eq!(reply.error(400), "bad_request");
}

#[tokio::test]
async fn an_operator_calls_in_the_name_of_a_user() {
    let server = start("").await;
    let mut trainer = handler(&server, &["a"]).await;
    let body = json!({ "command": "a", "user": "ada", "timeout_ms": 5_000 });
    let (reply, ()) = tokio::join!(server.post("/v1/call", &body), async {
        let asked = given(&mut trainer).await;
        assert_eq!((&asked["user"], &asked["data"]), (&json!("ada"), &json!(null)));
        answer(&mut trainer, &asked, json!([1])).await;
    });
    assert_eq!(reply.ok(), json!({ "data": [1] }));
    let (reply, ()) = tokio::join!(call(&server, "a", json!(1)), async {
        let asked = given(&mut trainer).await;
        let error = json!({ "code": "invalid_data", "message": "no", "details": [1] });
        trainer.send(&json!({ "result": { "call_id": asked["call_id"], "error": error } })).await;
    });
    assert_eq!(reply.error(422), "invalid_data");
    assert_eq!(reply.json()["error"]["details"], json!([1]));
}

#[tokio::test]
async fn a_client_that_takes_no_answers_loses_some_of_them_and_holds_up_nobody() {
    let server = start("").await;
    let mut large = handler(&server, &["large"]).await;
    let mut slow = server.connect_narrow(4 << 10).await;
    let count = 64;
    // One write: a client that does not take its answers is not read any more.
    let mut frames = Vec::new();
    for id in 0..count {
        frames.extend(slow.framed(&json!({ "id": id, "call": { "command": "large" } })));
    }
    slow.send_raw(&frames).await;
    let text = "x".repeat(900 << 10);
    for _ in 0..count {
        let asked = given(&mut large).await;
        answer(&mut large, &asked, json!(text)).await;
    }
    // All are answered before one is read.
    let mut client = server.connect().await;
    client.send(&json!({ "id": 1, "call": { "command": "large" } })).await;
    let asked = given(&mut large).await;
    answer(&mut large, &asked, json!("small")).await;
    assert_eq!(client.json().await["ok"]["data"], "small");
    assert!(server.metric("outbox_bytes").await < 20 << 20);
    let (mut whole, mut lost) = (0, 0);
    for _ in 0..count {
        let message = slow.json().await;
        match message["error"]["code"].as_str() {
            None => whole += usize::from(message["ok"]["data"] == json!(text)),
            Some(code) => {
                assert_eq!(code, "command_failed");
                assert!(message["error"]["message"].as_str().unwrap().contains("is lost"));
                lost += 1;
            }
        }
    }
    assert_eq!(whole + lost, count);
    assert!(whole >= 16 && lost >= 16, "{whole} whole, {lost} lost");
}

#[tokio::test]
async fn a_client_with_too_many_calls_is_not_read_until_some_are_answered() {
    let server = TestServer::start(OPEN);
    let mut handling = handler(&server, &["a"]).await;
    let mut client = server.connect().await;
    let mut frames = Vec::new();
    for id in 0..1_024 {
        frames.extend(client.framed(&json!({ "id": id, "call": { "command": "a" } })));
    }
    client.send_raw(&frames).await;
    let first = given(&mut handling).await;
    for _ in 1..1_024 {
        given(&mut handling).await;
    }
    client.send(&json!({ "id": 2_000, "ping": {} })).await;
    // A handler has as many as it may, too.
    let mut other = server.connect().await;
    let error = other.ask_refused("call", json!({ "command": "a", "timeout_ms": 50 })).await;
    assert_eq!(error["code"], "overloaded");
    answer(&mut handling, &first, json!(1)).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        match client.next().await {
            Incoming::Json(message) => seen.push(message["id"].clone()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, [json!(0), json!(2_000)]);
}

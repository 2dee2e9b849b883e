use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidings_tests::harness::{Encoding, TestServer};

use super::{OPEN, answer, call, given, handler, start};

#[tokio::test]
async fn a_command_reaches_its_handler_and_the_answer_comes_back() {
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let server = TestServer::speaking(encoding, OPEN);
        let mut trainer = handler(&server, &["trainer.*"]).await;
        let mut client = server.connect().await;
        let data = json!({ "run": 42, "at": [1.5, null, "ü"] });
        let body = json!({ "command": "trainer.pause", "data": data });
        client.send(&json!({ "id": 5, "call": body })).await;
        let asked = given(&mut trainer).await;
        assert_eq!((&asked["command"], &asked["data"]), (&json!("trainer.pause"), &data));
        assert_eq!(asked.get("user"), None);
        answer(&mut trainer, &asked, json!({ "paused": true })).await;
        let answered = client.json().await;
        assert_eq!(answered, json!({ "id": 5, "ok": { "data": { "paused": true } } }));

        client.send(&json!({ "id": 6, "call": { "command": "trainer.stop" } })).await;
        let asked = given(&mut trainer).await;
        assert_eq!(asked["data"], Value::Null);
        let error = json!({ "code": "command_failed", "message": "not running",
            "retry_after_ms": 7_000, "details": { "run": null } });
        let result = json!({ "call_id": asked["call_id"], "error": error });
        trainer.send(&json!({ "id": 1, "result": result })).await;
        assert_eq!(trainer.json().await, json!({ "id": 1, "ok": {} }));
        assert_eq!(client.json().await, json!({ "id": 6, "error": error }));
    }
}

#[tokio::test]
async fn codes_of_a_handlers_own_stand_in_the_details() {
    let server = start("").await;
    let mut trainer = handler(&server, &["trainer.>"]).await;
    let mut client = server.connect().await;
    client.send(&json!({ "id": 1, "call": { "command": "trainer.a.b" } })).await;
    let asked = given(&mut trainer).await;
    let error = json!({ "code": "NOT_PAUSED", "message": "it runs" });
    trainer.send(&json!({ "result": { "call_id": asked["call_id"], "error": error } })).await;
    let expected = json!({ "code": "command_failed", "message": "it runs",
        "details": { "code": "NOT_PAUSED" } });
    assert_eq!(client.json().await["error"], expected);
}

#[tokio::test]
async fn a_call_holds_up_nothing_else_of_its_client() {
    let server = start("").await;
    let mut slow = handler(&server, &["slow"]).await;
    let mut client = server.connect().await;
    client.send(&json!({ "id": 100, "call": { "command": "slow" } })).await;
    let asked = given(&mut slow).await;
    client.ask("ping", json!({})).await;
    client.subscribe(&["a"]).await;
    client.ask("publish", json!({ "topic": "b", "data": 1 })).await;
    answer(&mut slow, &asked, json!(1)).await;
    assert_eq!(client.json().await, json!({ "id": 100, "ok": { "data": 1 } }));
}

#[tokio::test]
async fn a_client_can_handle_what_it_sends_itself() {
    let server = start("").await;
    let mut client = handler(&server, &["self"]).await;
    client.send(&json!({ "id": 100, "call": { "command": "self", "data": 2 } })).await;
    let asked = given(&mut client).await;
    answer(&mut client, &asked, json!(3)).await;
    assert_eq!(client.json().await, json!({ "id": 100, "ok": { "data": 3 } }));
}

#[tokio::test]
async fn a_command_that_nothing_handles_says_when_to_try_again() {
    let server =
        start("[[command]]\nname = 'routed'\nto = 'handler'\nretry = { attempts = 1 }").await;
    for command in ["nobody.there", "routed"] {
        let reply = call(&server, command, json!(1)).await;
        assert_eq!(reply.error(503), "no_handler");
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(reply.json()["error"]["retry_after_ms"], 1_000);
    }
    // That nobody was there is no failure of whoever comes.
    let health = server.get("/v1/health").await;
    assert_eq!(health["commands"]["routes"][0]["failures"], 0);
    assert_eq!(server.metric("command_calls_unhandled").await, 2);
}

#[tokio::test]
async fn the_most_specific_handler_is_asked_and_those_alike_in_turn() {
    let server = start("").await;
    let mut any = handler(&server, &[">"]).await;
    let mut first = handler(&server, &["trainer.*"]).await;
    let mut second = handler(&server, &["trainer.*", "other"]).await;
    let mut client = server.connect().await;
    for id in 0..10 {
        client.send(&json!({ "id": id, "call": { "command": "trainer.pause" } })).await;
    }
    // Who answers has room again: nobody does before all were given.
    let mut all = Vec::new();
    for trainer in [&mut first, &mut second] {
        for _ in 0..5 {
            all.push(given(trainer).await);
        }
    }
    for (place, asked) in all.iter().enumerate() {
        answer(if place < 5 { &mut first } else { &mut second }, asked, json!(0)).await;
    }
    for _ in 0..10 {
        assert_eq!(client.json().await["ok"], json!({ "data": 0 }));
    }
    client.send(&json!({ "id": 10, "call": { "command": "trainer.run.pause" } })).await;
    assert_eq!(given(&mut any).await["command"], "trainer.run.pause");
    let health = server.get("/v1/health").await;
    let expected = json!([{ "pattern": "other", "clients": 1 },
        { "pattern": "trainer.*", "clients": 2 }, { "pattern": ">", "clients": 1 }]);
    assert_eq!(health["commands"]["handlers"], expected);
}

#[tokio::test]
async fn a_handler_that_goes_away_fails_its_calls_and_others_take_over() {
    let server = start("").await;
    let mut leaving = handler(&server, &["a"]).await;
    let mut client = server.connect().await;
    client.send(&json!({ "id": 1, "call": { "command": "a" } })).await;
    given(&mut leaving).await;
    let mut staying = handler(&server, &["a"]).await;
    drop(leaving);
    let error = client.json().await["error"].clone();
    assert_eq!((&error["code"], &error["retry_after_ms"]), (&json!("no_handler"), &json!(1_000)));
    client.send(&json!({ "id": 2, "call": { "command": "a" } })).await;
    let asked = given(&mut staying).await;
    answer(&mut staying, &asked, json!(2)).await;
    assert_eq!(client.json().await, json!({ "id": 2, "ok": { "data": 2 } }));
    // Whoever does not want to handle anything more need not leave.
    staying.ask("handle", json!({ "commands": ["b"] })).await;
    client.send(&json!({ "id": 3, "call": { "command": "a", "timeout_ms": 1 } })).await;
    assert_eq!(client.json().await["error"]["code"], "no_handler");
    staying.ask("handle", json!({ "commands": [] })).await;
    assert_eq!(server.metric("command_handlers").await, 0);
}

#[tokio::test]
async fn time_is_over_for_the_client_and_a_late_answer_is_for_nobody() {
    let server = start("[[command]]\nname = 'a'\nto = 'handler'\ntimeout = '40ms'").await;
    let mut slow = handler(&server, &["a", "b"]).await;
    let mut client = server.connect().await;
    for body in [
        json!({ "command": "a" }),
        json!({ "command": "a", "timeout_ms": 60_000 }),
        json!({ "command": "b", "timeout_ms": 40 }),
    ] {
        let error = client.ask_refused("call", body).await;
        assert_eq!(error["code"], "timeout", "{error}");
        let asked = given(&mut slow).await;
        let result = json!({ "call_id": asked["call_id"], "data": 1 });
        assert_eq!(slow.ask_refused("result", result.clone()).await["code"], "not_found");
        slow.send(&json!({ "result": result })).await;
    }
    // Nobody was told anything of the answers that nobody waited for.
    slow.ask("ping", json!({})).await;
    client.ask("ping", json!({})).await;
    assert_eq!(server.metric("command_calls_timed_out").await, 3);
}

#[tokio::test]
async fn a_handler_that_is_busy_is_asked_again() {
    let server = start("").await;
    let mut busy = handler(&server, &["a"]).await;
    let mut client = server.connect().await;
    client.send(&json!({ "id": 1, "call": { "command": "a" } })).await;
    let asked = given(&mut busy).await;
    let error = json!({ "code": "overloaded", "message": "later", "retry_after_ms": 1 });
    busy.send(&json!({ "result": { "call_id": asked["call_id"], "error": error } })).await;
    let again = given(&mut busy).await;
    assert_ne!(again["call_id"], asked["call_id"]);
    answer(&mut busy, &again, json!("done")).await;
    assert_eq!(client.json().await, json!({ "id": 1, "ok": { "data": "done" } }));
    assert_eq!(server.metric("command_retries").await, 1);
}

#[tokio::test]
async fn a_thousand_calls_at_once_each_get_their_own_answer() {
    let server = start("").await;
    let mut echo = handler(&server, &["echo"]).await;
    let mut client = server.connect().await;
    let mut frames = Vec::new();
    for id in 0..1_000 {
        let call = json!({ "command": "echo", "data": { "n": id } });
        frames.extend(client.framed(&json!({ "id": id, "call": call })));
    }
    client.send_raw(&frames).await;
    let mut asked = Vec::new();
    for _ in 0..1_000 {
        asked.push(given(&mut echo).await);
    }
    // The last is answered first.
    let mut frames = Vec::new();
    for call in asked.iter().rev() {
        let result = json!({ "call_id": call["call_id"], "data": call["data"] });
        frames.extend(echo.framed(&json!({ "result": result })));
    }
    echo.send_raw(&frames).await;
    let mut answered = BTreeSet::new();
    for _ in 0..1_000 {
        let message = client.json().await;
        assert_eq!(message["ok"]["data"]["n"], message["id"], "{message}");
        assert!(answered.insert(message["id"].as_u64().unwrap()));
    }
    assert_eq!(server.metric("command_calls_succeeded").await, 1_000);
    assert_eq!(server.metric("command_calls_in_flight").await, 0);
}

use serde_json::{Value, json};
use tidings_tests::harness::server::free_address;

use super::backend::{Backend, Deed, ok};
use super::{call, start};

fn route(name: &str, url: &str, rest: &str) -> String {
    format!("[[command]]\nname = '{name}'\nto = '{url}'\n{rest}\n")
}

#[tokio::test]
async fn a_backend_gets_the_command_and_its_body_is_the_result() {
    // Numbers, order and spaces stay as the backend wrote them.
    let backend = Backend::start(|_, _| ok("{\"z\": 1.0, \"a\":[12345678901234567890]}\n")).await;
    let server = start(&route("studio.create_blob", &backend.url(), "")).await;
    let mut client = server.connect().await;
    let body = json!({ "command": "studio.create_blob", "data": { "name": "ü" } });
    client.ask("call", body).await;
    let expected = r#"{"id":1,"ok":{"data":{"z": 1.0, "a":[12345678901234567890]}}}"#;
    assert_eq!(client.last_text(), expected);
    let asked = backend.asked().remove(0);
    assert!(asked.head.starts_with("POST /commands HTTP/1.1\r\n"), "{}", asked.head);
    assert_eq!(asked.header("content-type"), Some("application/json"));
    let id = asked.body["id"].as_str().unwrap();
    assert_eq!(asked.header("idempotency-key"), Some(id));
    let expected = json!({ "command": "studio.create_blob", "data": { "name": "ü" },
        "client": client.client(), "id": id });
    assert_eq!(asked.body, expected);

    let body = json!({ "command": "studio.create_blob", "data": 1, "user": "ada" });
    server.post("/v1/call", &body).await.ok();
    let asked = backend.asked().remove(1);
    assert_eq!((&asked.body["user"], &asked.body["client"]), (&json!("ada"), &json!("admin")));
    assert_ne!(asked.body["id"], id);
}

#[tokio::test]
async fn the_most_specific_route_counts() {
    let said = |text: &'static str| Backend::start(move |_, _| ok(text));
    let (all, some, one) = (said("1").await, said("2").await, said("3").await);
    let routes =
        [route("a.>", &all.url(), ""), route("a.*", &some.url(), ""), route("a.b", &one.url(), "")];
    let server = start(&routes.concat()).await;
    for (command, expected) in [("a.b", 3), ("a.c", 2), ("a.b.c", 1)] {
        assert_eq!(call(&server, command, json!(0)).await.ok(), json!({ "data": expected }));
    }
}

#[tokio::test]
async fn errors_of_a_backend_are_passed_on() {
    let backend = Backend::start(|_, asked| {
        let (head, body) = match asked.body["data"].as_str().unwrap() {
            "typed" => (
                "422 No",
                json!({ "error": { "code": "invalid_data", "message": "no name",
                    "details": { "at": "/name" } } }),
            ),
            "own" => ("409 No", json!({ "error": { "code": "BLOB_LOCKED", "message": "locked" } })),
            "later" => (
                "503 No\r\nRetry-After: 60",
                json!({ "error": { "code": "overloaded", "message": "busy" } }),
            ),
            "teapot" => ("418 No", json!("<html>")),
            _ => ("302 Found\r\nLocation: /elsewhere", json!("")),
        };
        Deed::Say(head, body.to_string())
    })
    .await;
    let server = start(&route("a", &backend.url(), "")).await;
    let failed = async |data: &str, status| -> Value {
        let reply = call(&server, "a", json!(data)).await;
        reply.error(status);
        reply.json()["error"].clone()
    };
    let expected =
        json!({ "code": "invalid_data", "message": "no name", "details": { "at": "/name" } });
    assert_eq!(failed("typed", 422).await, expected);
    let expected = json!({ "code": "command_failed", "message": "locked",
        "details": { "code": "BLOB_LOCKED" } });
    assert_eq!(failed("own", 502).await, expected);
    // It would come too late, so the client learns when.
    let expected = json!({ "code": "overloaded", "message": "busy", "retry_after_ms": 60_000 });
    assert_eq!(failed("later", 503).await, expected);
    let expected = json!({ "code": "command_failed",
        "message": "the backend answered with the status 418" });
    assert_eq!(failed("teapot", 502).await, expected);
    assert_eq!(failed("elsewhere", 502).await["code"], "command_failed");
    assert_eq!(backend.asked().len(), 5);
    assert_eq!(server.metric("command_calls_failed").await, 4);
}

#[tokio::test]
async fn answers_that_cannot_be_passed_on_are_errors() {
    let backend = Backend::start(|_, asked| {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        match asked.body["data"].as_str().unwrap() {
            "text" => ok("hello"),
            "cut" => ok("{\"a\":"),
            "deep" => ok(deep),
            "huge" => ok(format!("\"{}\"", "x".repeat(4 << 20))),
            "just" => ok(format!("\"{}\"", "x".repeat(2_046))),
            "none" => Deed::Say("204 No Content", String::new()),
            _ => Deed::Break,
        }
    })
    .await;
    let server = start(&route("a", &backend.url(), "answer_bytes = '2KiB'")).await;
    for (data, word) in [
        ("text", "not JSON"),
        ("cut", "not JSON"),
        ("deep", "nests too deep"),
        ("huge", "more than 2048 bytes"),
    ] {
        let reply = call(&server, "a", json!(data)).await;
        assert_eq!(reply.error(502), "command_failed");
        assert!(reply.text().contains(word), "{}", reply.text());
    }
    assert_eq!(call(&server, "a", json!("just")).await.ok()["data"].as_str().unwrap().len(), 2_046);
    assert_eq!(call(&server, "a", json!("none")).await.ok(), json!({ "data": null }));
    // What may have been carried out is not tried again.
    let before = backend.asked().len();
    assert_eq!(call(&server, "a", json!("break")).await.error(503), "no_handler");
    assert_eq!(backend.asked().len(), before + 1);
}

#[tokio::test]
async fn a_backend_that_hangs_is_not_waited_for_longer_than_allowed() {
    let backend = Backend::start(|_, _| Deed::Hang).await;
    let server = start(&route("a", &backend.url(), "timeout = '50ms'")).await;
    assert_eq!(call(&server, "a", json!(0)).await.error(504), "timeout");
    assert_eq!(backend.asked().len(), 1);
}

#[tokio::test]
async fn what_was_not_carried_out_is_tried_again_with_the_same_id() {
    let backend = Backend::start(|at, _| match at {
        0 => Deed::Say("503 Busy\r\nRetry-After: 0", String::new()),
        1 => Deed::Say("429 Busy\r\nRetry-After: 0", "later".into()),
        2 => ok("1"),
        3 => Deed::Say("500 Oops", String::new()),
        _ => Deed::Say("503 Busy\r\nRetry-After: 0", String::new()),
    })
    .await;
    let server = start(&route("a", &backend.url(), "retry = { attempts = 3 }")).await;
    assert_eq!(call(&server, "a", json!(0)).await.ok(), json!({ "data": 1 }));
    let ids: Vec<Value> = backend.asked().iter().map(|asked| asked.body["id"].clone()).collect();
    assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(server.metric("command_retries").await, 2);
    assert_eq!(call(&server, "a", json!(0)).await.error(502), "command_failed");
    assert_eq!(backend.asked().len(), 4, "what may have been carried out is not tried again");
    assert_eq!(call(&server, "a", json!(0)).await.error(503), "overloaded");
    assert_eq!(backend.asked().len(), 7);
}

#[tokio::test]
async fn a_backend_that_is_away_leaves_the_server_ready_and_is_found_when_it_comes() {
    let address = free_address();
    let url = format!("http://{address}/commands");
    let rest = "retry = { attempts = 100 }\ntimeout = '1m'";
    let server = start(&format!(
        "{}{}",
        route("a", &url, "retry = { attempts = 2 }"),
        route("b", &url, &format!("{rest}\nbreaker = {{ failures = 1000 }}"))
    ))
    .await;
    assert_eq!(call(&server, "a", json!(0)).await.error(503), "no_handler");
    assert_eq!(server.get("/readyz").await["ready"], true);
    let (reply, backend) = tokio::join!(call(&server, "b", json!(0)), async {
        // Some tries have failed by then.
        while server.metric("command_retries").await < 3 {
            tokio::task::yield_now().await;
        }
        Backend::start_at(address, |_, _| ok("7")).await
    });
    assert_eq!(reply.ok(), json!({ "data": 7 }));
    assert_eq!(backend.asked().len(), 1);
}

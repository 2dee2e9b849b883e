use serde_json::{Value, json};
use tidings::{Call, Error, ErrorCode, HandlerCall};
use tidings_tests::harness::TestServer;

use super::OPEN;

#[tokio::test]
async fn a_program_handles_commands_and_sends_them() {
    let server = TestServer::start(OPEN);
    let library = server.library();
    let _trainer = library
        .handle("trainer.*", |call: HandlerCall| async move {
            let data: Value = call.json()?;
            match data["how"].as_str() {
                Some("panic") => panic!("planted"),
                Some("fail") => Err(Error::new(ErrorCode::NotFound, "no such run")),
                _ => Ok(json!({ "command": call.command.as_str(), "data": data })),
            }
        })
        .await
        .unwrap();
    let mut socket = server.connect().await;
    let ask = |how: &str| json!({ "command": "trainer.pause", "data": { "how": how } });
    let expected = json!({ "command": "trainer.pause", "data": { "how": "well" } });
    assert_eq!(socket.ask("call", ask("well")).await, json!({ "data": expected }));
    let error = socket.ask_refused("call", ask("panic")).await;
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("command_failed"), &json!("the handler panicked"))
    );
    assert_eq!(socket.ask_refused("call", ask("fail")).await["code"], "not_found");
    // It goes on after that.
    socket.ask("call", ask("well")).await;

    let local = library.client();
    let call = Call::new("trainer.stop").unwrap().json(&json!({ "how": "well" })).unwrap();
    let answer = local.call(call).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap()["command"], "trainer.stop");
}

#[tokio::test]
async fn a_handler_that_is_dropped_handles_nothing_more() {
    let server = TestServer::start(OPEN);
    let handler = server.library().handle("a", |_| async { Ok(1) }).await.unwrap();
    let mut socket = server.connect().await;
    socket.ask("call", json!({ "command": "a" })).await;
    drop(handler);
    while server.metric("command_handlers").await > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(socket.ask_refused("call", json!({ "command": "a" })).await["code"], "no_handler");
    assert!(server.library().handle("a.>.b", |_| async { Ok(1) }).await.is_err());
}

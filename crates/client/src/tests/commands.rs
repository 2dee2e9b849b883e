use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::server::{Peer, connected};
use crate::{Call, Error, Handling, Options};

/// Greets a client that comes back with nothing to resume.
async fn welcome_back(peer: &mut Peer) {
    peer.welcome("c2", "t2");
    peer.answer(&json!({"hello": {"session": "t1"}}), &json!({"client": "c1"})).await;
}

async fn handling(client: &crate::Client, peer: &mut Peer, pattern: &'static str) -> Handling {
    let asking = client.clone();
    let asked = tokio::spawn(async move { asking.handle(&[pattern]).await });
    let heard = peer.heard().await;
    let patterns = heard["handle"]["commands"].as_array().unwrap();
    assert!(patterns.contains(&json!(pattern)), "{heard}");
    peer.say(&json!({"id": heard["id"], "ok": {}}));
    asked.await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_with_json_or_refused_with_details() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let call = Call::new("a.b").unwrap().json_text("{\"n\": 1.0}").unwrap();
    let call = call.timeout(Duration::from_secs(60));
    let asking = client.clone();
    let asked = tokio::spawn(async move { asking.call(call).await });
    let spelled = json!({"command": "a.b", "data": {"n": 1.0}, "timeout_ms": 60_000});
    assert_eq!(peer.heard().await, json!({"id": 1, "call": spelled}));
    // Longer than other requests may take.
    tokio::time::sleep(Duration::from_secs(59)).await;
    peer.say_text("{\"id\":1,\"ok\":{\"data\":[1.0, 2]}}");
    assert_eq!(asked.await.unwrap(), Ok(Bytes::from_static(b"[1.0, 2]")));

    let asked = tokio::spawn(async move { client.call(Call::new("a").unwrap()).await });
    peer.heard().await;
    let error = json!({"code": "command_failed", "message": "no", "details": {"at": 1}});
    peer.say(&json!({"id": 2, "error": error}));
    let Err(Error::Refused(refusal)) = asked.await.unwrap() else { panic!("it is not refused") };
    assert_eq!(refusal.details.as_deref(), Some("{\"at\":1}"));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_connection_breaks_is_not_sent_again() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let asking = client.clone();
    let asked = tokio::spawn(async move { asking.call(Call::new("a").unwrap()).await });
    peer.heard().await;
    drop(peer);
    assert!(matches!(asked.await.unwrap(), Err(Error::Unreachable(_))));
    // What is asked meanwhile was not sent, and waits.
    let asked = tokio::spawn(async move { client.call(Call::new("b").unwrap()).await });
    let mut peer = server.accept().await;
    welcome_back(&mut peer).await;
    let heard = peer.heard().await;
    assert_eq!(heard["call"]["command"], "b");
    peer.say(&json!({"id": heard["id"], "ok": {"data": 1}}));
    assert!(asked.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn calls_go_to_the_most_specific_handler_and_their_answers_back() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let mut all = handling(&client, &mut peer, "a.>").await;
    let mut one = handling(&client, &mut peer, "a.b").await;
    peer.say(&json!({"call": {"call_id": 7, "command": "a.b", "data": {"n": 1}, "user": "ada"}}));
    let (call, answer) = one.next().await.unwrap();
    assert_eq!((call.command.as_str(), call.user.as_deref()), ("a.b", Some("ada")));
    answer.send(Ok("[1]".into()));
    assert_eq!(peer.heard().await, json!({"result": {"call_id": 7, "data": [1]}}));

    peer.say(&json!({"call": {"call_id": 8, "command": "a.c", "data": null}}));
    let (_, answer) = all.next().await.unwrap();
    answer.send(Ok("no JSON".into()));
    assert_eq!(peer.heard().await["result"]["error"]["code"], "command_failed");

    peer.say(&json!({"call": {"call_id": 9, "command": "a.c", "data": null}}));
    drop(all.next().await.unwrap());
    let error = peer.heard().await["result"]["error"].clone();
    assert_eq!(error["message"], "the handler did not answer");

    drop(one);
    peer.expect(&json!({"handle": {"commands": ["a.>"]}})).await;
    peer.say(&json!({"call": {"call_id": 10, "command": "other", "data": null}}));
    assert_eq!(peer.heard().await["result"]["error"]["code"], "no_handler");
}

#[tokio::test(start_paused = true)]
async fn a_handler_handles_again_and_never_answers_another_connections_calls() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let mut handler = handling(&client, &mut peer, "a").await;
    peer.say(&json!({"call": {"call_id": 1, "command": "a", "data": "old"}}));
    let (_, old) = handler.next().await.unwrap();
    drop(peer);
    let mut peer = server.accept().await;
    welcome_back(&mut peer).await;
    peer.answer(&json!({"handle": {"commands": ["a"]}}), &json!({})).await;
    peer.say(&json!({"call": {"call_id": 1, "command": "a", "data": "new"}}));
    let (call, new) = handler.next().await.unwrap();
    assert_eq!(&*call.data, b"\"new\"");
    old.send(Ok("\"old\"".into()));
    new.send(Ok("\"new\"".into()));
    assert_eq!(peer.heard().await, json!({"result": {"call_id": 1, "data": "new"}}));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_refused_says_why() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let asked = tokio::spawn(async move { client.handle(&["a"]).await.map(drop) });
    peer.heard().await;
    peer.say(&json!({"id": 1, "error": {"code": "forbidden", "message": "no"}}));
    let refused = asked.await.unwrap();
    assert!(matches!(refused, Err(Error::Refused(refusal)) if refusal.code == "forbidden"));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_fails_its_call_and_no_other() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let handler = handling(&client, &mut peer, "a").await;
    tokio::spawn(handler.serve(2, |call| async move {
        assert_ne!(&*call.data, b"\"panic\"", "planted");
        Ok(call.data)
    }));
    peer.say(&json!({"call": {"call_id": 1, "command": "a", "data": "panic"}}));
    assert_eq!(peer.heard().await["result"]["error"]["message"], "the handler panicked");
    peer.say(&json!({"call": {"call_id": 2, "command": "a", "data": "fine"}}));
    assert_eq!(peer.heard().await, json!({"result": {"call_id": 2, "data": "fine"}}));
}

use std::time::Duration;

use protocol::{Appended, Durability, Epoch, FrameKind, StreamName};
use serde_json::{Value, json};

use super::server::connected;
use super::{event, json_payload};
use crate::{Audience, Client, Error, History, Options, Publish};

fn ok(seq: u64, duplicate: bool) -> Value {
    json!({"stream": "news", "epoch": "e1", "seq": seq, "duplicate": duplicate, "durability": "fsync"})
}

fn appended(seq: u64, duplicate: bool) -> Appended {
    let (stream, epoch) = (StreamName::parse("news").unwrap(), Epoch::parse("e1").unwrap());
    Appended { stream, epoch, seq, duplicate, durability: Durability::Fsync }
}

fn publishing(
    client: &Client,
    message: Publish,
) -> tokio::task::JoinHandle<Result<Appended, Error>> {
    let client = client.clone();
    tokio::spawn(async move { client.publish(message).await })
}

fn message(number: u64) -> Publish {
    Publish::json("news.a", &number).unwrap().key(format!("k{number}"))
}

#[tokio::test(start_paused = true)]
async fn everything_about_an_event_is_said() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let message = Publish::json_text("news.a", r#"{"b":1,"a":2.0}"#)
        .unwrap()
        .audience(Audience::User("ada".into()))
        .key("k\"1")
        .header("x", "old")
        .header("x", "ü");
    let publishing = publishing(&client, message);
    let frame = peer.heard_frame().await;
    assert_eq!(
        std::str::from_utf8(&frame.bytes).unwrap(),
        r#"{"id":1,"publish":{"topic":"news.a","data":{"b":1,"a":2.0},"user":"ada","key":"k\"1","headers":{"x":"ü"}}}"#
    );
    peer.say(&json!({"id": 1, "ok": ok(7, false)}));
    assert_eq!(publishing.await.unwrap(), Ok(appended(7, false)));
}

#[tokio::test(start_paused = true)]
async fn bytes_follow_a_line() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let message = Publish::bytes("news.a", "a/b", &b"\n\xff"[..]).unwrap().key("k");
    let publishing = publishing(&client, message);
    let frame = peer.heard_frame().await;
    assert_eq!(frame.kind, FrameKind::Binary);
    assert_eq!(
        &frame.bytes[..],
        b"{\"id\":1,\"publish\":{\"topic\":\"news.a\",\"content_type\":\"a/b\",\"key\":\"k\"}}\n\n\xff"
    );
    peer.say(&json!({"id": 1, "ok": ok(7, false)}));
    assert!(publishing.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_was_not_answered_is_sent_again_with_the_same_key_and_order() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let first = publishing(&client, message(1));
    let keyed = peer.heard().await;
    let second = publishing(&client, Publish::json("news.a", &2).unwrap());
    let random = peer.heard().await;
    assert_eq!(random["publish"]["key"].as_str().unwrap().len(), 32);
    drop(peer);

    let mut peer = server.accept().await;
    peer.welcome("c2", "t2");
    let hello = json!({"hello": {"session": "t1"}});
    let hello = peer.expect(&hello).await;
    peer.assert_silent(Duration::from_secs(1)).await;
    peer.say(&json!({"id": hello, "ok": {"client": "c1", "subscriptions": []}}));
    assert_eq!(peer.heard().await, keyed);
    assert_eq!(peer.heard().await, random);
    peer.say(&json!({"id": random["id"], "ok": ok(8, true)}));
    peer.say(&json!({"id": keyed["id"], "ok": ok(7, true)}));
    assert_eq!(first.await.unwrap(), Ok(appended(7, true)));
    assert_eq!(second.await.unwrap(), Ok(appended(8, true)));
}

#[tokio::test(start_paused = true)]
async fn no_answer_in_time_means_unknown_and_is_not_sent_again() {
    let options = Options { request_timeout: Duration::from_secs(3), ..Options::default() };
    let (client, mut server, mut peer) = connected(options).await;
    let publishing = publishing(&client, message(1));
    peer.heard().await;
    assert_eq!(publishing.await.unwrap(), Err(Error::Timeout));
    drop(peer);
    let mut peer = server.accept().await;
    peer.welcome("c2", "t2");
    let hello = json!({"hello": {"session": "t1"}});
    peer.answer(&hello, &json!({"client": "c1", "subscriptions": []})).await;
    peer.assert_silent(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_with_its_code() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let publishing = publishing(&client, message(1));
    let asked = peer.heard().await;
    let error = json!({"code": "rate_limited", "message": "slow down", "retry_after_ms": 250});
    peer.say(&json!({"id": asked["id"], "error": error}));
    let Err(Error::Refused(refusal)) = publishing.await.unwrap() else { panic!("no refusal") };
    assert_eq!(refusal.known_code(), Some(crate::ErrorCode::RateLimited));
    assert_eq!(refusal.retry_after_ms, Some(250));
    assert!(refusal.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_not_sent() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let large = || Publish::json("news.a", &"x".repeat(65_536)).unwrap();
    let error = client.publish(large()).await.unwrap_err();
    assert!(error.to_string().contains("larger than the 65536 bytes"), "{error}");
    peer.assert_silent(Duration::from_secs(1)).await;

    // Nor where it waited for the connection.
    drop(peer);
    let mut peer = server.accept().await;
    let waiting = publishing(&client, large());
    tokio::time::sleep(Duration::from_millis(1)).await;
    peer.welcome("c2", "t2");
    let hello = json!({"hello": {"session": "t1"}});
    peer.answer(&hello, &json!({"client": "c1", "subscriptions": []})).await;
    assert!(matches!(waiting.await.unwrap(), Err(Error::Invalid(_))));
    peer.assert_silent(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_bounded() {
    let options = Options { in_flight_max: 2, ..Options::default() };
    let (client, _server, mut peer) = connected(options).await;
    for number in 1..=3 {
        publishing(&client, message(number));
        tokio::task::yield_now().await;
    }
    let first = peer.heard().await;
    peer.heard().await;
    peer.assert_silent(Duration::from_secs(1)).await;
    peer.say(&json!({"id": first["id"], "ok": ok(1, false)}));
    assert_eq!(peer.heard().await["publish"]["key"], "k3");
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_makes_room_and_closing_needs_none() {
    let request_timeout = Duration::from_secs(5);
    let options = Options { in_flight_max: 1, request_timeout, ..Options::default() };
    let (client, _server, mut peer) = connected(options).await;
    let first = publishing(&client, message(1));
    peer.heard().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = publishing(&client, message(2));
    assert_eq!(first.await.unwrap(), Err(Error::Timeout));
    let asked = peer.heard().await;
    // Too late, and about something else.
    peer.say(&json!({"id": 1, "ok": ok(1, false)}));
    peer.say(&json!({"id": asked["id"], "ok": ok(2, false)}));
    assert_eq!(second.await.unwrap(), Ok(appended(2, false)));

    let third = publishing(&client, message(3));
    peer.heard().await;
    client.close().await;
    assert_eq!(third.await.unwrap(), Err(Error::Stopped));
}

#[tokio::test(start_paused = true)]
async fn history_is_read_in_pages() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let asking = client.clone();
    let epoch = Epoch::parse("e1").unwrap();
    let history = History::of("news.>")
        .unwrap()
        .stream(StreamName::parse("news").unwrap())
        .after(Some(epoch.clone()), 4)
        .limit(2);
    let reading = tokio::spawn(async move { asking.history(history).await });
    let bytes = json!({
        "topic": "news.b", "stream": "news", "seq": 6, "time": 5,
        "data": {"content_type": "a/b", "base64": "AP8="}, "binary": true,
    });
    peer.answer(
        &json!({"history": {"topic": "news.>", "stream": "news", "epoch": "e1", "after": 4, "limit": 2}}),
        &json!({"events": [event("news.a", 5)["event"], bytes], "epoch": "e1", "after": 9, "more": true}),
    )
    .await;
    let page = reading.await.unwrap().unwrap();
    assert!(page.more);
    assert_eq!(page.after, 9);
    assert_eq!(page.events[0].payload, json_payload("5"));
    assert_eq!(page.events[0].epoch, Some(epoch));
    assert!(
        matches!(&page.events[1].payload, crate::Payload::Binary { bytes, .. } if bytes[..] == [0, 255])
    );
}

use std::time::Duration;

use protocol::CloseReason;
use serde_json::json;
use tokio::time::Instant;

use super::server::{connected, pair};
use super::{event, next_seqs};
use crate::{Error, Item, Options, Publish, Received, Refusal, Status};

const HOUR: Duration = Duration::from_secs(3_600);

fn refusal(code: &str, retry_after_ms: Option<u64>) -> Error {
    Error::Refused(Refusal {
        details: None,
        code: code.into(),
        message: "no".into(),
        retry_after_ms,
        status: None,
    })
}

#[tokio::test(start_paused = true)]
async fn every_close_code_says_whether_to_come_back() {
    for reason in CloseReason::ALL {
        let (client, mut server, mut peer) = connected(Options::default()).await;
        let mut news = peer.subscribe_news(&client, 0).await;
        peer.say(&event("news.a", 1));
        peer.send(Received::Closed { code: reason.code(), reason: "why".into() });
        assert_eq!(next_seqs(&mut news, 1).await, [1]);
        let error = Error::Closed { code: reason.code(), reason: "why".into() };
        if reason.should_reconnect() {
            assert_eq!(news.next().await, Ok(Item::Reconnecting(error)), "{reason:?}");
            server.accept().await;
        } else {
            assert_eq!(news.next().await, Err(error.clone()), "{reason:?}");
            assert_eq!(news.next().await, Err(error.clone()));
            assert_eq!(client.ping().await, Err(error.clone()));
            assert_eq!(*client.status().borrow(), Status::Closed(error));
            assert!(server.is_left_alone(HOUR).await, "{reason:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_says_when_to_come_back() {
    let (_client, mut server, mut peer) = connected(Options::default()).await;
    let mut begin = Instant::now();
    for after_ms in [1_234, 0, 77_000] {
        let reconnect = json!({"after_ms": after_ms});
        peer.say(&json!({"closing": {"code": 1012, "reason": "x", "reconnect": reconnect}}));
        // With or without a close frame.
        if after_ms == 0 {
            drop(peer);
        } else {
            peer.send(Received::Closed { code: 1012, reason: String::new() });
        }
        peer = server.accept().await;
        assert_eq!((peer.at - begin).as_millis(), after_ms as u128);
        begin = peer.at;
        peer.welcome("c2", "t2");
        let hello = peer.heard().await;
        peer.say(&json!({"id": hello["id"], "ok": {"client": "c1", "subscriptions": []}}));
    }
}

#[tokio::test(start_paused = true)]
async fn a_closing_that_forbids_it_is_obeyed_even_without_a_close_frame() {
    let (client, mut server, peer) = connected(Options::default()).await;
    peer.say(&json!({"closing": {"code": 4403, "reason": "revoked"}}));
    drop(peer);
    assert!(server.is_left_alone(HOUR).await);
    let error = Error::Closed { code: 4403, reason: "revoked".into() };
    assert_eq!(client.publish(Publish::json("a", &1).unwrap()).await, Err(error));
}

#[tokio::test(start_paused = true)]
async fn unknown_close_codes_are_no_reason_to_stay_away() {
    let (_client, mut server, peer) = connected(Options::default()).await;
    peer.send(Received::Closed { code: 4999, reason: String::new() });
    server.accept().await;
}

#[tokio::test(start_paused = true)]
async fn attempts_back_off_up_to_a_bound() {
    let options = Options { backoff_max: Duration::from_secs(4), ..Options::default() };
    let (_client, mut server, peer) = connected(options).await;
    let failures = 100;
    server.refuse(vec![Error::Unreachable("no".into()); failures]);
    let begin = Instant::now();
    drop(peer);
    let peer = server.accept().await;
    let took = (peer.at - begin).as_secs_f64();
    // A hundred draws from up to four seconds: about 200 s, and never more than 400.
    assert!((100.0..400.0).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_decides_whether_to_try_again() {
    let (client, server) = pair(Options::default());
    server.refuse([refusal("forbidden", None)]);
    assert_eq!(client.connected().await, Err(refusal("forbidden", None)));
    assert_eq!(client.ping().await, Err(refusal("forbidden", None)));

    let (client, mut server) = pair(Options::default());
    server.refuse([refusal("too_many_connections", Some(5_000))]);
    let begin = Instant::now();
    let failed = client.connected().await;
    assert_eq!(failed, Err(refusal("too_many_connections", Some(5_000))));
    let peer = server.accept().await;
    assert_eq!((peer.at - begin).as_millis(), 5_000);
}

#[tokio::test(start_paused = true)]
async fn a_refused_hello_decides_too() {
    for (code, comes_back) in [("overloaded", true), ("forbidden", false)] {
        let (client, mut server, mut peer) = connected(Options::default()).await;
        let mut news = peer.subscribe_news(&client, 0).await;
        drop(peer);
        let mut peer = server.accept().await;
        peer.welcome("c2", "t2");
        let hello = peer.heard().await;
        peer.say(&json!({"id": hello["id"], "error": {"code": code, "message": "no"}}));
        assert!(matches!(news.next().await, Ok(Item::Reconnecting(_))));
        if comes_back {
            server.accept().await;
        } else {
            assert_eq!(news.next().await, Err(refusal(code, None)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_asked_and_then_left() {
    let (_client, mut server, mut peer) = connected(Options::default()).await;
    let begin = Instant::now();
    // Any sign of life will do.
    tokio::time::sleep(Duration::from_secs(20)).await;
    peer.send(Received::Alive);
    assert_eq!(peer.heard().await, json!({"id": 0, "ping": {}}));
    assert_eq!(begin.elapsed().as_secs(), 50);
    peer.say(&json!({"id": 0, "ok": {"time": 1}}));
    assert_eq!(peer.heard().await, json!({"id": 0, "ping": {}}));
    assert_eq!(begin.elapsed().as_secs(), 80);
    let peer = server.accept().await;
    // Twice the heartbeat and five seconds after the last sign, and a first back-off.
    let silence = (peer.at - begin).as_millis();
    assert!((115_000..=115_250).contains(&silence), "{silence}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_greet_is_left() {
    let (client, mut server) = pair(Options::default());
    let peer = server.accept().await;
    let begin = Instant::now();
    // Chatter does not put it off.
    for _ in 0..9 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        peer.send(Received::Alive);
    }
    let failed = client.connected().await;
    assert!(matches!(failed, Err(Error::Unreachable(_))), "{failed:?}");
    assert_eq!(begin.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_tidings_is_not_asked_again() {
    let version = json!({"welcome": {
        "client": "c", "session": "s", "protocol": 2, "heartbeat_ms": 1, "limits": {},
    }});
    for first in [json!({"type": "connected"}), json!("hi"), version] {
        let (client, mut server) = pair(Options::default());
        let peer = server.accept().await;
        peer.say(&first);
        let failed = client.connected().await;
        assert!(matches!(failed, Err(Error::Protocol(_))), "{failed:?}");
        assert!(server.is_left_alone(HOUR).await);
    }
}

#[tokio::test(start_paused = true)]
async fn one_garbled_message_is_an_accident() {
    let (_client, mut server, peer) = connected(Options::default()).await;
    peer.say_text("{\"event\":{");
    server.accept().await;
}

#[tokio::test(start_paused = true)]
async fn news_of_a_later_version_is_passed_over() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let mut news = peer.subscribe_news(&client, 0).await;
    peer.say(&json!({"weather": {"sky": "blue"}}));
    peer.say(&json!({"expiring": {"in_ms": 5}}));
    peer.say(&json!({"error": {"code": "rate_limited", "message": "about nothing"}}));
    peer.say(&json!({"id": 999, "ok": {}}));
    peer.say(&json!({"event": {
        "topic": "news.a", "stream": "news", "seq": 1, "time": 5, "data": 1, "mood": "fine",
    }}));
    assert_eq!(next_seqs(&mut news, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn closing_ends_everything() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let mut news = peer.subscribe_news(&client, 0).await;
    let asking = client.clone();
    let publishing =
        tokio::spawn(async move { asking.publish(Publish::json("a", &1).unwrap()).await });
    peer.heard().await;
    client.close().await;
    assert_eq!(publishing.await.unwrap(), Err(Error::Stopped));
    assert_eq!(news.next().await, Err(Error::Stopped));
    assert_eq!(client.ping().await, Err(Error::Stopped));
    client.close().await;
    assert!(server.is_left_alone(HOUR).await);
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_connection() {
    let (client, server) = pair(Options::default());
    server.refuse(vec![Error::Unreachable("no".into()); 10]);
    assert!(client.connected().await.is_err());
    let begin = Instant::now();
    client.close().await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_the_connection_while_no_more_may_be_asked() {
    let (client, _server, mut peer) =
        connected(Options { in_flight_max: 1, ..Options::default() }).await;
    let mut status = client.status();
    let pinging = tokio::spawn(async move { client.ping().await });
    peer.heard().await;
    // The last handle goes with the task, and its request stays without an answer.
    pinging.abort();
    let ended = status.wait_for(|status| matches!(status, Status::Closed(_))).await;
    assert_eq!(*ended.unwrap(), Status::Closed(Error::Stopped));
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_the_connection() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let news = peer.subscribe_news(&client, 0).await;
    drop(client);
    peer.assert_silent(Duration::from_secs(1)).await;
    drop(news);
    while peer.closed_within(HOUR).await.is_some() {}
    assert!(server.is_left_alone(HOUR).await);
}

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tidings_tests::harness::{Encoding, EventSource, Incoming, Socket, TestServer};
use tokio::net::TcpStream;

use super::{AUTH, EVERYWHERE, connect, start, started, token, upgrade};

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A token of a user that is good for so many ms, and when it ends.
fn short(user: &str, ms: u64) -> (String, u64) {
    let end_ms = now_ms() + ms;
    (token::of(json!({ "sub": user, "exp": end_ms as f64 / 1_000.0 })), end_ms)
}

/// Reads until the connection is closed: what was said, and the code.
async fn rest(socket: &mut Socket) -> (Vec<Value>, u16) {
    let mut said = Vec::new();
    loop {
        match socket.next().await {
            Incoming::Json(message) => said.push(message),
            Incoming::Close(code, _) => return (said, code),
            Incoming::End => panic!("no close frame"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_session_is_told_that_it_ends_and_ends_with_its_token() {
    let server = started().await;
    let (token, end_ms) = short("ann", 1_500);
    for by_message in [false, true] {
        let mut socket = if by_message {
            let mut socket = server.connect().await;
            socket.ask("hello", json!({ "token": token })).await;
            socket
        } else {
            connect(&server, &token).await
        };
        let (said, code) = rest(&mut socket).await;
        assert_eq!(code, 4401);
        let at_ms = now_ms();
        assert!((end_ms..end_ms + 1_000).contains(&at_ms), "{} ms late", at_ms - end_ms);
        let expiring = said.iter().find_map(|message| message.get("expiring")).expect("a notice");
        assert!((1..1_000).contains(&expiring["in_ms"].as_u64().unwrap()), "{expiring}");
        assert_eq!(said.last().unwrap()["closing"]["code"], 4401);
        if !by_message {
            let late = upgrade(&server, &format!("/v1/ws?token={token}"), "").await;
            assert_eq!(late.error(401), "token_expired");
            return again(&server).await;
        }
    }
}

/// By the first message, likewise.
async fn again(server: &TestServer) {
    let (token, end_ms) = short("ann", 1_000);
    let mut socket = server.connect().await;
    socket.ask("hello", json!({ "token": token })).await;
    let (said, code) = rest(&mut socket).await;
    assert_eq!(code, 4401);
    assert!((end_ms..end_ms + 1_000).contains(&now_ms()));
    assert!(said.iter().any(|message| message.get("expiring").is_some()));
}

#[tokio::test]
async fn a_newer_token_of_the_same_user_extends_the_session_in_place() {
    let server = started().await;
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let (token, end_ms) = short("ann", 1_500);
        let stream = TcpStream::connect(server.public).await.unwrap();
        let mut socket = Socket::speaking(encoding, stream, &format!("/v1/ws?token={token}")).await;
        socket.subscribe(&["user.ann.>"]).await;
        socket.json_with("expiring").await;
        let (newer, newer_end_ms) = short("ann", 60_000);
        let answer = socket.ask("refresh", json!({ "token": newer })).await;
        assert_eq!(answer["expires_at"].as_u64(), Some(newer_end_ms));
        while now_ms() < end_ms + 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server.publish("user.ann.a", json!(1)).await;
        assert_eq!(socket.json_with("event").await["event"]["data"], 1);
    }
}

#[tokio::test]
async fn a_wrong_newer_token_changes_nothing() {
    let server = started().await;
    let mut socket = connect(&server, &token::user("ann")).await;
    socket.subscribe(&["user.ann.>"]).await;
    let expired = token::of(json!({ "sub": "ann", "exp": token::now() - 10 }));
    for (wrong, code) in [
        (token::user("eve"), "forbidden"),
        (expired, "token_expired"),
        ("a.b.c".into(), "unauthorized"),
    ] {
        assert_eq!(socket.refused("refresh", json!({ "token": wrong })).await, code);
    }
    let hello = json!({ "token": token::user("eve") });
    assert_eq!(socket.refused("hello", hello).await, "bad_request");
    server.publish("user.ann.a", json!(1)).await;
    assert_eq!(socket.json_with("event").await["event"]["data"], 1);
    // To say hello as somebody else ends it.
    let mut other = connect(&server, &token::user("ann")).await;
    assert_eq!(other.refused("hello", json!({ "token": token::user("eve") })).await, "forbidden");
    assert_eq!(other.close_code().await, 4403);
}

#[tokio::test]
async fn a_newer_token_that_allows_less_ends_what_it_does_not_allow() {
    let server = started().await;
    let mut socket = connect(&server, &token::with_roles("ann", &["editor"])).await;
    socket.subscribe(&["draft.>", "news.>"]).await;
    socket.ask("refresh", json!({ "token": token::user("ann") })).await;
    server.publish("draft.a", json!(1)).await;
    server.publish("news.a", json!(2)).await;
    assert_eq!(socket.json_with("event").await["event"]["data"], 2);
    assert_eq!(
        socket.refused("publish", json!({ "topic": "news.a", "data": 3 })).await,
        "forbidden"
    );
    let shown = server.get(&format!("/v1/connections/{}", socket.client())).await;
    assert_eq!(shown["subscriptions"], json!(["news.>"]));
}

#[tokio::test]
async fn server_sent_events_end_with_the_token_too() {
    let server = started().await;
    let (token, end_ms) = short("ann", 1_000);
    let query = format!("topics=news.a&token={token}");
    let mut events = EventSource::open(server.public, &query, None).await;
    events.next_named("closing").await;
    assert!((end_ms..end_ms + 1_000).contains(&now_ms()));
}

#[tokio::test]
async fn who_is_remembered_comes_back_with_a_newer_token() {
    let rest = EVERYWHERE.replace(
        "path = \"/v1/ws\"",
        "path = \"/v1/ws\"\nremember = \"1m\"\nheartbeat = \"200ms\"",
    );
    let server = start(&format!("{AUTH}{rest}")).await;
    let (token, _) = short("ann", 1_200);
    let mut socket = connect(&server, &token).await;
    socket.subscribe(&["user.ann.>"]).await;
    assert_eq!(super::expiry::rest(&mut socket).await.1, 4401);
    drop(socket);
    server.has_connections(0).await;
    server.publish("user.ann.a", json!(7)).await;
    // Nobody else gets what was the user's.
    let mut eve = connect(&server, &token::user("eve")).await;
    eve.ask("ping", json!({})).await;
    let mut back = connect(&server, &token::user("ann")).await;
    back.send(&json!({ "id": 1, "ping": {} })).await;
    assert_eq!(back.json_with("event").await["event"]["data"], 7);
    let shown = server.get(&format!("/v1/connections/{}", eve.client())).await;
    assert_eq!(shown["subscriptions"], json!([]));
}

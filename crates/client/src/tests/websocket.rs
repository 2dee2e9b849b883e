//! The link over TCP, with a WebSocket server that is not ours.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{event, next_event};
use crate::{Client, Error, Item, Options, Publish, Status, Subscribe};

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, format!("ws://{address}"))
}

/// Accepts a client and greets it.
async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    #[expect(clippy::result_large_err, reason = "the signature is the library's")]
    let check = |request: &Request, mut response: Response| {
        assert_eq!(request.uri(), "/v1/ws");
        assert_eq!(request.headers()["authorization"], "Bearer s3cret");
        let protocol = request.headers()["sec-websocket-protocol"].clone();
        assert_eq!(protocol, "tidings.v1.json");
        response.headers_mut().insert("sec-websocket-protocol", protocol);
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, check).await.unwrap();
    let welcome = json!({"welcome": {
        "client": "c1", "session": "t1", "node": "n", "protocol": 1, "heartbeat_ms": 30_000,
    }});
    say(&mut socket, &welcome).await;
    socket
}

async fn say(socket: &mut WebSocketStream<TcpStream>, message: &Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

async fn heard(socket: &mut WebSocketStream<TcpStream>) -> Value {
    let message = socket.next().await.unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

fn options() -> Options {
    let token = Some("s3cret".into());
    Options { token, backoff_min: Duration::from_millis(1), ..Options::default() }
}

#[tokio::test]
async fn a_whole_conversation() {
    let (listener, url) = listen().await;
    let serving = tokio::spawn(async move {
        let mut socket = accept(&listener).await;
        let asked = heard(&mut socket).await;
        let ok =
            json!({"subscription": "s1", "topics": ["news.>"], "positions": [super::position(0)]});
        say(&mut socket, &json!({"id": asked["id"], "ok": ok})).await;
        socket.send(Message::Ping("are you there".into())).await.unwrap();
        let pong = socket.next().await.unwrap().unwrap();
        assert_eq!(pong, Message::Pong("are you there".into()));
        // More than one read of the client, and a large message back.
        for seq in 1..=5_000 {
            socket.feed(Message::text(event("news.a", seq).to_string())).await.unwrap();
        }
        socket.flush().await.unwrap();
        let published = socket.next().await.unwrap().unwrap();
        let Message::Binary(bytes) = published else { panic!("{published:?}") };
        let line_end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let asked: Value = serde_json::from_slice(&bytes[..line_end]).unwrap();
        assert_eq!(bytes.len() - line_end - 1, 3_000_000);
        let ok = json!({"stream": "news", "epoch": "e1", "seq": 1, "durability": "memory"});
        say(&mut socket, &json!({"id": asked["id"], "ok": ok})).await;
        // The client closes, politely.
        let closed = socket.next().await.unwrap().unwrap();
        assert!(matches!(closed, Message::Close(Some(frame)) if u16::from(frame.code) == 1_000));
        while socket.next().await.is_some() {}
    });
    let client = Client::connect(&url, options()).await.unwrap();
    let mut news = client.subscribe(Subscribe::to(&["news.>"]).unwrap()).await.unwrap();
    for seq in 1..=5_000 {
        assert_eq!(next_event(&mut news).await.seq, seq);
    }
    let image = Publish::bytes("a", "image/x", vec![7; 3_000_000]).unwrap();
    assert_eq!(client.publish(image).await.unwrap().seq, 1);
    client.close().await;
    serving.await.unwrap();
}

#[tokio::test]
async fn a_close_frame_is_answered_and_obeyed() {
    let (listener, url) = listen().await;
    let serving = tokio::spawn(async move {
        let mut socket = accept(&listener).await;
        let frame = CloseFrame { code: 4409.into(), reason: "taken over".into() };
        socket.send(Message::Close(Some(frame))).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        assert!(matches!(answer, Message::Close(Some(frame)) if u16::from(frame.code) == 4409));
    });
    let client = Client::connect(&url, options()).await.unwrap();
    let mut status = client.status();
    let ended =
        status.wait_for(|status| matches!(status, Status::Closed(_))).await.unwrap().clone();
    let error = Error::Closed { code: 4409, reason: "taken over".into() };
    assert_eq!(ended, Status::Closed(error));
    serving.await.unwrap();
}

#[tokio::test]
async fn a_broken_connection_is_made_anew() {
    let (listener, url) = listen().await;
    let serving = tokio::spawn(async move {
        let mut socket = accept(&listener).await;
        let asked = heard(&mut socket).await;
        let ok = json!({"subscription": "s1", "topics": ["a"], "positions": [super::position(4)]});
        say(&mut socket, &json!({"id": asked["id"], "ok": ok})).await;
        drop(socket);
        let mut socket = accept(&listener).await;
        let hello = heard(&mut socket).await;
        assert_eq!(hello["hello"]["resume"], json!([super::after(4)]));
        let ok = json!({"client": "c1", "subscriptions": [ok]});
        say(&mut socket, &json!({"id": hello["id"], "ok": ok})).await;
        say(&mut socket, &event("a", 5)).await;
        socket.next().await;
    });
    let client = Client::connect(&url, options()).await.unwrap();
    let mut a = client.subscribe(Subscribe::to(&["a"]).unwrap()).await.unwrap();
    assert!(matches!(a.next().await, Ok(Item::Reconnecting(Error::Unreachable(_)))));
    assert_eq!(a.next().await, Ok(Item::Reconnected));
    assert_eq!(next_event(&mut a).await.seq, 5);
    drop((a, client));
    serving.await.unwrap();
}

/// Answers one handshake with these bytes.
async fn answered_with(answer: &'static str) -> Error {
    let (listener, url) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4_096];
        let count = stream.read(&mut request).await.unwrap();
        assert!(request[..count].ends_with(b"\r\n\r\n"));
        for part in answer.as_bytes().chunks(7) {
            stream.write_all(part).await.unwrap();
            stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    Client::connect(&url, options()).await.unwrap_err()
}

#[tokio::test]
async fn a_refused_handshake_tells_why() {
    let error = answered_with(
        "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: 61\r\n\r\n\
         {\"error\":{\"code\":\"token_expired\",\"message\":\"it was yesterday\"}}",
    )
    .await;
    assert_eq!(error.to_string(), "token_expired: it was yesterday");

    let error = answered_with(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let Error::Refused(refusal) = error else { panic!("{error}") };
    assert_eq!((refusal.status, refusal.retry_after_ms), (Some(429), Some(7_000)));
    assert!(refusal.is_retryable());

    let error = answered_with("HTTP/1.1 404 Not Found\r\n\r\n").await;
    assert!(error.to_string().contains("status 404 instead of a WebSocket"), "{error}");
    let error = answered_with("HTTP/1.1 101 Switching Protocols\r\n\r\n").await;
    assert!(matches!(error, Error::Protocol(_)), "{error}");
    let error = answered_with("SSH-2.0-OpenSSH\r\n").await;
    assert!(matches!(error, Error::Protocol(_)), "{error}");
    let error = answered_with("HTTP/1.1 101").await;
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn what_cannot_be_connected_to_is_an_error_at_once() {
    let (listener, url) = listen().await;
    drop(listener);
    let error = Client::connect(&url, options()).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot connect to 127.0.0.1:"), "{error}");
    let error = Client::connect("wss://localhost", options()).await.unwrap_err();
    assert!(error.to_string().contains("TLS is not available"), "{error}");
    let token = Some("a\r\nb: c".into());
    let (_listener, url) = listen().await;
    let error = Client::connect(&url, Options { token, ..options() }).await.unwrap_err();
    assert_eq!(error.to_string(), "the token has characters no header may have");
}

#[test]
fn a_token_is_not_shown() {
    assert!(!format!("{:?}", options()).contains("s3cret"));
}

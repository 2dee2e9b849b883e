//! Against tokio-tungstenite.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message as Theirs;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use websocket::handshake::ClientHandshake;
use websocket::{CloseCode, Message, Opcode};

use crate::peer::{Peer, payloads, sockets};

#[tokio::test]
async fn their_client_gets_its_messages_back_from_us() {
    let (client, server) = sockets().await;
    let echo = tokio::spawn(async { Peer::accept(server).await.echo().await });
    let (mut client, _) = tokio_tungstenite::client_async("ws://localhost/", client).await.unwrap();
    for payload in payloads() {
        let text = Theirs::text(String::from_utf8(payload.clone()).unwrap());
        for message in [text, Theirs::binary(payload)] {
            client.send(message.clone()).await.unwrap();
            assert_eq!(client.next().await.unwrap().unwrap(), message);
        }
    }
    client.send(Theirs::Ping("are you there".into())).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Theirs::Pong("are you there".into()));
    let close = CloseFrame { code: 4000.into(), reason: "done".into() };
    client.close(Some(close)).await.unwrap();
    let answer = client.next().await.unwrap().unwrap();
    assert!(matches!(answer, Theirs::Close(Some(close)) if u16::from(close.code) == 4000));
    echo.await.unwrap();
}

#[tokio::test]
#[expect(clippy::result_large_err, reason = "their callback's type")]
async fn we_get_our_messages_back_from_their_server() {
    let (client, server) = sockets().await;
    let echo = tokio::spawn(async {
        let choose = |request: &Request, mut response: Response| {
            let offered = request.headers().get("sec-websocket-protocol").unwrap().clone();
            assert_eq!(offered, "b, a");
            response.headers_mut().insert("sec-websocket-protocol", "a".parse().unwrap());
            Ok(response)
        };
        let mut server = tokio_tungstenite::accept_hdr_async(server, choose).await.unwrap();
        while let Some(Ok(message)) = server.next().await {
            if message.is_text() || message.is_binary() {
                server.send(message).await.unwrap();
            }
        }
    });
    let handshake = ClientHandshake::new([7; 16]).protocol("b").protocol("a").deflate();
    let mut client = Peer::connect(client, &handshake).await;
    assert_eq!(client.protocol.as_deref(), Some("a"));
    assert_eq!(client.deflate, None, "they know no compression");
    for payload in payloads() {
        client.send(Opcode::Binary, &payload).await;
        assert_eq!(client.receive().await.unwrap(), Ok(Message::Binary(payload.clone().into())));
        // In parts, cut inside characters too.
        let (a, b) = payload.split_at(payload.len() / 3);
        client.send_parts(Opcode::Text, &[a, b"", b]).await;
        let text = String::from_utf8(payload).unwrap();
        assert_eq!(client.receive().await.unwrap(), Ok(Message::Text(text.into())));
    }
    client.ping(b"there?").await;
    assert_eq!(client.receive().await.unwrap(), Ok(Message::Pong(b"there?".as_slice().into())));
    client.close(CloseCode::NORMAL, "done").await;
    let answer = client.receive().await.unwrap().unwrap();
    assert!(matches!(answer, Message::Close(Some(close)) if close.code == CloseCode::NORMAL));
    assert_eq!(client.receive().await, None);
    echo.await.unwrap();
}

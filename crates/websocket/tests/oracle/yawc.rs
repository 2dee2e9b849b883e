//! Against yawc, with compression.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use websocket::handshake::ClientHandshake;
use websocket::{Message, Opcode, Role};
use yawc::frame::{Frame, OpCode};
use yawc::{Options, WebSocket};

use crate::peer::{Peer, payloads, sockets};

async fn round_trips(client: &mut WebSocket<TcpStream>) {
    for payload in payloads() {
        let text = Frame::text(payload.clone());
        for frame in [text, Frame::binary(payload)] {
            client.send(frame.clone()).await.unwrap();
            let echoed = client.next().await.unwrap();
            assert_eq!(echoed.opcode(), frame.opcode());
            assert_eq!(echoed.payload(), frame.payload());
        }
    }
}

#[tokio::test]
async fn their_client_gets_its_compressed_messages_back_from_us() {
    let options = Options::default().with_utf8().with_limits(8 << 20, 16 << 20);
    for options in [
        options.clone().with_balanced_compression(),
        options.clone().with_high_compression().client_no_context_takeover(),
        options.clone().with_balanced_compression().server_no_context_takeover(),
        options.clone().with_balanced_compression().with_max_fragment_size(1000),
        options.clone().without_compression(),
    ] {
        let (client, server) = sockets().await;
        let echo = tokio::spawn(async { Peer::accept(server).await.echo().await });
        let url = "ws://localhost/".parse().unwrap();
        let mut client = WebSocket::handshake(url, client, options).await.unwrap();
        round_trips(&mut client).await;
        client.close().await.unwrap();
        echo.await.unwrap();
    }
}

/// Their answer depends on their options; here it is given, so that others are tried too.
async fn against_their_server(extensions: &'static str) {
    let (client, server) = sockets().await;
    let echo = tokio::spawn(async move {
        let options = Options::default()
            .with_utf8()
            .with_limits(8 << 20, 16 << 20)
            .with_balanced_compression();
        let mut server = WebSocket::from_stream_with_extensions(
            server,
            yawc::Role::Server,
            Some(extensions),
            options,
        )
        .unwrap();
        while let Some(frame) = server.next().await {
            if matches!(frame.opcode(), OpCode::Text | OpCode::Binary) {
                server.send(frame).await.unwrap();
            }
        }
    });
    let handshake = ClientHandshake::new([3; 16]).deflate();
    let headers = [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-extensions", extensions),
    ];
    let accept = websocket::handshake::accept_value("AwMDAwMDAwMDAwMDAwMDAw==");
    let headers = headers.into_iter().chain([("sec-websocket-accept", accept.as_str())]);
    let headers = headers.map(|(name, value)| (name, value.as_bytes()));
    let agreed = handshake.verify(101, headers).unwrap();
    assert!(agreed.deflate.is_some());
    let mut client = Peer::new(client, Role::Client, Vec::new(), None, agreed.deflate);
    for payload in payloads() {
        client.send(Opcode::Binary, &payload).await;
        assert_eq!(client.receive().await.unwrap(), Ok(Message::Binary(payload.clone().into())));
        client.send(Opcode::Text, &payload).await;
        let text = String::from_utf8(payload).unwrap();
        assert_eq!(client.receive().await.unwrap(), Ok(Message::Text(text.into())));
    }
    drop(client);
    echo.await.unwrap();
}

#[tokio::test]
async fn we_get_our_compressed_messages_back_from_their_server() {
    for extensions in [
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits=15",
    ] {
        against_their_server(extensions).await;
    }
}

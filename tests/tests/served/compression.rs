//! Compression is agreed with clients that offer it, made once for all of them, and theirs is read.

use serde_json::{Value, json};
use tidings_tests::harness::SOON;
use tidings_tests::harness::server::TestServer;
use tidings_tests::protobuf::{Said, client_message, server_message};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use websocket::{Decoder, Deflater, Encoder, Inflater, Limits, Message, Opcode, Role};

const CONFIG: &str = "[[endpoint]]\npath = \"/v1/ws\"\ndialect = \"native\"\n\
                      compression = { above = \"200B\", level = 6 }\n";
const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// A client that counts what comes over the wire.
struct Client {
    stream: TcpStream,
    head: String,
    read: Vec<u8>,
    decoder: Decoder,
    inflater: Inflater,
    messages: std::collections::VecDeque<Value>,
    wire_bytes: usize,
}

impl Client {
    async fn connect(server: &TestServer, offer: Option<&str>) -> Self {
        Self::speaking("tidings.v1.json", server, offer).await
    }

    async fn speaking(subprotocol: &str, server: &TestServer, offer: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(server.public).await.unwrap();
        let offer = offer.map_or(String::new(), |o| format!("Sec-WebSocket-Extensions: {o}\r\n"));
        let request = format!(
            "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: {subprotocol}\r\n{offer}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        let end = loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(stream.read_buf(&mut read).await.unwrap() > 0);
        };
        let head = String::from_utf8(read.drain(..end).collect()).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        let is_agreed = head.contains("permessage-deflate");
        let decoder = Decoder::new(Role::Client, Limits::default(), is_agreed);
        let (inflater, messages) = (Inflater::new(), Default::default());
        let mut client = Self { stream, head, read, decoder, inflater, messages, wire_bytes: 0 };
        assert_eq!(client.next().await["welcome"]["protocol"], 1);
        client
    }

    async fn next(&mut self) -> Value {
        while self.messages.is_empty() {
            let mut bytes = std::mem::take(&mut self.read);
            if bytes.is_empty() {
                let read = self.stream.read_buf(&mut bytes);
                assert!(tokio::time::timeout(SOON, read).await.unwrap().unwrap() > 0);
            }
            self.wire_bytes += bytes.len();
            let mut input = &mut bytes[..];
            while let Some(message) = self.decoder.decode(&mut input, &mut self.inflater).unwrap() {
                match message {
                    Message::Text(text) => {
                        self.messages.push_back(serde_json::from_str(&text).unwrap());
                    }
                    Message::Binary(frame) => {
                        for said in server_message(&frame) {
                            let Said::Json(message) = said else { panic!("{said:?}") };
                            self.messages.push_back(message);
                        }
                    }
                    _ => {}
                }
            }
        }
        self.messages.pop_front().unwrap()
    }

    async fn subscribe(&mut self) {
        self.send(&json!({ "id": 1, "subscribe": { "topics": ["news"] } })).await;
        assert_eq!(self.next().await["id"], 1);
    }

    async fn send(&mut self, request: &Value) {
        let mut frame = Vec::new();
        if self.head.contains("tidings.v1.proto") {
            Encoder::client([1, 2, 3, 4]).binary(&mut frame, &client_message(request));
        } else {
            Encoder::client([1, 2, 3, 4]).text(&mut frame, &request.to_string());
        }
        self.stream.write_all(&frame).await.unwrap();
    }
}

fn long() -> Value {
    json!({ "words": (0..200).map(|word| format!("word {}", word % 7)).collect::<Vec<_>>() })
}

#[tokio::test]
async fn events_are_compressed_for_those_who_agreed_and_plain_for_others() {
    let server = TestServer::start(CONFIG);
    let mut compressed = Client::connect(&server, Some(OFFER)).await;
    let mut plain = Client::connect(&server, None).await;
    assert!(compressed.head.contains("server_no_context_takeover"), "{}", compressed.head);
    assert!(!plain.head.contains("permessage-deflate"), "{}", plain.head);
    let mut sizes = Vec::new();
    for client in [&mut compressed, &mut plain] {
        client.subscribe().await;
        client.wire_bytes = 0;
    }
    for round in 0..3 {
        server.publish("news", long()).await;
        server.publish("news", json!(round)).await;
    }
    for client in [&mut compressed, &mut plain] {
        for round in 0..3 {
            assert_eq!(client.next().await["event"]["data"], long());
            assert_eq!(client.next().await["event"]["data"], json!(round));
        }
        sizes.push(client.wire_bytes);
    }
    assert!(sizes[0] * 4 < sizes[1], "{sizes:?}");
}

#[tokio::test]
async fn what_a_client_compressed_is_read() {
    let server = TestServer::start(CONFIG);
    let mut client = Client::connect(&server, Some(OFFER)).await;
    let request = json!({ "id": 7, "publish": { "topic": "news", "data": long() } }).to_string();
    let mut frame = Vec::new();
    let encoder = Encoder::client([9, 8, 7, 6]);
    let is_compressed =
        Deflater::new(6).message(encoder, &mut frame, Opcode::Text, request.as_bytes());
    assert!(is_compressed);
    client.stream.write_all(&frame).await.unwrap();
    let answer = client.next().await;
    assert_eq!((&answer["id"], &answer["ok"]["seq"]), (&json!(7), &json!(1)), "{answer}");
}

#[tokio::test]
async fn an_endpoint_without_compression_agrees_to_none() {
    let server = TestServer::start("");
    let client = Client::connect(&server, Some(OFFER)).await;
    assert!(!client.head.contains("permessage-deflate"), "{}", client.head);
}

#[tokio::test]
async fn a_client_with_a_small_window_is_served_plain() {
    let server = TestServer::start(CONFIG);
    let offer = "permessage-deflate; server_max_window_bits=10";
    let mut client = Client::connect(&server, Some(offer)).await;
    assert!(!client.head.contains("permessage-deflate"), "{}", client.head);
    client.subscribe().await;
    server.publish("news", long()).await;
    assert_eq!(client.next().await["event"]["data"], long());
}

#[tokio::test]
async fn what_is_said_in_protobuf_is_compressed_as_well() {
    let server = TestServer::start(CONFIG);
    let mut compressed = Client::speaking("tidings.v1.proto", &server, Some(OFFER)).await;
    let mut plain = Client::speaking("tidings.v1.proto", &server, None).await;
    for client in [&mut compressed, &mut plain] {
        client.subscribe().await;
        client.wire_bytes = 0;
    }
    server.publish("news", long()).await;
    for client in [&mut compressed, &mut plain] {
        assert_eq!(client.next().await["event"]["data"], long());
    }
    let (compressed, plain) = (compressed.wire_bytes, plain.wire_bytes);
    assert!(compressed * 4 < plain, "{compressed} and {plain} bytes");
}

#[tokio::test]
async fn events_of_a_stream_that_must_not_be_compressed_go_plain() {
    let stream = "[[stream]]\nname = \"secret\"\ntopics = [\"news\"]\ncompression = \"never\"\n";
    let server = TestServer::start(&format!("{CONFIG}{stream}"));
    let bytes = long().to_string().len();
    server.publish("news", long()).await;
    for subprotocol in ["tidings.v1.json", "tidings.v1.proto"] {
        let mut client = Client::speaking(subprotocol, &server, Some(OFFER)).await;
        assert!(client.head.contains("permessage-deflate"), "{}", client.head);
        client.subscribe().await;
        client.wire_bytes = 0;
        server.publish("news", long()).await;
        assert_eq!(client.next().await["event"]["data"], long());
        assert!(client.wire_bytes > bytes, "{} of {bytes}", client.wire_bytes);

        // What is read later is no exception.
        client.wire_bytes = 0;
        client.send(&json!({ "id": 2, "history": { "topic": "news" } })).await;
        assert_eq!(client.next().await["ok"]["events"][1]["data"], long());
        assert!(client.wire_bytes > 2 * bytes, "{} of 2 × {bytes}", client.wire_bytes);
    }
}

#[tokio::test]
async fn a_batch_is_compressed_as_one_message() {
    let server = TestServer::start(CONFIG);
    let mut client = Client::connect(&server, Some(OFFER)).await;
    let batched = json!({ "topics": ["news"], "batch_ms": 300, "from": { "last": 8 } });
    for _ in 0..8 {
        server.publish("news", long()).await;
    }
    client.wire_bytes = 0;
    client.send(&json!({ "id": 1, "subscribe": batched })).await;
    let mut received = 0;
    while received < 8 {
        let message = client.next().await;
        received += match message.as_array() {
            Some(events) => events.len(),
            None => usize::from(message.get("event").is_some()),
        };
    }
    // Alike as they are, eight take hardly more than one.
    let one = long().to_string().len();
    assert!(client.wire_bytes < 2 * one, "{} of 8 × {one}", client.wire_bytes);
}

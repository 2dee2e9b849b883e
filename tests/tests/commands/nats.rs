use serde_json::{Value, json};
use tidings_tests::harness::{Backing, TestServer};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::{call, start};

/// A program that listens on a subject, in NATS's own protocol.
struct Listener {
    stream: BufReader<TcpStream>,
}

impl Listener {
    async fn on(nats: &Backing, subject: &str) -> Self {
        let stream = TcpStream::connect(nats.address).await.unwrap();
        let mut listener = Self { stream: BufReader::new(stream) };
        let hello = "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n";
        listener.write(&format!("{hello}SUB {subject} 1\r\nPING\r\n")).await;
        while listener.line().await != "PONG" {}
        listener
    }

    async fn write(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stream.read_line(&mut line).await.unwrap() > 0, "the server ended");
        line.trim_end().to_owned()
    }

    /// The next request: where to reply, and what it says.
    async fn next(&mut self) -> (String, Value) {
        loop {
            let line = self.line().await;
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["MSG", _, _, reply, length] => {
                    let mut payload = vec![0; length.parse::<usize>().unwrap() + 2];
                    self.stream.read_exact(&mut payload).await.unwrap();
                    payload.truncate(payload.len() - 2);
                    return (reply.to_owned(), serde_json::from_slice(&payload).unwrap());
                }
                ["PING"] => self.write("PONG\r\n").await,
                _ => {}
            }
        }
    }

    async fn reply(&mut self, to: &str, text: &str) {
        self.write(&format!("PUB {to} {}\r\n{text}\r\n", text.len())).await;
    }
}

fn config(nats: &Backing, rest: &str) -> String {
    let url = nats.url();
    format!("[nats]\nurl = '{url}'\n[[command]]\nname = 'a'\nto = 'nats:do.a'\n{rest}\n")
}

/// Waits until the server has found NATS.
async fn connected(server: &TestServer) {
    while server.get("/v1/health").await["services"]["nats"] != "running" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_command_is_a_request_and_the_reply_its_result() {
    let nats = Backing::nats().await;
    let mut listener = Listener::on(&nats, "do.*").await;
    let server = start(&config(&nats, "answer_bytes = '1KiB'")).await;
    connected(&server).await;
    let mut client = server.connect().await;
    client.send(&json!({ "id": 1, "call": { "command": "a", "data": [1.5] } })).await;
    let (to, asked) = listener.next().await;
    let id = asked["id"].as_str().unwrap();
    let expected = json!({ "command": "a", "data": [1.5], "client": client.client(), "id": id });
    assert_eq!(asked, expected);
    listener.reply(&to, "{\"b\": 1.0,\"error\":null}").await;
    client.json().await;
    assert_eq!(client.last_text(), "{\"id\":1,\"ok\":{\"data\":{\"b\": 1.0,\"error\":null}}}");
    let huge = format!("\"{}\"", "x".repeat(2_000));
    for (reply, status, code) in [
        ("{\"error\":{\"code\":\"not_found\",\"message\":\"no blob\"}}", 404, "not_found"),
        ("hello", 502, "command_failed"),
        (&huge, 502, "command_failed"),
    ] {
        let (answered, ()) = tokio::join!(call(&server, "a", json!(1)), async {
            let (to, _) = listener.next().await;
            listener.reply(&to, reply).await;
        });
        assert_eq!(answered.error(status), code);
    }
    let (answered, ()) = tokio::join!(call(&server, "a", json!(1)), async {
        let (to, _) = listener.next().await;
        listener.reply(&to, "").await;
    });
    assert_eq!(answered.ok(), json!({ "data": null }));
}

#[tokio::test]
async fn a_subject_that_nobody_listens_on_is_known_at_once() {
    let nats = Backing::nats().await;
    let server = start(&config(&nats, "timeout = '1m'\nretry = { attempts = 3 }")).await;
    connected(&server).await;
    let reply = call(&server, "a", json!(1)).await;
    assert_eq!(reply.error(503), "no_handler");
    assert!(reply.text().contains("nothing listens"), "{}", reply.text());
    assert_eq!(server.metric("command_retries").await, 2);
}

#[tokio::test]
async fn a_listener_that_does_not_reply_is_not_waited_for_longer_than_allowed() {
    let nats = Backing::nats().await;
    let mut listener = Listener::on(&nats, "do.a").await;
    let server = start(&config(&nats, "timeout = '50ms'")).await;
    connected(&server).await;
    assert_eq!(call(&server, "a", json!(1)).await.error(504), "timeout");
    listener.next().await;
}

#[tokio::test]
async fn nats_may_be_away_and_nothing_is_carried_out_later() {
    let mut nats = Backing::absent_nats();
    let server = start(&config(&nats, "retry = { attempts = 1 }")).await;
    assert_eq!(server.get("/readyz").await["ready"], true);
    let reply = call(&server, "a", json!("early")).await;
    assert_eq!(reply.error(503), "no_handler");
    nats.begin().await;
    let mut listener = Listener::on(&nats, "do.a").await;
    connected(&server).await;
    let (answered, asked) = tokio::join!(call(&server, "a", json!("now")), async {
        let (to, asked) = listener.next().await;
        listener.reply(&to, "1").await;
        asked
    });
    assert_eq!(answered.ok(), json!({ "data": 1 }));
    assert_eq!(asked["data"], "now");
}

#[tokio::test]
async fn a_route_to_nats_says_what_it_lacks() {
    let server = start("[[command]]\nname = 'a'\nto = 'nats:do.a'\nretry = { attempts = 1 }").await;
    let reply = call(&server, "a", json!(1)).await;
    assert_eq!(reply.error(503), "no_handler");
    assert!(reply.text().contains("`nats.url`"), "{}", reply.text());
}

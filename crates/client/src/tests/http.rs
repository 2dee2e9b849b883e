//! The admin API's client, with a scripted HTTP server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::http::{Admin, percent_encoded};
use crate::{Audience, Error, Publish};

/// A request as it came: the head in lower case, and the body.
type Asked = (String, Vec<u8>);

/// Reads one request; `None` at the end of the connection.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

/// Serves with `answer`, which is told the request and gives status and body. Returns the URL and
/// how many connections there were.
async fn serve(
    answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (connections, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                while let Some(asked) = read_request(&mut stream).await {
                    let (status, body) = answer(&asked);
                    let head = format!(
                        "HTTP/1.1 {status} X\r\nretry-after: 3\r\ncontent-length: {}\r\n\r\n",
                        body.len()
                    );
                    stream.write_all((head + &body).as_bytes()).await.unwrap();
                    if asked.0.starts_with("GET /last") {
                        return;
                    }
                }
            });
        }
    });
    (url, connections)
}

fn ok(seq: u64) -> Value {
    json!({"stream": "news", "epoch": "e1", "seq": seq, "duplicate": false, "durability": "fsync"})
}

#[tokio::test]
async fn publishes_json_as_an_object() {
    let (url, _) = serve(|(head, body)| {
        assert!(head.starts_with("POST /v1/publish HTTP/1.1\r\n"), "{head}");
        let head = head.to_lowercase();
        assert!(head.contains("authorization: bearer s3cret\r\n"), "{head}");
        assert!(head.contains("content-type: application/json\r\n"), "{head}");
        assert_eq!(
            std::str::from_utf8(body).unwrap(),
            r#"{"topic":"a.b","data":{"z":1,"a":1.0},"group":"g","id":"k","headers":{"x":"y"}}"#
        );
        (200, ok(7).to_string())
    })
    .await;
    let admin = Admin::new(&url, Some("s3cret")).unwrap();
    let message = Publish::json_text("a.b", r#"{"z":1,"a":1.0}"#)
        .unwrap()
        .audience(Audience::Group("g".into()))
        .key("k")
        .header("x", "y");
    assert_eq!(admin.publish(&message).await.unwrap().seq, 7);
}

#[tokio::test]
async fn publishes_bytes_as_a_body() {
    let (url, _) = serve(|(head, body)| {
        assert!(head.starts_with("POST /v1/publish/a.%C3%BC HTTP/1.1\r\n"), "{head}");
        let head = head.to_lowercase();
        for line in ["content-type: image/png", "tidings-user: ada", "idempotency-key: k"] {
            assert!(head.contains(&format!("{line}\r\n")), "{head}");
        }
        assert_eq!(body, b"\x00\xff\n");
        (200, ok(8).to_string())
    })
    .await;
    let admin = Admin::new(&url, None).unwrap();
    let message = Publish::bytes("a.ü", "image/png", &b"\x00\xff\n"[..])
        .unwrap()
        .audience(Audience::User("ada".into()))
        .key("k");
    assert_eq!(admin.publish(&message).await.unwrap().seq, 8);
}

#[tokio::test]
async fn publishes_many_at_once() {
    let (url, _) = serve(|(_, body)| {
        let list: Vec<Value> = serde_json::from_slice(body).unwrap();
        assert_eq!(list.len(), 2);
        let error = json!({"error": {"code": "invalid_data", "message": "no"}});
        (200, json!([ok(1), error]).to_string())
    })
    .await;
    let admin = Admin::new(&url, None).unwrap();
    let messages = [Publish::json("a", &1).unwrap(), Publish::json("b", &2).unwrap()];
    let answers = admin.publish_all(&messages).await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap().seq, 1);
    assert_eq!(answers[1].as_ref().unwrap_err().to_string(), "invalid_data: no");
    let bytes = [Publish::bytes("a", "a/b", "x").unwrap()];
    assert!(matches!(admin.publish_all(&bytes).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_is_replaced_when_it_ends() {
    let (url, connections) = serve(|_| (200, "[1,2]".into())).await;
    let admin = Admin::new(&url, None).unwrap();
    for _ in 0..5 {
        let list: Vec<u32> = admin.get("/v1/streams?x=1").await.unwrap();
        assert_eq!(list, [1, 2]);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    let _: Value = admin.get("/last").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let _: Value = admin.get("/v1/health").await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn errors_are_told_with_code_and_time() {
    let (url, _) = serve(|(head, _)| match head.split(' ').nth(1) {
        Some("/json") => {
            (503, json!({"error": {"code": "draining", "message": "soon"}}).to_string())
        }
        Some("/empty") => (200, String::new()),
        _ => (502, "<html>".into()),
    })
    .await;
    let admin = Admin::new(&url, None).unwrap();
    let Err(Error::Refused(refusal)) = admin.get::<Value>("/json").await else { panic!("fine") };
    assert_eq!(refusal.known_code(), Some(crate::ErrorCode::Draining));
    assert_eq!((refusal.status, refusal.retry_after_ms), (Some(503), Some(3_000)));
    let Err(Error::Refused(refusal)) = admin.get::<Value>("/html").await else { panic!("fine") };
    assert_eq!((&*refusal.code, refusal.status), ("unexpected_status", Some(502)));
    let body = json!({"user": "ada"});
    assert_eq!(admin.request::<Value>("DELETE", "/empty", Some(&body)).await, Ok(Value::Null));
    assert!(matches!(admin.get::<u32>("/empty").await, Err(Error::Protocol(_))));
    assert!(matches!(admin.get::<Value>("/with space").await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn a_silent_or_absent_server_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = listener.local_addr().unwrap().to_string();
    let admin = Admin::new(&url, None).unwrap().timeout(Duration::from_millis(50));
    assert_eq!(admin.get::<Value>("/").await, Err(Error::Timeout));
    drop(listener);
    let admin = Admin::new(&url, None).unwrap();
    assert!(matches!(admin.get::<Value>("/").await, Err(Error::Unreachable(_))));
}

#[test]
fn segments_are_encoded() {
    assert_eq!(percent_encoded("a.b-c_~$x"), "a.b-c_~$x");
    assert_eq!(percent_encoded("a/b?ü"), "a%2Fb%3F%C3%BC");
}

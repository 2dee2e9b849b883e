use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::SOON;

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The head as it came, in lower case up to the first colon of each line.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of a header, named in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?} of {}", self.text(), self.head))
    }

    /// The body as JSON of an answer that must be a success.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// The error's code of an answer that must have that status.
    pub fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        let content_type = self.header("content-type");
        assert!(content_type.is_some_and(|it| it.starts_with("application/json")), "{}", self.head);
        self.json()["error"]["code"].as_str().expect("an error has a code").to_owned()
    }
}

/// Sends bytes as they are and reads the answer.
pub async fn exchange(address: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server may refuse before it has read all.
    let _ = stream.write_all(request).await;
    read_reply(&mut stream).await
}

/// Sends a request on a connection of its own.
pub async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method != "GET" {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request += "\r\n";
    let request = [request.as_bytes(), body].concat();
    exchange(address, &request).await
}

/// `GET`.
pub async fn get(address: SocketAddr, path: &str) -> Reply {
    send(address, "GET", path, &[], b"").await
}

/// `POST` of JSON.
pub async fn post(address: SocketAddr, path: &str, body: &Value) -> Reply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    send(address, "POST", path, &[("content-type", "application/json")], body.as_bytes()).await
}

/// Reads one answer.
pub async fn read_reply(stream: &mut TcpStream) -> Reply {
    let all = async {
        let mut read = Vec::new();
        let head = loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = read.drain(..end + 4).collect();
                break String::from_utf8(head).expect("a head is text");
            }
            let count = stream.read_buf(&mut read).await.unwrap_or(0);
            assert!(count > 0, "no answer, only {:?}", String::from_utf8_lossy(&read));
        };
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
        let mut reply = Reply { status, head, body: Vec::new() };
        let length = reply.header("content-length").map(|text| text.parse::<usize>().unwrap());
        // What follows an upgrade is no body.
        let length = if status == 101 { Some(0) } else { length };
        let is_chunked = reply.header("transfer-encoding") == Some("chunked");
        loop {
            let is_whole = match length {
                Some(length) => read.len() >= length,
                None => is_chunked && read.ends_with(b"0\r\n\r\n"),
            };
            if is_whole || stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                break;
            }
        }
        reply.body = if is_chunked { unchunked(&read) } else { read };
        reply
    };
    tokio::time::timeout(SOON, all).await.expect("no whole answer in time")
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some((chunk, rest)) = take_chunk(bytes) {
        body.extend_from_slice(chunk);
        bytes = rest;
    }
    body
}

/// Takes the first whole chunk (RFC 9112, section 7.1) and what follows it.
pub(super) fn take_chunk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|window| window == b"\r\n")?;
    let size = std::str::from_utf8(&bytes[..end]).ok()?.split(';').next()?;
    let size = usize::from_str_radix(size.trim(), 16).ok()?;
    let chunk = bytes.get(end + 2..end + 2 + size)?;
    Some((chunk, bytes.get(end + 2 + size + 2..)?))
}

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{SOON, http};

/// A server-sent event, or a comment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sent {
    /// `event:`; empty for a plain message.
    pub name: String,
    /// The last `id:` so far, as a browser keeps it.
    pub id: String,
    /// `data:`.
    pub data: String,
    /// `retry:`.
    pub retry: Option<u64>,
    /// Whether it is nothing but a comment.
    pub is_comment: bool,
}

impl Sent {
    /// The data as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// An `EventSource` as the HTML standard has it, without the reconnecting.
pub struct EventSource {
    stream: TcpStream,
    raw: Vec<u8>,
    text: Vec<u8>,
    /// What a browser would send as `Last-Event-ID`.
    pub last_id: String,
    has_ended: bool,
}

impl EventSource {
    /// Opens `/v1/sse` with a query.
    pub async fn open(address: SocketAddr, query: &str, last_id: Option<&str>) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::over(stream, address, query, last_id).await
    }

    /// Opens it over a stream.
    pub async fn over(
        mut stream: TcpStream,
        address: SocketAddr,
        query: &str,
        last_id: Option<&str>,
    ) -> Self {
        let last = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        // As a browser does: `>` may not stand in a request line.
        let query = query.replace('>', "%3E");
        let request = format!("GET /v1/sse?{query} HTTP/1.1\r\nHost: {address}\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        let end = loop {
            if let Some(end) = raw.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            let count = tokio::time::timeout(SOON, stream.read_buf(&mut raw)).await;
            assert!(count.expect("no answer in time").unwrap() > 0, "no answer");
        };
        let head: Vec<u8> = raw.drain(..end).collect();
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        let last_id = last_id.unwrap_or_default().to_owned();
        Self { stream, raw, text: Vec::new(), last_id, has_ended: false }
    }

    /// The next event or comment within a time; `None` where none comes, or the stream ends.
    pub async fn next_within(&mut self, time: Duration) -> Option<Sent> {
        let deadline = tokio::time::Instant::now() + time;
        loop {
            while let Some((chunk, rest)) = http::take_chunk(&self.raw) {
                self.has_ended |= chunk.is_empty();
                self.text.extend_from_slice(chunk);
                self.raw = rest.to_vec();
            }
            if let Some(end) = self.text.windows(2).position(|window| window == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                return Some(self.read_block(&String::from_utf8(block).unwrap()));
            }
            if self.has_ended {
                return None;
            }
            let read = self.stream.read_buf(&mut self.raw);
            match tokio::time::timeout_at(deadline, read).await {
                Err(_) => return None,
                Ok(count) => self.has_ended |= count.unwrap_or(0) == 0,
            }
        }
    }

    /// The next event that is no comment.
    pub async fn next(&mut self) -> Sent {
        loop {
            let sent = self.next_within(SOON).await.expect("no event comes");
            if !sent.is_comment {
                return sent;
            }
        }
    }

    /// The next event of that name, leaving out others; an empty name for plain events.
    pub async fn next_named(&mut self, name: &str) -> Sent {
        loop {
            let sent = self.next().await;
            if sent.name == name {
                return sent;
            }
        }
    }

    /// The underlying stream.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Whether the server has ended the stream.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn read_block(&mut self, block: &str) -> Sent {
        let mut sent = Sent { is_comment: true, ..Sent::default() };
        let mut lines = Vec::new();
        for line in block.lines().filter(|line| !line.is_empty() && !line.starts_with(':')) {
            sent.is_comment = false;
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => lines.push(value),
                "event" => sent.name = value.to_owned(),
                "id" => self.last_id = value.to_owned(),
                "retry" => sent.retry = value.parse().ok(),
                other => panic!("a field `{other}` in {block:?}"),
            }
        }
        sent.data = lines.join("\n");
        sent.id = self.last_id.clone();
        sent
    }
}

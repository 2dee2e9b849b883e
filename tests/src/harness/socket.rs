use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::{SOON, frame};
use crate::protobuf::{self, Said};

/// How a client and the server spell what they say. Tests read and write the JSON protocol, which
/// a [`Socket`] translates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Without a subprotocol.
    #[default]
    Json,
    /// With the subprotocol `tidings.v1.proto`.
    Protobuf,
}

/// What came from the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// A text frame that holds JSON.
    Json(Value),
    /// A text frame that holds something else.
    Text(String),
    /// A binary frame.
    Binary(Vec<u8>),
    /// A ping's payload.
    Ping(Vec<u8>),
    /// A pong's payload.
    Pong(Vec<u8>),
    /// A close frame's code and reason.
    Close(u16, String),
    /// The server ended the connection.
    End,
}

/// A WebSocket connection whose client does nothing that it is not told: it reads when asked and
/// answers pings where that is set.
pub struct Socket {
    stream: TcpStream,
    encoding: Encoding,
    read: BytesMut,
    /// What came in one frame with what was taken last.
    translated: VecDeque<Incoming>,
    /// Whether pings are answered while reading.
    pub pongs: bool,
    /// The head of the answer to the upgrade.
    pub head: String,
    /// The body of the welcome.
    pub welcome: Value,
    last_id: i64,
    last_text: String,
}

impl Socket {
    /// Connects to `/v1/ws` and takes the welcome.
    pub async fn open(address: SocketAddr) -> Self {
        Self::open_at(address, "/v1/ws").await
    }

    /// Connects to a path and takes the welcome.
    pub async fn open_at(address: SocketAddr, path: &str) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), path).await
    }

    /// Connects with a receive buffer of so many bytes: little hides in the kernel.
    pub async fn open_narrow(address: SocketAddr, receive_bytes: u32) -> Self {
        Self::over(narrow(address, receive_bytes).await, "/v1/ws").await
    }

    /// Connects to a path over a stream, and takes the welcome.
    pub async fn over(stream: TcpStream, path: &str) -> Self {
        Self::speaking(Encoding::Json, stream, path).await
    }

    /// Connects to a path over a stream in some encoding, and takes the welcome.
    pub async fn speaking(encoding: Encoding, stream: TcpStream, path: &str) -> Self {
        Self::speaking_with(encoding, stream, path, "").await
    }

    /// The same with more headers, each ended by CRLF.
    pub async fn speaking_with(
        encoding: Encoding,
        stream: TcpStream,
        path: &str,
        headers: &str,
    ) -> Self {
        let socket = Self::upgraded(encoding, stream, path, headers).await;
        let mut socket = socket.expect("the server refuses");
        let welcome = socket.json().await;
        socket.welcome = welcome["welcome"].clone();
        assert_eq!(socket.welcome["protocol"], 1, "no welcome but {welcome}");
        socket
    }

    /// Connects and reads nothing yet; the answer's head where the upgrade is refused or broken.
    pub async fn over_unwelcomed(stream: TcpStream, path: &str) -> Result<Self, String> {
        Self::upgraded(Encoding::Json, stream, path, "").await
    }

    /// Connects to a path with more headers, each ended by CRLF, and reads nothing yet; the answer's
    /// head where the upgrade is refused or broken.
    pub async fn open_unwelcomed(
        address: SocketAddr,
        path: &str,
        headers: &str,
    ) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        Self::upgraded(Encoding::Json, stream, path, headers).await
    }

    async fn upgraded(
        encoding: Encoding,
        mut stream: TcpStream,
        path: &str,
        headers: &str,
    ) -> Result<Self, String> {
        let subprotocol = match encoding {
            Encoding::Json => "",
            Encoding::Protobuf => "Sec-WebSocket-Protocol: tidings.v1.proto\r\n",
        };
        let request = request(path, &format!("{subprotocol}{headers}"));
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut read = BytesMut::new();
        loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&read.split_to(end + 4)).into_owned();
                if !head.starts_with("HTTP/1.1 101 ") {
                    return Err(head);
                }
                return Ok(Self {
                    stream,
                    encoding,
                    read,
                    translated: VecDeque::new(),
                    pongs: true,
                    head,
                    welcome: Value::Null,
                    last_id: 0,
                    last_text: String::new(),
                });
            }
            let count = tokio::time::timeout(SOON, stream.read_buf(&mut read)).await;
            let count = count.map_err(|_| "no answer in time".to_owned())?;
            if count.map_err(|error| error.to_string())? == 0 {
                return Err(format!("ended after {:?}", String::from_utf8_lossy(&read)));
            }
        }
    }

    /// The last text frame as it came.
    pub fn last_text(&self) -> &str {
        &self.last_text
    }

    /// This client's own address.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// The client's id.
    pub fn client(&self) -> String {
        self.welcome["client"].as_str().unwrap().to_owned()
    }

    /// The session token.
    pub fn session(&self) -> String {
        self.welcome["session"].as_str().unwrap().to_owned()
    }

    /// Sends bytes as they are.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        tokio::time::timeout(SOON, self.stream.write_all(bytes)).await.unwrap().unwrap();
    }

    /// Sends bytes as they are, as far as the server takes them before it ends the connection.
    pub async fn try_send_raw(&mut self, bytes: &[u8]) {
        let _ = tokio::time::timeout(SOON, self.stream.write_all(bytes)).await;
    }

    /// Sends a text frame.
    pub async fn send_text(&mut self, text: &str) {
        self.send_raw(&frame::masked(frame::TEXT, text.as_bytes())).await;
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &Value) {
        self.send_raw(&self.framed(message)).await;
    }

    /// The frame of a message.
    pub fn framed(&self, message: &Value) -> Vec<u8> {
        match self.encoding {
            Encoding::Json => frame::masked(frame::TEXT, message.to_string().as_bytes()),
            Encoding::Protobuf => frame::masked(frame::BINARY, &protobuf::client_message(message)),
        }
    }

    /// Sends a publish whose data are bytes.
    pub async fn send_publish(&mut self, line: &Value, data: &[u8]) {
        let frame = match self.encoding {
            Encoding::Json => [line.to_string().as_bytes(), b"\n", data].concat(),
            Encoding::Protobuf => protobuf::client_bytes(line, data),
        };
        self.send_binary(&frame).await;
    }

    /// Sends a binary frame.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.send_raw(&frame::masked(frame::BINARY, bytes)).await;
    }

    /// Ends this side of the connection without a close frame.
    pub async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The next frame that is no answered ping, within a time; `None` where none comes.
    pub async fn next_within(&mut self, time: Duration) -> Option<Incoming> {
        let deadline = tokio::time::Instant::now() + time;
        loop {
            if let Some(incoming) = self.translated.pop_front() {
                return Some(incoming);
            }
            while let Some((opcode, payload)) = frame::take(&mut self.read) {
                if opcode == frame::PING && self.pongs {
                    let pong = frame::masked(frame::PONG, &payload);
                    let _ = self.stream.write_all(&pong).await;
                    continue;
                }
                if opcode == frame::TEXT {
                    self.last_text = String::from_utf8_lossy(&payload).into_owned();
                }
                if opcode == frame::BINARY && self.encoding == Encoding::Protobuf {
                    self.translated = translated(protobuf::server_message(&payload));
                    return self.translated.pop_front();
                }
                return Some(incoming(opcode, payload));
            }
            self.read.reserve(8 << 10);
            let read = self.stream.read_buf(&mut self.read);
            match tokio::time::timeout_at(deadline, read).await {
                Err(_) => return None,
                Ok(Ok(0) | Err(_)) => return Some(Incoming::End),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// The next frame.
    pub async fn next(&mut self) -> Incoming {
        self.next_within(SOON).await.expect("nothing comes")
    }

    /// The next frame, whenever it comes.
    pub async fn next_of_any_time(&mut self) -> Incoming {
        loop {
            if let Some(incoming) = self.next_within(SOON).await {
                return incoming;
            }
        }
    }

    /// The next frame, which must be JSON.
    pub async fn json(&mut self) -> Value {
        match self.next().await {
            Incoming::Json(value) => value,
            other => panic!("JSON should come, not {other:?}"),
        }
    }

    /// The next message of JSON with that member, leaving out others.
    pub async fn json_with(&mut self, member: &str) -> Value {
        loop {
            let message = self.json().await;
            if message.get(member).is_some() {
                return message;
            }
        }
    }

    /// The next message of JSON with that member, leaving out other messages and frames.
    pub async fn json_with_any(&mut self, member: &str) -> Value {
        loop {
            match self.next().await {
                Incoming::Json(message) if message.get(member).is_some() => return message,
                Incoming::End => panic!("the connection ends, without `{member}`"),
                _ => {}
            }
        }
    }

    /// Sends a request, and the answer with its id; `seen` gets what comes before.
    pub async fn ask_seeing(
        &mut self,
        verb: &str,
        body: Value,
        mut seen: impl FnMut(Value),
    ) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({ "id": id, verb: body })).await;
        loop {
            let message = self.json().await;
            if message["id"] == id {
                return message;
            }
            seen(message);
        }
    }

    /// Sends a request, and the body of its `ok`. Nothing else may come before.
    pub async fn ask(&mut self, verb: &str, body: Value) -> Value {
        let answer = self.ask_seeing(verb, body, |other| panic!("unasked: {other}")).await;
        let Some(ok) = answer.get("ok") else { panic!("{verb} is refused: {answer}") };
        ok.clone()
    }

    /// Sends a request, and the code of its refusal, leaving out what comes before.
    pub async fn refused(&mut self, verb: &str, body: Value) -> String {
        let answer = self.ask_seeing(verb, body, drop).await;
        let code = answer["error"]["code"].as_str();
        code.unwrap_or_else(|| panic!("{verb} should be refused, not {answer}")).to_owned()
    }

    /// Sends a request, and the `error` of its answer. Nothing else may come before.
    pub async fn ask_refused(&mut self, verb: &str, body: Value) -> Value {
        let answer = self.ask_seeing(verb, body, |other| panic!("unasked: {other}")).await;
        assert!(answer.get("error").is_some(), "{verb} should be refused, not {answer}");
        answer["error"].clone()
    }

    /// Subscribes from now on.
    pub async fn subscribe(&mut self, topics: &[&str]) -> Value {
        self.ask("subscribe", json!({ "topics": topics })).await
    }

    /// The close code, leaving out what comes before it, and then the end of the connection.
    pub async fn close_code(&mut self) -> u16 {
        let code = loop {
            match self.next().await {
                Incoming::Close(code, _) => break code,
                Incoming::End => panic!("the connection ends without a close frame"),
                _ => {}
            }
        };
        let reply = frame::masked(frame::CLOSE, &frame::close(1000, ""));
        self.try_send_raw(&reply).await;
        let after = self.next().await;
        assert_eq!(after, Incoming::End, "after the close frame");
        code
    }

    /// What the answer to the upgrade set as a cookie, with its attributes.
    pub fn set_cookie(&self) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).map(|(_, value)| value)
    }

    /// The cookie that the answer to the upgrade set, as it is sent back.
    pub fn cookie(&self) -> Option<String> {
        self.set_cookie()?.split(';').next().map(str::to_owned)
    }

    /// Waits for a ping and answers it. The answer has arrived once something else is answered.
    pub async fn pong(&mut self) {
        self.pongs = false;
        let payload = loop {
            if let Incoming::Ping(payload) = self.next().await {
                break payload;
            }
        };
        self.send_raw(&frame::masked(frame::PONG, &payload)).await;
        self.pongs = true;
    }

    /// Cuts the connection without a farewell.
    pub fn cut(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// The underlying stream and what was read of it.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// An upgrade request with more headers, each ended by CRLF.
pub fn request(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// Connects with a receive buffer of so many bytes.
pub(super) async fn narrow(address: SocketAddr, receive_bytes: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(receive_bytes).unwrap();
    socket.connect(address).await.unwrap()
}

/// What a frame of Protobuf says, as it would come in JSON; several events are a batch.
fn translated(said: Vec<Said>) -> VecDeque<Incoming> {
    let is_batch = said.len() > 1;
    let mut all = VecDeque::new();
    for one in said {
        match one {
            Said::Binary(line, bytes) => {
                let frame = [line.to_string().as_bytes(), b"\n", &bytes].concat();
                all.push_back(Incoming::Binary(frame));
            }
            Said::Json(event) if is_batch => match all.back_mut() {
                Some(Incoming::Json(Value::Array(batch))) => batch.push(event),
                _ => all.push_back(Incoming::Json(json!([event]))),
            },
            Said::Json(message) => all.push_back(Incoming::Json(message)),
        }
    }
    all
}

fn incoming(opcode: u8, payload: Vec<u8>) -> Incoming {
    match opcode {
        frame::TEXT => {
            let text = String::from_utf8(payload).expect("a text frame is UTF-8");
            match serde_json::from_str(&text) {
                Ok(value) => Incoming::Json(value),
                Err(_) => Incoming::Text(text),
            }
        }
        frame::BINARY => Incoming::Binary(payload),
        frame::PING => Incoming::Ping(payload),
        frame::PONG => Incoming::Pong(payload),
        frame::CLOSE => {
            let code = payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
            let reason = payload.get(2..).unwrap_or_default().to_vec();
            Incoming::Close(code, String::from_utf8(reason).expect("a reason is UTF-8"))
        }
        other => panic!("a frame of opcode {other}"),
    }
}

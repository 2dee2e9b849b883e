//! Our side of a conversation: the crate under test on a TCP socket.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use websocket::handshake::{ClientHandshake, RequestHead, Upgrade};
use websocket::{
    CloseCode, DecodeError, Decoder, Deflate, Deflater, Encoder, Frame, Inflater, Limits, Message,
    Opcode, Role,
};

pub(crate) struct Peer {
    stream: TcpStream,
    role: Role,
    decoder: Decoder,
    inflater: Inflater,
    deflater: Option<Deflater>,
    pub(crate) deflate: Option<Deflate>,
    pub(crate) protocol: Option<String>,
    /// Read and not decoded yet.
    read: Vec<u8>,
    key: u32,
}

/// Two ends of one connection on the loopback address.
pub(crate) async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), accepted.unwrap().0)
}

impl Peer {
    /// Answers a client's request, with its first subprotocol and all the compression it offers.
    pub(crate) async fn accept(mut stream: TcpStream) -> Self {
        let mut read = Vec::new();
        let (answer, used) = loop {
            stream.read_buf(&mut read).await.unwrap();
            if let Some((head, used)) = RequestHead::decode(&read).unwrap() {
                let upgrade =
                    Upgrade::http1(head.method, head.minor_version, head.headers).unwrap();
                let protocol = upgrade.protocols().first().copied();
                break (upgrade.accept(protocol, upgrade.deflate()), used);
            }
        };
        let mut out = Vec::new();
        answer.write_http1(&mut out);
        stream.write_all(&out).await.unwrap();
        read.drain(..used);
        let protocol = answer.protocol().map(str::to_owned);
        Self::new(stream, Role::Server, read, protocol, answer.deflate())
    }

    /// Asks a server.
    pub(crate) async fn connect(mut stream: TcpStream, handshake: &ClientHandshake) -> Self {
        let mut out = Vec::new();
        handshake.write_request(&mut out, "localhost", "/", []).unwrap();
        stream.write_all(&out).await.unwrap();
        let mut read = Vec::new();
        let (agreed, used) = loop {
            stream.read_buf(&mut read).await.unwrap();
            if let Some(agreed) = handshake.read_answer(&read).unwrap() {
                break agreed;
            }
        };
        read.drain(..used);
        Self::new(stream, Role::Client, read, agreed.protocol, agreed.deflate)
    }

    pub(crate) fn new(
        stream: TcpStream,
        role: Role,
        read: Vec<u8>,
        protocol: Option<String>,
        deflate: Option<Deflate>,
    ) -> Self {
        Self {
            stream,
            role,
            decoder: Decoder::new(role, Limits::message(8 << 20), deflate.is_some()),
            inflater: Inflater::new(),
            deflater: deflate.map(|agreed| Deflater::with_window_bits(6, agreed.window_bits())),
            deflate,
            protocol,
            read,
            key: 0x9e37_79b9,
        }
    }

    fn encoder(&mut self) -> Encoder {
        match self.role {
            Role::Server => Encoder::server(),
            Role::Client => {
                self.key = self.key.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                Encoder::client(self.key.to_ne_bytes())
            }
        }
    }

    pub(crate) async fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        let encoder = self.encoder();
        let mut out = Vec::new();
        match &mut self.deflater {
            Some(deflater) => _ = deflater.message(encoder, &mut out, opcode, payload),
            None => encoder.frame(&mut out, Frame::whole(opcode), payload),
        }
        self.stream.write_all(&out).await.unwrap();
    }

    /// Sends a message in as many frames as it has parts.
    pub(crate) async fn send_parts(&mut self, opcode: Opcode, parts: &[&[u8]]) {
        let mut out = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let frame = Frame {
                opcode: if index == 0 { opcode } else { Opcode::Continuation },
                fin: index + 1 == parts.len(),
                compressed: false,
            };
            self.encoder().frame(&mut out, frame, part);
        }
        self.stream.write_all(&out).await.unwrap();
    }

    pub(crate) async fn ping(&mut self, payload: &[u8]) {
        let mut out = Vec::new();
        self.encoder().ping(&mut out, payload);
        self.stream.write_all(&out).await.unwrap();
    }

    pub(crate) async fn close(&mut self, code: CloseCode, reason: &str) {
        let mut out = Vec::new();
        self.encoder().close(&mut out, code, reason);
        self.stream.write_all(&out).await.unwrap();
    }

    /// The next message; `None` when the peer closed its socket.
    pub(crate) async fn receive(&mut self) -> Option<Result<Message<'static>, DecodeError>> {
        loop {
            let before = self.read.len();
            let mut input = &mut self.read[..];
            let message = self.decoder.decode(&mut input, &mut self.inflater);
            let message = message.map(|message| message.map(Message::into_owned)).transpose();
            let used = before - input.len();
            self.read.drain(..used);
            if message.is_some() {
                return message;
            }
            if self.stream.read_buf(&mut self.read).await.unwrap() == 0 {
                return None;
            }
        }
    }

    /// Sends back what it receives until the peer closes.
    pub(crate) async fn echo(mut self) {
        while let Some(message) = self.receive().await {
            match message.unwrap() {
                Message::Text(text) => self.send(Opcode::Text, text.as_bytes()).await,
                Message::Binary(bytes) => self.send(Opcode::Binary, &bytes).await,
                Message::Close(close) => {
                    let mut out = Vec::new();
                    self.encoder().close_reply(&mut out, close.as_ref());
                    self.stream.write_all(&out).await.unwrap();
                    return;
                }
                Message::Ping(bytes) => {
                    let mut out = Vec::new();
                    self.encoder().pong(&mut out, &bytes);
                    self.stream.write_all(&out).await.unwrap();
                }
                Message::Pong(_) => {}
            }
        }
    }
}

/// Payloads at the edges of every length's encoding, and of our buffers.
pub(crate) fn payloads() -> Vec<Vec<u8>> {
    let lengths = [0, 1, 2, 124, 125, 126, 127, 1000, 16_383, 16_384, 65_535, 65_536, 300_000];
    let json = |length: usize| {
        let unit = "{\"topic\":\"trainer.run-42.log\",\"data\":\"κόσμε\"},";
        let mut text = unit.repeat(length / unit.len() + 1);
        text.truncate(text.floor_char_boundary(length));
        text.into_bytes()
    };
    lengths.into_iter().map(json).collect()
}

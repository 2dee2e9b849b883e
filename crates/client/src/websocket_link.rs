use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use protocol::FrameKind;
use protocol::dialects::native::SUBPROTOCOL_JSON;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use websocket::handshake::{AnswerError, ClientHandshake, ResponseHead};
use websocket::{CloseCode, Decoder, Encoder, Inflater, Limits, MaskKeys, Message, Opcode, Role};

use crate::error::{Error, Refusal};
use crate::link::{Connector, Frame, Link, Received};
use crate::options::Options;
use crate::url::Url;
use crate::wire;

/// Where the native endpoint is, where a URL names no path.
const PATH: &str = "/v1/ws";
/// Largest answer to a handshake, body included.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Size of the buffer that is read into.
const READ_BYTES: usize = 64 << 10;
/// More is not taken before some of it is written.
const OUT_BYTES_MAX: usize = 256 << 10;
/// The code for a close frame without one (RFC 6455 section 7.1.5).
const NO_CODE: u16 = 1005;

/// Makes WebSocket links over TCP.
#[derive(Clone)]
pub struct WebSocketConnector {
    url: Url,
    authorization: Option<String>,
    message_bytes_max: usize,
    compress: bool,
}

impl WebSocketConnector {
    /// To the endpoint at `url`; takes the token and the limit from `options`.
    pub fn new(url: Url, options: &Options) -> Self {
        let authorization = options.token.as_ref().map(|token| format!("Bearer {token}"));
        let (message_bytes_max, compress) = (options.message_bytes_max, options.compress);
        Self { url: url.or_path(PATH), authorization, message_bytes_max, compress }
    }

    fn request(&self, handshake: &ClientHandshake) -> Result<Vec<u8>, Error> {
        let mut request = Vec::with_capacity(512);
        let more = self.authorization.iter().map(|value| ("authorization", value.as_str()));
        handshake
            .write_request(&mut request, &self.url.authority(), self.url.target(), more)
            // The URL was checked when it was read, so this is about the token, which must not
            // stand in a message.
            .map_err(|_| Error::Invalid("the token has characters no header may have".into()))?;
        Ok(request)
    }
}

impl Connector for WebSocketConnector {
    type Link = WebSocket;

    async fn connect(&mut self) -> Result<WebSocket, Error> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)
            .map_err(|error| Error::Invalid(format!("the system has no randomness: {error}")))?;
        let mut handshake = ClientHandshake::new(nonce).protocol(SUBPROTOCOL_JSON);
        if self.compress {
            handshake = handshake.deflate();
        }
        let request = self.request(&handshake)?;
        let cannot = |error: io::Error| {
            Error::Unreachable(format!("cannot connect to {}: {error}", self.url.authority()))
        };
        let address = (self.url.host(), self.url.port());
        let mut stream = TcpStream::connect(address).await.map_err(cannot)?;
        stream.set_nodelay(true).map_err(cannot)?;
        stream.write_all(&request).await.map_err(cannot)?;

        let mut read = Vec::new();
        loop {
            if read.len() > ANSWER_BYTES_MAX
                || stream.read_buf(&mut read).await.map_err(cannot)? == 0
            {
                return Err(Error::Unreachable("the answer to the handshake is cut off".into()));
            }
            match handshake.read_answer(&read) {
                Ok(None) => {}
                Ok(Some((agreed, used))) => {
                    let limits = Limits::message(self.message_bytes_max);
                    let decoder = Decoder::new(Role::Client, limits, agreed.deflate.is_some());
                    let early = read.get(used..).unwrap_or_default();
                    return Ok(WebSocket::new(stream, decoder, early));
                }
                Err(AnswerError::Status(status)) => {
                    return Err(refusal(stream, read, status).await);
                }
                Err(error) => return Err(Error::Protocol(error.to_string())),
            }
        }
    }
}

/// What a server says that does not open a WebSocket; `read` begins with its answer.
async fn refusal(mut stream: TcpStream, mut read: Vec<u8>, status: u16) -> Error {
    let (body, length, retry_after_ms) = match ResponseHead::decode(&read) {
        Ok(Some((head, used))) => {
            let number = |wanted: &str| {
                let mut headers = head.headers.iter();
                let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
                std::str::from_utf8(value).ok()?.trim().parse::<u64>().ok()
            };
            let length = number("content-length").and_then(|length| usize::try_from(length).ok());
            let seconds = number("retry-after");
            (used, length.unwrap_or(0), seconds.map(|seconds| seconds.saturating_mul(1_000)))
        }
        _ => (read.len(), 0, None),
    };
    let whole = body.saturating_add(length).min(ANSWER_BYTES_MAX);
    while read.len() < whole && matches!(stream.read_buf(&mut read).await, Ok(1..)) {}
    let text = read.get(body..).unwrap_or_default();
    let mut refusal = wire::read_refusal(text, Some(status)).unwrap_or_else(|| Refusal {
        code: "unexpected_status".into(),
        message: format!("the server answered with status {status} instead of a WebSocket"),
        retry_after_ms: None,
        details: None,
        status: Some(status),
    });
    refusal.retry_after_ms = refusal.retry_after_ms.or(retry_after_ms);
    Error::Refused(refusal)
}

/// A WebSocket over TCP, or over another byte stream.
pub struct WebSocket<S = TcpStream> {
    stream: S,
    decoder: Decoder,
    inflater: Inflater,
    /// What was read; `unread` of it was not decoded yet.
    buffer: Vec<u8>,
    unread: Range<usize>,
    /// What is to be written; `written` of it was.
    out: Vec<u8>,
    written: usize,
    /// The newest ping to answer: older ones need no answer (RFC 6455 section 5.5.3).
    pong: Option<Vec<u8>>,
    masks: MaskKeys<fn(&mut [u8])>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> WebSocket<S> {
    /// Over a stream whose other end speaks WebSocket frames without a handshake before, such as
    /// a pipe within a process; takes the limit from `options`.
    pub fn over(stream: S, options: &Options) -> Self {
        let limits = Limits::message(options.message_bytes_max);
        Self::new(stream, Decoder::new(Role::Client, limits, false), &[])
    }

    fn new(stream: S, decoder: Decoder, early: &[u8]) -> Self {
        let mut buffer = early.to_vec();
        buffer.resize(buffer.len().max(READ_BYTES), 0);
        // Masks protect proxies from scripts in browsers. Should randomness fail, which it did not
        // when connecting, this program's frames need none.
        let fill: fn(&mut [u8]) = |pool| {
            let _ = getrandom::fill(pool);
        };
        Self {
            stream,
            decoder,
            inflater: Inflater::new(),
            buffer,
            unread: 0..early.len(),
            out: Vec::new(),
            written: 0,
            pong: None,
            masks: MaskKeys::new(fill),
        }
    }

    /// The next thing in what was read; `None` where more must be read.
    fn decode(&mut self) -> Result<Option<Received>, Error> {
        let end = self.unread.end;
        let mut input = self.buffer.get_mut(self.unread.clone()).unwrap_or_default();
        let decoded = self.decoder.decode(&mut input, &mut self.inflater);
        self.unread = end - input.len()..end;
        let message = decoded.map_err(|error| {
            Encoder::client(self.masks.next()).close(&mut self.out, error.close_code(), "");
            Error::Protocol(error.to_string())
        })?;
        Ok(message.map(|message| match message {
            Message::Text(text) => {
                let bytes = Bytes::from(text.into_owned());
                Received::Frame(Frame { kind: FrameKind::Text, bytes })
            }
            Message::Binary(bytes) => {
                let bytes = Bytes::from(bytes.into_owned());
                Received::Frame(Frame { kind: FrameKind::Binary, bytes })
            }
            Message::Ping(bytes) => {
                self.pong = Some(bytes.into_owned());
                Received::Alive
            }
            Message::Pong(_) => Received::Alive,
            Message::Close(close) => {
                Encoder::client(self.masks.next()).close_reply(&mut self.out, close.as_ref());
                let (code, reason) = close.map_or((NO_CODE, String::new()), |close| {
                    (close.code.get(), close.reason.into_owned())
                });
                Received::Closed { code, reason }
            }
        }))
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Some(bytes) = self.pong.take() {
            Encoder::client(self.masks.next()).pong(&mut self.out, &bytes);
        }
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, rest));
            match count.map_err(broke)? {
                0 => return Poll::Ready(Err(Error::Unreachable("the connection ended".into()))),
                count => self.written += count,
            }
        }
        self.out.clear();
        self.out.shrink_to(OUT_BYTES_MAX);
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Link for WebSocket<S> {
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<Received, Error>> {
        loop {
            let decoded = self.decode();
            if !matches!(decoded, Ok(None | Some(Received::Frame(_)))) {
                // Answers of the transport go out with the same wake-up; an error comes up when
                // the frame is asked for room.
                let _ = self.poll_write(context);
            }
            if let Some(received) = decoded? {
                return Poll::Ready(Ok(received));
            }
            let mut room = ReadBuf::new(&mut self.buffer);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut room)).map_err(broke)?;
            self.unread = 0..room.filled().len();
            if self.unread.is_empty() {
                return Poll::Ready(Err(Error::Unreachable(
                    "the server ended the connection".into(),
                )));
            }
        }
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.poll_write(context) {
            Poll::Pending if self.out.len() - self.written < OUT_BYTES_MAX => Poll::Ready(Ok(())),
            poll => poll,
        }
    }

    fn send(&mut self, frame: Frame) {
        let opcode = match frame.kind {
            FrameKind::Text => Opcode::Text,
            FrameKind::Binary => Opcode::Binary,
        };
        let encoder = Encoder::client(self.masks.next());
        encoder.frame(&mut self.out, websocket::Frame::whole(opcode), &frame.bytes);
    }

    fn close(&mut self) {
        Encoder::client(self.masks.next()).close(&mut self.out, CloseCode::NORMAL, "");
    }
}

fn broke(error: io::Error) -> Error {
    Error::Unreachable(format!("the connection broke: {error}"))
}

//! Echoes WebSocket messages on the loopback address, for the Autobahn suite and for oracles.
//!
//! `echo_server [port]` prints its URL once it listens; without a port it takes a free one.

use std::io::{self, Write as _};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use websocket::handshake::{Accepted, HeadError, RequestHead, Upgrade, write_head};
use websocket::{Decoder, Deflater, Encoder, Frame, Inflater, Limits, Message, Opcode, Role};

const HEAD_BYTES_MAX: usize = 16 * 1024;
const SCRATCH_BYTES: usize = 64 * 1024;
/// The suite's largest messages have 16 MiB, one of them in fragments of 64 bytes.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long a peer may take to close its side after the close frames.
const LINGER: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let port = match std::env::args().nth(1) {
        Some(port) => port.parse().map_err(io::Error::other)?,
        None => 0,
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    writeln!(io::stdout(), "ws://{}/", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A peer that resets its connection is none of our errors: the suite does.
            let _ = serve(stream).await;
        });
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::new();
    let Some((answer, head_bytes)) = handshake(&mut stream, &mut read).await? else {
        return Ok(());
    };
    let mut echo = Echo::new(&answer);
    let mut out = Vec::new();
    answer.write_http1(&mut out);
    // The client may have sent frames right behind its request.
    let mut open = echo.read(read.get_mut(head_bytes..).unwrap_or_default(), &mut out);
    drop(read);

    let mut scratch = vec![0; SCRATCH_BYTES];
    loop {
        stream.write_all(&out).await?;
        out.clear();
        if !open {
            return linger(stream, &mut scratch).await;
        }
        let bytes = stream.read(&mut scratch).await?;
        if bytes == 0 {
            return Ok(());
        }
        open = echo.read(scratch.get_mut(..bytes).unwrap_or_default(), &mut out);
    }
}

/// Reads the request, and answers it unless it is valid: then the answer is left to the caller.
async fn handshake(
    stream: &mut TcpStream,
    read: &mut Vec<u8>,
) -> io::Result<Option<(Accepted, usize)>> {
    loop {
        match judge(read) {
            Ok(Some(accepted)) => return Ok(Some(accepted)),
            Ok(None) if read.len() < HEAD_BYTES_MAX => {}
            Ok(None) => return refuse(stream, 431, &[]).await,
            Err(Refusal { status, headers }) => return refuse(stream, status, headers).await,
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

struct Refusal {
    status: u16,
    headers: &'static [(&'static str, &'static str)],
}

impl From<HeadError> for Refusal {
    fn from(_: HeadError) -> Self {
        Self { status: 400, headers: &[] }
    }
}

fn judge(read: &[u8]) -> Result<Option<(Accepted, usize)>, Refusal> {
    let Some((head, head_bytes)) = RequestHead::decode(read)? else {
        return Ok(None);
    };
    let upgrade = Upgrade::http1(head.method, head.minor_version, head.headers)
        .map_err(|error| Refusal { status: error.status(), headers: error.headers() })?;
    let protocol = upgrade.protocols().first().copied();
    Ok(Some((upgrade.accept(protocol, upgrade.deflate()), head_bytes)))
}

async fn refuse(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&str, &str)],
) -> io::Result<Option<(Accepted, usize)>> {
    let mut out = Vec::new();
    let length = [("content-length", "0")];
    let headers = headers.iter().copied().chain(length);
    write_head(&mut out, &format!("HTTP/1.1 {status} Refused"), headers);
    stream.write_all(&out).await?;
    Ok(None)
}

/// Closes our side, then waits for the peer's: closing a socket with unread bytes would reset the
/// connection and could take our last frame with it.
async fn linger(mut stream: TcpStream, scratch: &mut [u8]) -> io::Result<()> {
    stream.shutdown().await?;
    let drained = async {
        while stream.read(scratch).await? > 0 {}
        io::Result::Ok(())
    };
    tokio::time::timeout(LINGER, drained).await.unwrap_or(Ok(()))
}

/// One connection's protocol state.
struct Echo {
    decoder: Decoder,
    inflater: Inflater,
    deflater: Option<Deflater>,
}

impl Echo {
    fn new(answer: &Accepted) -> Self {
        let deflate = answer.deflate();
        Self {
            decoder: Decoder::new(
                Role::Server,
                Limits::message(MESSAGE_BYTES_MAX),
                deflate.is_some(),
            ),
            inflater: Inflater::new(),
            deflater: deflate.map(|agreed| Deflater::with_window_bits(6, agreed.window_bits())),
        }
    }

    /// Answers what was read; `false` once a close frame has been written.
    fn read(&mut self, mut input: &mut [u8], out: &mut Vec<u8>) -> bool {
        let encoder = Encoder::server();
        loop {
            match self.decoder.decode(&mut input, &mut self.inflater) {
                Ok(None) => return true,
                Ok(Some(Message::Text(text))) => {
                    write(&mut self.deflater, out, Opcode::Text, text.as_bytes());
                }
                Ok(Some(Message::Binary(bytes))) => {
                    write(&mut self.deflater, out, Opcode::Binary, &bytes);
                }
                Ok(Some(Message::Ping(bytes))) => encoder.pong(out, &bytes),
                Ok(Some(Message::Pong(_))) => {}
                Ok(Some(Message::Close(close))) => {
                    encoder.close_reply(out, close.as_ref());
                    return false;
                }
                Err(error) => {
                    encoder.close(out, error.close_code(), &error.to_string());
                    return false;
                }
            }
        }
    }
}

fn write(deflater: &mut Option<Deflater>, out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    match deflater {
        Some(deflater) => {
            deflater.message(Encoder::server(), out, opcode, payload);
        }
        None => Encoder::server().frame(out, Frame::whole(opcode), payload),
    }
}

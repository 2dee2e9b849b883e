use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::latency::Latencies;

/// Subscribers on one thread. Nothing is allocated per message: a client's partial frame is moved
/// to the front of its own small buffer.
pub(crate) struct Clients {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    start: Instant,
    /// Events that came.
    pub(crate) received: u64,
    /// Events that came out of order or twice.
    pub(crate) disordered: u64,
    /// Gaps that were told.
    pub(crate) gaps: u64,
    /// Latencies of the clients that are looked at.
    pub(crate) latencies: Latencies,
    scratch: Vec<u8>,
}

struct Client {
    socket: TcpStream,
    state: State,
    partial: Vec<u8>,
    seq: u64,
    epoch: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The answer to the upgrade is awaited.
    Upgrading,
    /// The answer to the subscription is awaited.
    Subscribing,
    Subscribed,
}

/// Where a client that comes back goes on.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) seq: u64,
    pub(crate) epoch: String,
}

impl Clients {
    pub(crate) fn new(start: Instant) -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            clients: Vec::new(),
            start,
            received: 0,
            disordered: 0,
            gaps: 0,
            latencies: Latencies::default(),
            scratch: vec![0; 256 << 10],
        })
    }

    /// Connects so many clients, who subscribe to what `topic` says for each, and go on at their
    /// places where there are any. Returns when all are subscribed.
    pub(crate) fn connect(
        &mut self,
        server: SocketAddr,
        count: usize,
        topic: impl Fn(usize) -> String,
        places: &[Place],
    ) -> Result<Duration> {
        let start = Instant::now();
        for at in 0..count {
            let mut socket = TcpStream::connect(server)?;
            socket.set_nodelay(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut socket, Token(self.clients.len()), interest)?;
            let place = places.get(at);
            self.clients.push(Client {
                socket,
                state: State::Upgrading,
                partial: hello(server, &topic(at), place),
                seq: place.map_or(0, |place| place.seq),
                epoch: place.map_or(String::new(), |place| place.epoch.clone()),
            });
            // The server's backlog is large but not endless.
            if at % 256 == 255 {
                self.turn(Duration::ZERO)?;
            }
        }
        let deadline = start + Duration::from_secs(60);
        while self.clients.iter().any(|client| client.state != State::Subscribed) {
            self.turn(Duration::from_millis(100))?;
            if Instant::now() > deadline {
                bail!("not every client could subscribe within a minute");
            }
        }
        Ok(start.elapsed())
    }

    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Drops every connection at once; where each would go on.
    pub(crate) fn drop_all(&mut self) -> Vec<Place> {
        let places = self.clients.drain(..);
        places.map(|client| Place { seq: client.seq, epoch: client.epoch }).collect()
    }

    /// Takes what has come, waiting for it so long at most.
    pub(crate) fn turn(&mut self, wait: Duration) -> Result<()> {
        self.poll.poll(&mut self.events, Some(wait))?;
        let tokens: Vec<(usize, bool)> =
            self.events.iter().map(|event| (event.token().0, event.is_writable())).collect();
        for (at, is_writable) in tokens {
            let Some(client) = self.clients.get_mut(at) else { continue };
            if is_writable && client.state == State::Upgrading && !client.partial.is_empty() {
                client.socket.write_all(&client.partial).context("the request")?;
                client.partial.clear();
            }
            self.read(at)?;
        }
        Ok(())
    }

    /// Waits until so many events have come in all.
    pub(crate) fn wait_for(&mut self, received: u64, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.received < received {
            self.turn(Duration::from_millis(100))?;
            if Instant::now() > deadline {
                bail!("{} of {received} events came within {limit:?}", self.received);
            }
        }
        Ok(())
    }

    fn read(&mut self, at: usize) -> Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(client) = self.clients.get_mut(at) {
            let kept = client.partial.len();
            if let Some(front) = scratch.get_mut(..kept) {
                front.copy_from_slice(&client.partial);
            }
            client.partial.clear();
            let room = scratch.get_mut(kept..).unwrap_or_default();
            match client.socket.read(room) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(count) => {
                    let bytes = scratch.get(..kept + count).unwrap_or_default();
                    let rest = self.take(at, bytes)?;
                    let rest = bytes.get(bytes.len() - rest..).unwrap_or_default();
                    if let Some(client) = self.clients.get_mut(at) {
                        client.partial.extend_from_slice(rest);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let front = scratch.get(..kept).unwrap_or_default();
                    client.partial.extend_from_slice(front);
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.scratch = scratch;
        Ok(())
    }

    /// Takes whole frames; how many bytes are left.
    fn take(&mut self, at: usize, mut bytes: &[u8]) -> Result<usize> {
        if self.clients.get(at).is_some_and(|client| client.state == State::Upgrading) {
            let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
                return Ok(bytes.len());
            };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                bail!("{}", String::from_utf8_lossy(bytes));
            }
            bytes = bytes.get(end + 4..).unwrap_or_default();
            if let Some(client) = self.clients.get_mut(at) {
                client.state = State::Subscribing;
            }
        }
        while let Some((payload, rest)) = frame(bytes) {
            self.message(at, payload)?;
            bytes = rest;
        }
        Ok(bytes.len())
    }

    fn message(&mut self, at: usize, payload: &[u8]) -> Result<()> {
        let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
        if payload.starts_with(b"{\"event\"") {
            self.received += 1;
            let seq = number_after(payload, b"\"seq\":").context("seq")?;
            // Other topics' events leave holes: only going back is wrong.
            if seq <= client.seq {
                self.disordered += 1;
            }
            client.seq = seq;
            // Every tenth client shows how late events are.
            if at.is_multiple_of(10)
                && let Some(micros) = number_after(payload, b"{\"t\":")
            {
                let intended = self.start + Duration::from_micros(micros);
                self.latencies.add(Instant::now().saturating_duration_since(intended));
            }
        } else if payload.starts_with(b"{\"id\":1,\"ok\"") {
            client.state = State::Subscribed;
            if client.epoch.is_empty() {
                let answer: serde_json::Value = serde_json::from_slice(payload)?;
                let subscription = "/ok/subscriptions/0/positions/0";
                let position = answer.pointer(subscription).context("positions")?;
                client.epoch = position["epoch"].as_str().context("epoch")?.to_owned();
                client.seq = position["seq"].as_u64().context("seq")?;
            }
        } else if payload.starts_with(b"{\"gap\"") {
            self.gaps += 1;
        } else if payload.starts_with(b"{\"id\":1,\"error\"") {
            bail!("{}", String::from_utf8_lossy(payload));
        }
        Ok(())
    }
}

/// The request for a WebSocket with the first message right behind it.
fn hello(server: SocketAddr, topic: &str, place: Option<&Place>) -> Vec<u8> {
    let resume = place.map_or(String::new(), |Place { seq, epoch }| {
        format!("\"resume\":[{{\"stream\":\"bench\",\"epoch\":\"{epoch}\",\"after\":{seq}}}],")
    });
    let message = format!(
        "{{\"id\":1,\"hello\":{{{resume}\"subscriptions\":[{{\"topics\":[\"{topic}\"]}}]}}}}"
    );
    let mut request = format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes();
    // A text frame with a mask of zeros.
    request.push(0x81);
    match u8::try_from(message.len()) {
        Ok(length @ ..=125) => request.push(0x80 | length),
        _ => {
            request.push(0x80 | 126);
            request.extend_from_slice(&(message.len() as u16).to_be_bytes());
        }
    }
    request.extend_from_slice(&[0; 4]);
    request.extend_from_slice(message.as_bytes());
    request
}

/// The payload of the first whole frame, and what is behind it.
fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = bytes.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = match short {
        126 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk::<8>()?;
            (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
        }
        short => (usize::from(short), rest),
    };
    rest.split_at_checked(length)
}

/// The whole number behind `key`.
fn number_after(bytes: &[u8], key: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(bytes, key)? + key.len();
    let digits = bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::frames;
use super::stamp::{Padding, Stamp};

/// How a server is told an event.
pub(crate) trait Telling: Send {
    /// Appends what tells the server one event.
    fn tell(&mut self, topic: &str, data: &[u8], out: &mut Vec<u8>);

    /// Where each event needs a connection of its own, because the server closes it behind each.
    fn reconnects_to(&self) -> Option<SocketAddr> {
        None
    }
}

/// Publishes over one connection. Answers are read and not looked at: that every event arrives is
/// counted at the other end.
pub(crate) struct Publisher {
    socket: TcpStream,
    telling: Box<dyn Telling>,
    start: Instant,
    number: u64,
    bytes: usize,
    padding: Padding,
    data: Vec<u8>,
    out: Vec<u8>,
    /// Connections of one event each, the newest last.
    apart: VecDeque<TcpStream>,
}

/// More of them have been answered long ago.
const APART_MAX: usize = 256;

impl Publisher {
    /// Publishes events of `bytes` bytes over a connection that is ready for it; their times
    /// count from `start`.
    pub(crate) fn new(
        (socket, telling): (TcpStream, Box<dyn Telling>),
        start: Instant,
        bytes: usize,
    ) -> Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(None)?;
        socket.set_nonblocking(true)?;
        let (data, out) = (Vec::new(), Vec::new());
        let padding = Padding::Plain;
        Ok(Self {
            socket,
            telling,
            start,
            number: 0,
            bytes,
            padding,
            data,
            out,
            apart: VecDeque::new(),
        })
    }

    /// Fills events with words instead of one letter.
    pub(crate) fn with_words(mut self) -> Self {
        self.padding = Padding::Words;
        self
    }

    /// Adds an event to what [`Publisher::flush`] sends, stamped with when it was to be sent.
    pub(crate) fn add(&mut self, topic: &str, intended: Instant) {
        self.number += 1;
        let micros = intended.saturating_duration_since(self.start).as_micros() as u64;
        let stamp = Stamp { micros, number: self.number };
        self.data.clear();
        stamp.data(self.bytes, self.padding, &mut self.data);
        self.telling.tell(topic, &self.data, &mut self.out);
        if let Some(address) = self.telling.reconnects_to() {
            self.send_apart(address);
        }
    }

    /// Sends over a connection of its own. What fails is missed at the other end, and so counted.
    fn send_apart(&mut self, address: SocketAddr) {
        if let Ok(mut socket) = TcpStream::connect(address)
            && socket.write_all(&self.out).is_ok()
        {
            // It has to stay until it is answered.
            self.apart.push_back(socket);
            if self.apart.len() > APART_MAX {
                self.apart.pop_front();
            }
        }
        self.out.clear();
    }

    /// Sends what was added, as far as the server takes it.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let mut forgotten = [0; 4096];
        while wanted(self.socket.read(&mut forgotten))?.is_some_and(|count| count > 0) {}
        while !self.out.is_empty() {
            let Some(count) = wanted(self.socket.write(&self.out)).context("publishing")? else {
                break;
            };
            self.out.drain(..count);
        }
        Ok(())
    }
}

/// What was read or written; nothing where that would have to wait.
fn wanted(outcome: std::io::Result<usize>) -> std::io::Result<Option<usize>> {
    match outcome {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Text or binary frames over a WebSocket.
pub(crate) struct OverWebSocket<F>(pub(crate) u8, pub(crate) F);

impl<F: FnMut(&str, &[u8], &mut Vec<u8>) + Send> Telling for OverWebSocket<F> {
    fn tell(&mut self, topic: &str, data: &[u8], out: &mut Vec<u8>) {
        let mut message = Vec::with_capacity(data.len() + 128);
        (self.1)(topic, data, &mut message);
        frames::push(self.0, &message, out);
    }
}

/// A message of some other protocol over TCP.
pub(crate) struct OverTcp<F>(pub(crate) F);

impl<F: FnMut(&str, &[u8], &mut Vec<u8>) + Send> Telling for OverTcp<F> {
    fn tell(&mut self, topic: &str, data: &[u8], out: &mut Vec<u8>) {
        (self.0)(topic, data, out);
    }
}

/// Connects, sends `opening`, and reads until `awaited` has come.
pub(crate) fn converse(address: SocketAddr, opening: &[u8], awaited: &[u8]) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    say(&mut socket, opening, awaited)?;
    Ok(socket)
}

/// Sends `message` and reads until `awaited` has come.
pub(crate) fn say(socket: &mut TcpStream, message: &[u8], awaited: &[u8]) -> Result<()> {
    socket.write_all(message)?;
    let (mut heard, mut part) = (Vec::new(), [0; 4096]);
    while memchr::memmem::find(&heard, awaited).is_none() {
        let count = socket.read(&mut part).context("waiting for an answer")?;
        if count == 0 {
            bail!("the server closed the connection: {}", String::from_utf8_lossy(&heard));
        }
        heard.extend_from_slice(part.get(..count).unwrap_or_default());
    }
    Ok(())
}

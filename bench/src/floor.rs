use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::load::frames;

/// A bound on what any server can reach on this machine: it writes the bytes that Tidings writes,
/// and does nothing else.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen.
    address: SocketAddr,
    /// Joins events that came together into one write.
    #[arg(long)]
    joins: bool,
}

const LISTENER: Token = Token(usize::MAX);
const ACCEPTED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct Client {
    socket: TcpStream,
    is_upgraded: bool,
    partial: Vec<u8>,
    unsent: Vec<u8>,
}

struct Floor {
    clients: HashMap<usize, Client>,
    topics: HashMap<Vec<u8>, Vec<usize>>,
    joins: bool,
    seq: u64,
    /// What one turn brought for a topic, where writes are joined.
    joined: HashMap<Vec<u8>, Vec<u8>>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(4096);
    let mut listener = TcpListener::bind(arguments.address)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut floor = Floor {
        clients: HashMap::new(),
        topics: HashMap::new(),
        joins: arguments.joins,
        seq: 0,
        joined: HashMap::new(),
    };
    let mut last = 0;
    let mut scratch = vec![0; 256 << 10];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    socket.set_nodelay(true)?;
                    last += 1;
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut socket, Token(last), interest)?;
                    let (partial, unsent) = (Vec::new(), Vec::new());
                    let client = Client { socket, is_upgraded: false, partial, unsent };
                    floor.clients.insert(last, client);
                }
                continue;
            }
            let at = event.token().0;
            if event.is_writable() {
                floor.write(at, &[]);
            }
            if event.is_readable() {
                floor.read(at, &mut scratch).with_context(|| format!("client {at}"))?;
            }
        }
        floor.flush();
    }
}

impl Floor {
    fn read(&mut self, at: usize, scratch: &mut [u8]) -> Result<()> {
        while let Some(client) = self.clients.get_mut(&at) {
            match client.socket.read(scratch) {
                Ok(0) => self.leave(at),
                Ok(count) => {
                    client.partial.extend_from_slice(scratch.get(..count).unwrap_or_default());
                    let bytes = std::mem::take(&mut client.partial);
                    let rest = self.take(at, &bytes)?.to_vec();
                    if let Some(client) = self.clients.get_mut(&at) {
                        client.partial = rest;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.leave(at),
            }
        }
        Ok(())
    }

    fn leave(&mut self, at: usize) {
        self.clients.remove(&at);
        for subscribers in self.topics.values_mut() {
            subscribers.retain(|other| *other != at);
        }
    }

    fn take<'a>(&mut self, at: usize, mut bytes: &'a [u8]) -> Result<&'a [u8]> {
        let client = self.clients.get_mut(&at).context("gone")?;
        if !client.is_upgraded {
            let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(bytes) };
            client.is_upgraded = true;
            bytes = bytes.get(end + 4..).unwrap_or_default();
            self.write(at, ACCEPTED);
        }
        while let Some((message, rest)) = masked(bytes) {
            self.message(at, message);
            bytes = rest;
        }
        Ok(bytes)
    }

    fn message(&mut self, at: usize, message: &[u8]) {
        if let Some(topic) = message.strip_prefix(b"+") {
            self.topics.entry(topic.to_vec()).or_default().push(at);
            let mut answer = vec![0x81];
            frames::push_length(2, 0, &mut answer);
            answer.extend_from_slice(b"ok");
            return self.write(at, &answer);
        }
        let Some(space) = memchr::memchr(b' ', message) else { return };
        let (topic, data) = message.split_at(space);
        self.seq += 1;
        let frame = enveloped(topic, data.get(1..).unwrap_or_default(), self.seq);
        if self.joins {
            self.joined.entry(topic.to_vec()).or_default().extend_from_slice(&frame);
        } else {
            self.publish(topic, &frame);
        }
    }

    fn publish(&mut self, topic: &[u8], bytes: &[u8]) {
        let Some(subscribers) = self.topics.get_mut(topic).map(std::mem::take) else { return };
        for at in &subscribers {
            self.write(*at, bytes);
        }
        self.topics.insert(topic.to_vec(), subscribers);
    }

    fn flush(&mut self) {
        let mut joined = std::mem::take(&mut self.joined);
        for (topic, bytes) in &mut joined {
            if !bytes.is_empty() {
                self.publish(topic, bytes);
                bytes.clear();
            }
        }
        self.joined = joined;
    }

    /// Writes what waits, and `bytes` behind it.
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let Some(client) = self.clients.get_mut(&at) else { return };
        if client.unsent.is_empty() {
            let written = client.socket.write(bytes).unwrap_or(0);
            client.unsent.extend_from_slice(bytes.get(written..).unwrap_or_default());
            return;
        }
        client.unsent.extend_from_slice(bytes);
        let written = client.socket.write(&client.unsent).unwrap_or(0);
        client.unsent.drain(..written);
    }
}

/// The frame that Tidings would send.
fn enveloped(topic: &[u8], data: &[u8], seq: u64) -> Vec<u8> {
    let mut event = b"{\"event\":{\"topic\":\"".to_vec();
    event.extend_from_slice(topic);
    let middle = format!("\",\"stream\":\"bench\",\"seq\":{seq},\"time\":1700000000000,\"data\":");
    event.extend_from_slice(middle.as_bytes());
    event.extend_from_slice(data);
    event.extend_from_slice(b"}}");
    let mut frame = vec![0x81];
    frames::push_length(event.len(), 0, &mut frame);
    frame.extend_from_slice(&event);
    frame
}

/// The payload of the first whole frame, whose mask is zeros, and what is behind it.
fn masked(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let short = usize::from(*bytes.get(1)? & 0x7f);
    let (length, head) = match short {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 8),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 14),
        _ => (short, 6),
    };
    bytes.get(head..)?.split_at_checked(length)
}

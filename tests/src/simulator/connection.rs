use std::collections::VecDeque;

use engine::ClientKey;
use protocol::Request;

use super::clock::Tick;
use super::record::{Put, Record};
use super::wire::{Heard, Said, read_frame};

/// A client's connection with what is under way on it.
pub struct Connection {
    /// Whose it is.
    pub person: usize,
    /// The worker that owns it.
    pub worker: usize,
    /// Its session there.
    pub key: ClientKey,
    /// What was said on it.
    pub record: Record,
    /// The client still holds it.
    pub is_open: bool,
    /// Its socket takes nothing.
    pub is_blocked: bool,
    /// Its worker knows that it is gone.
    pub is_gone: bool,
    /// Its worker will close it.
    pub is_closing: bool,
    /// Commands that are on their way.
    pub up: VecDeque<Request>,
    /// A step that brings them is scheduled.
    pub is_up_due: bool,
    /// Bytes that are on their way to the client.
    wire: Vec<u8>,
    /// A step that brings them is scheduled.
    pub is_arrival_due: bool,
    /// Bytes that the client got of a frame that is not whole.
    partial: Vec<u8>,
    /// Bytes that were ever written.
    sent: u64,
    /// Bytes of whole frames that the client read.
    read: u64,
    /// Up to which byte was put into its write when.
    puts: VecDeque<(u64, Put)>,
    /// When its write was looked at last.
    looked: Tick,
    /// Bytes that were ever put into its write.
    put: u64,
}

impl Connection {
    /// A connection that just opened.
    pub fn new(person: usize, worker: usize, key: ClientKey, record: Record) -> Self {
        Self {
            person,
            worker,
            key,
            looked: record.opened,
            record,
            is_open: true,
            is_blocked: false,
            is_gone: false,
            is_closing: false,
            up: VecDeque::new(),
            is_up_due: false,
            wire: Vec::new(),
            is_arrival_due: false,
            partial: Vec::new(),
            sent: 0,
            read: 0,
            puts: VecDeque::new(),
            put: 0,
        }
    }

    /// Its write holds `pending` bytes at this moment.
    pub fn look(&mut self, pending: usize, at: Tick, ms: u64, refill: Option<u64>) {
        let end = self.sent + pending as u64;
        if end > self.put {
            self.puts.push_back((end, Put { from: self.looked, at, ms, refill }));
            self.put = end;
        }
        self.looked = at;
    }

    /// The socket took bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.sent += bytes.len() as u64;
        self.wire.extend_from_slice(bytes);
    }

    /// What is on its way arrives: the whole frames, with when each was put into the write.
    pub fn arrive(&mut self, said: &Said) -> Vec<(Heard, Put)> {
        self.partial.append(&mut self.wire);
        let mut frames = Vec::new();
        let mut at = 0;
        while let Some((heard, length)) = read_frame(said, &self.partial[at..]) {
            at += length;
            self.read += length as u64;
            frames.push((heard, self.put_of(self.read)));
        }
        self.partial.drain(..at);
        frames
    }

    fn put_of(&mut self, end: u64) -> Put {
        while self.puts.len() > 1 && self.puts.front().is_some_and(|(last, _)| *last < end) {
            self.puts.pop_front();
        }
        self.puts.front().map(|(_, put)| *put).unwrap_or_default()
    }
}

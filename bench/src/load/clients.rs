use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::dialogue::{Dialogue, Heard, Place, Subscription};
use super::frames;
use super::latency::Latencies;
use super::stamp::Finder;
use crate::targets::Running;

/// Connections that are under way at a time: more would overflow what servers queue.
const CONNECTING_MAX: usize = 256;
/// What the kernel may hold for a client that reads nothing.
const STALLED_BYTES: usize = 64 << 10;
const CONNECT_DEADLINE: Duration = Duration::from_secs(60);

/// Subscribers on one thread. Nothing is allocated per message.
pub(crate) struct Clients<'a> {
    poll: Poll,
    events: Events,
    ready: Vec<(usize, bool)>,
    clients: Vec<Client>,
    dialogue: &'a dyn Dialogue,
    start: Instant,
    scratch: Vec<u8>,
    finder: Finder,
    subscribed: usize,
    /// Asks again and again instead of sleeping: it has a core of its own, and a sleeper has to be
    /// woken by whoever sends to it, which would count as the server's work.
    spins: bool,
    /// Time in which it asked and nothing had come.
    pub(crate) idle: Duration,
    /// What came, and how.
    pub(crate) counts: Counts,
    /// How late events came, over all clients.
    pub(crate) latencies: Latencies,
}

/// What came, and how.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Events.
    pub(crate) received: u64,
    /// Events that came out of order, or twice.
    pub(crate) disordered: u64,
    /// Bytes, frames and all.
    pub(crate) bytes: u64,
}

struct Client {
    socket: TcpStream,
    state: State,
    /// What could not be sent yet, at first the request.
    unsent: Vec<u8>,
    /// A frame that has come in part.
    partial: Vec<u8>,
    /// The last event's number.
    number: u64,
    received: u64,
    topics: Vec<String>,
    place: Option<Place>,
    is_stalled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Upgrading,
    Subscribing,
    Subscribed,
}

/// Who connects.
pub(crate) struct Wave<'w> {
    pub(crate) count: usize,
    /// The topics of each.
    pub(crate) topics: &'w dyn Fn(usize) -> Vec<String>,
    /// Where each goes on, where it has been there before.
    pub(crate) places: &'w [Place],
    pub(crate) deflate: bool,
}

impl<'a> Clients<'a> {
    /// Nobody yet; times of events count from `start`.
    pub(crate) fn new(server: &Running<'a>, start: Instant) -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(4096),
            ready: Vec::new(),
            clients: Vec::new(),
            dialogue: server.target,
            start,
            scratch: vec![0; 256 << 10],
            finder: Finder::new(),
            subscribed: 0,
            spins: server.setup.core.is_some(),
            idle: Duration::ZERO,
            counts: Counts::default(),
            latencies: Latencies::default(),
        })
    }

    /// Connects clients and waits until all are subscribed; how long it took.
    pub(crate) fn connect(&mut self, server: SocketAddr, wave: &Wave<'_>) -> Result<Duration> {
        let start = Instant::now();
        let wanted = self.clients.len() + wave.count;
        for at in 0..wave.count {
            self.begin(server, (wave.topics)(at), wave.places.get(at), wave.deflate)?;
            while self.clients.len() - self.subscribed >= CONNECTING_MAX {
                self.turn(Duration::from_millis(100))?;
                self.check_deadline(start, wanted)?;
            }
        }
        while self.subscribed < wanted {
            self.turn(Duration::from_millis(100))?;
            self.check_deadline(start, wanted)?;
        }
        Ok(start.elapsed())
    }

    fn check_deadline(&self, start: Instant, wanted: usize) -> Result<()> {
        if start.elapsed() > CONNECT_DEADLINE {
            bail!("{} of {wanted} clients could subscribe within a minute", self.subscribed);
        }
        Ok(())
    }

    fn begin(
        &mut self,
        server: SocketAddr,
        topics: Vec<String>,
        place: Option<&Place>,
        deflate: bool,
    ) -> Result<()> {
        let mut socket = TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(self.clients.len()), interest)?;
        let subscription = Subscription { topics: &topics, resume: place, deflate };
        let unsent = self.dialogue.opening(&subscription);
        self.clients.push(Client {
            socket,
            state: State::Upgrading,
            unsent,
            partial: Vec::new(),
            number: 0,
            received: 0,
            topics,
            place: place.cloned(),
            is_stalled: false,
        });
        Ok(())
    }

    /// How many clients there are.
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Drops every connection at once; where each would go on.
    pub(crate) fn drop_all(&mut self) -> Vec<Place> {
        self.subscribed = 0;
        let clients = self.clients.drain(..);
        clients
            .filter_map(|client| {
                let place = client.place?;
                Some(Place { seq: place.seq + client.received, ..place })
            })
            .collect()
    }

    /// Lets clients chosen by `choose` read nothing, or read again.
    pub(crate) fn stall(&mut self, is_stalled: bool, choose: impl Fn(usize) -> bool) -> Result<()> {
        for at in (0..self.clients.len()).filter(|at| choose(*at)) {
            if let Some(client) = self.clients.get_mut(at) {
                client.is_stalled = is_stalled;
                if is_stalled {
                    // Otherwise the kernel reads on for it for megabytes.
                    set_socket_recv_buffer_size(&client.socket, STALLED_BYTES)?;
                }
            }
            if !is_stalled {
                self.read(at)?;
            }
        }
        Ok(())
    }

    /// Events that the clients chosen by `choose` got.
    pub(crate) fn received_by(&self, choose: impl Fn(usize) -> bool) -> u64 {
        let clients = self.clients.iter().enumerate().filter(|(at, _)| choose(*at));
        clients.map(|(_, client)| client.received).sum()
    }

    /// Takes what has come, waiting for it so long at most.
    pub(crate) fn turn(&mut self, wait: Duration) -> Result<()> {
        self.wait(wait)?;
        self.ready.clear();
        let ready = self.events.iter().map(|event| (event.token().0, event.is_writable()));
        self.ready.extend(ready);
        for place in 0..self.ready.len() {
            let Some(&(at, is_writable)) = self.ready.get(place) else { break };
            if is_writable && let Some(client) = self.clients.get_mut(at) {
                client.send()?;
            }
            if self.clients.get(at).is_some_and(|client| !client.is_stalled) {
                self.read(at)?;
            }
        }
        Ok(())
    }

    fn wait(&mut self, wait: Duration) -> Result<()> {
        if !self.spins {
            // To the nanosecond, where mio waits whole milliseconds.
            let wait =
                Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
            let epoll = PollFd::new(self.poll.registry(), PollFlags::IN);
            match rustix::event::poll(&mut [epoll], Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            return self.ask();
        }
        let begun = Instant::now();
        let mut last = begun;
        loop {
            self.ask()?;
            if !self.events.is_empty() {
                return Ok(());
            }
            let now = Instant::now();
            self.idle += now - last;
            last = now;
            if now - begun >= wait {
                return Ok(());
            }
        }
    }

    fn ask(&mut self) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Waits until so many events have come in all.
    pub(crate) fn wait_for(&mut self, received: u64, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.counts.received < received {
            self.turn(Duration::from_millis(100))?;
            if Instant::now() > deadline {
                bail!("{} of {received} events came in time", self.counts.received);
            }
        }
        Ok(())
    }

    /// Takes what comes within a time.
    pub(crate) fn run_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left)?;
        }
    }

    fn read(&mut self, at: usize) -> Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = self.read_with(at, &mut scratch);
        self.scratch = scratch;
        result
    }

    fn read_with(&mut self, at: usize, scratch: &mut [u8]) -> Result<()> {
        loop {
            let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
            let kept = client.partial.len();
            if let Some(front) = scratch.get_mut(..kept) {
                front.copy_from_slice(&client.partial);
            }
            let room = scratch.get_mut(kept..).unwrap_or_default();
            let room_bytes = room.len();
            match client.socket.read(room) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(count) => {
                    client.partial.clear();
                    self.counts.bytes += count as u64;
                    let bytes = scratch.get(..kept + count).unwrap_or_default();
                    let rest = self.take(at, bytes)?;
                    if let Some(client) = self.clients.get_mut(at) {
                        client.partial.extend_from_slice(rest);
                    }
                    // A short read has emptied the socket; asking again would only cost.
                    if count < room_bytes {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes whole frames; what is left.
    fn take<'b>(&mut self, at: usize, mut bytes: &'b [u8]) -> Result<&'b [u8]> {
        let Some(client) = self.clients.get_mut(at) else { return Ok(bytes) };
        if client.state == State::Upgrading {
            let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(bytes) };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                bail!("{}", String::from_utf8_lossy(bytes));
            }
            bytes = bytes.get(end + 4..).unwrap_or_default();
            client.state = State::Subscribing;
            let subscription = Subscription {
                topics: &client.topics,
                resume: client.place.as_ref(),
                ..Subscription::default()
            };
            client.unsent = self.dialogue.greeting(&subscription);
            client.send()?;
            if self.dialogue.is_subscribed_at_once() {
                client.state = State::Subscribed;
                self.subscribed += 1;
            }
        }
        let now = Instant::now();
        while let Some((frame, rest)) = frames::next(bytes) {
            match frame.opcode {
                frames::PING => self.answer(at, frames::PONG, frame.payload)?,
                frames::PONG => {}
                frames::CLOSE => bail!("closed: {}", String::from_utf8_lossy(frame.payload)),
                _ if frame.is_compressed => self.compressed(at),
                _ => self.message(at, frame.payload, now)?,
            }
            bytes = rest;
        }
        Ok(bytes)
    }

    fn answer(&mut self, at: usize, opcode: u8, payload: &[u8]) -> Result<()> {
        let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
        frames::push(opcode, payload, &mut client.unsent);
        client.send()
    }

    /// To inflate it would cost the load more than the server: it is only counted.
    fn compressed(&mut self, at: usize) {
        self.counts.received += 1;
        if let Some(client) = self.clients.get_mut(at) {
            client.received += 1;
        }
    }

    fn message(&mut self, at: usize, payload: &[u8], now: Instant) -> Result<()> {
        let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
        let mut is_event = false;
        for stamp in self.finder.stamps(payload) {
            is_event = true;
            self.counts.received += 1;
            client.received += 1;
            // Numbers are of all topics together: only going back is wrong.
            if stamp.number <= client.number {
                self.counts.disordered += 1;
            }
            client.number = stamp.number;
            if stamp.micros > 0 {
                let intended = self.start + Duration::from_micros(stamp.micros);
                self.latencies.add(now.saturating_duration_since(intended));
            }
        }
        if !is_event {
            self.heard(at, payload)?;
        }
        Ok(())
    }

    fn heard(&mut self, at: usize, payload: &[u8]) -> Result<()> {
        let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
        let subscription = Subscription { topics: &client.topics, ..Subscription::default() };
        match self.dialogue.heard(&subscription, payload) {
            Heard::Nothing => {}
            Heard::Answer(bytes) => {
                client.unsent.extend_from_slice(&bytes);
                client.send()?;
            }
            Heard::Subscribed(place) => {
                if client.state == State::Subscribing {
                    client.state = State::Subscribed;
                    self.subscribed += 1;
                    client.place = place;
                }
            }
            Heard::Refused(why) => bail!("a client was refused: {why}"),
        }
        Ok(())
    }
}

impl Client {
    fn send(&mut self) -> Result<()> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        // An idle client should cost the machine little.
        self.unsent = Vec::new();
        Ok(())
    }
}

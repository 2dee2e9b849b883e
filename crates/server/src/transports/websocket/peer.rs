use std::cell::Cell;
use std::io::{self, IoSlice};
use std::task::Waker;
use std::time::Instant;

use super::UNFINISHED_HEARTBEATS_MAX;
use crate::clock::Clock;
use crate::config::Rate;
use crate::transports::latency::Latency;
use crate::transports::stream::Stream;

/// A WebSocket client's connection.
pub(crate) struct Peer {
    pub(super) stream: Stream,
    /// The client's task.
    pub(super) waker: Cell<Option<Waker>>,
    /// Since when the stream takes nothing.
    pub(super) blocked_since: Cell<Since>,
    /// Something was written since the stream last said that it takes more.
    pub(super) has_written: Cell<bool>,
    pub(super) has_failed: Cell<bool>,
    pub(super) is_closing: Cell<bool>,
    /// Something came since the last heartbeat.
    pub(super) is_heard: Cell<bool>,
    /// When something last came, in ns of the worker's clock.
    heard_at_ns: Cell<u64>,
    /// Heartbeats for which one message has been unfinished, where one is.
    unfinished: Cell<Option<u8>>,
    /// Since when a ping is out that nothing has answered.
    pinged_since: Cell<Since>,
    /// How long answers to pings took.
    latency: Cell<Latency>,
    pub(super) bytes_in: Cell<u64>,
    /// Bounds that hold from the next message on, where they were changed.
    pub(super) changed: Cell<Option<Box<Changed>>>,
}

/// A time in ms of the worker's clock, where there is one: half as large as an `Option`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since(u64);

impl Since {
    fn at(ms: u64) -> Self {
        Self(ms)
    }

    fn ms(self) -> Option<u64> {
        (self != Self::default()).then_some(self.0)
    }
}

impl Default for Since {
    /// Never.
    fn default() -> Self {
        Self(u64::MAX)
    }
}

/// What a client may send from now on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changed {
    /// Its largest message.
    pub(crate) message_bytes_max: Option<usize>,
    /// How many messages in how long, or any number; `None` where that stays.
    pub(crate) messages: Option<Option<Rate>>,
}

/// What a heartbeat finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heartbeat {
    /// It lives: ask again.
    Ping,
    /// It takes nothing, so it cannot have been asked; its TCP still answers.
    Slow,
    /// It was asked and answered nothing.
    Dead,
    /// It began a message long ago, and what it sent of that is held since.
    Unfinished,
}

impl Peer {
    pub(super) fn new(stream: Stream, clock: &Clock) -> Self {
        Self {
            stream,
            waker: Cell::new(None),
            blocked_since: Cell::default(),
            has_written: Cell::new(false),
            has_failed: Cell::new(false),
            is_closing: Cell::new(false),
            is_heard: Cell::new(true),
            heard_at_ns: Cell::new(clock.ns()),
            unfinished: Cell::new(None),
            pinged_since: Cell::default(),
            latency: Cell::default(),
            bytes_in: Cell::new(0),
            changed: Cell::new(None),
        }
    }

    /// Bytes that the client sent.
    pub(crate) fn bytes_in(&self) -> u64 {
        self.bytes_in.get()
    }

    /// Changes what the client may send, from its next message on.
    pub(crate) fn change(&self, changed: Changed) {
        self.changed.set(Some(Box::new(changed)));
    }

    /// How long its answers to pings took.
    pub(crate) fn latency(&self) -> Latency {
        self.latency.get()
    }

    /// Something came.
    pub(super) fn hear(&self, clock: &Clock) {
        self.heard_at_ns.set(clock.ns());
    }

    /// When something last came.
    pub(crate) fn heard_at(&self, clock: &Clock) -> Instant {
        clock.instant_ns(self.heard_at_ns.get())
    }

    /// Whether it takes nothing at the moment.
    pub(crate) fn is_slow(&self) -> bool {
        self.blocked_since.get().ms().is_some()
    }

    /// Notes whether a message has begun and not ended.
    pub(super) fn note_unfinished(&self, is_unfinished: bool) {
        self.unfinished.set(is_unfinished.then(|| self.unfinished.get().unwrap_or(0)));
    }

    pub(super) fn answered(&self, now_ms: u64) {
        if let Some(at_ms) = self.pinged_since.take().ms() {
            let ms = u32::try_from(now_ms.saturating_sub(at_ms)).unwrap_or(u32::MAX);
            let mut latency = self.latency.get();
            latency.answered(ms);
            self.latency.set(latency);
        }
    }

    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.stream.try_write(slices)?;
        if written > 0 {
            self.has_written.set(true);
        }
        Ok(written)
    }

    /// The stream takes nothing: its task waits until it does.
    pub(crate) fn wait_for_room(&self, now_ms: u64) {
        if !self.is_slow() {
            self.blocked_since.set(Since::at(now_ms));
        }
        self.wake();
    }

    /// The stream is broken.
    pub(crate) fn fail(&self) {
        self.has_failed.set(true);
        self.wake();
    }

    /// Close as soon as everything is written.
    pub(crate) fn close(&self) {
        self.is_closing.set(true);
        self.wake();
    }

    pub(crate) fn wake(&self) {
        let waker = self.waker.take();
        if let Some(waker) = &waker {
            waker.wake_by_ref();
        }
        self.waker.set(waker);
    }

    /// What waits for the last byte to be written should look again.
    pub(crate) fn wake_if_closing(&self) {
        if self.is_closing.get() {
            self.wake();
        }
    }

    /// Looks after the client; `is_read` says whether what it sends is read at the moment.
    pub(crate) fn heartbeat(&self, now_ms: u64, slow_timeout_ms: u64, is_read: bool) -> Heartbeat {
        if let Some(since_ms) = self.blocked_since.get().ms() {
            // The kernel ends connections whose peer does not even answer its probes.
            if now_ms.saturating_sub(since_ms) >= slow_timeout_ms {
                self.fail();
            }
            return Heartbeat::Slow;
        }
        let is_silent = !self.is_heard.replace(false) && self.pinged_since.get().ms().is_some();
        // After a pause of the whole process its answer may not have been read yet.
        if is_silent && !self.stream.has_unread(is_read) {
            return Heartbeat::Dead;
        }
        // Who is not read cannot finish.
        if let Some(heartbeats) = self.unfinished.get().filter(|_| is_read) {
            if heartbeats >= UNFINISHED_HEARTBEATS_MAX {
                return Heartbeat::Unfinished;
            }
            self.unfinished.set(Some(heartbeats + 1));
        }
        if self.pinged_since.replace(Since::at(now_ms)).ms().is_some() {
            let mut latency = self.latency.get();
            latency.missed();
            self.latency.set(latency);
        }
        Heartbeat::Ping
    }
}

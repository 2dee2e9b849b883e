use std::time::Duration;

use tokio::time::Instant;

/// Beyond two heartbeats: what a loaded server or network may be late.
const GRACE: Duration = Duration::from_secs(5);
/// A server cannot ask for more than one ping per second.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Finds out a silent server: pings after one heartbeat without a sign of life, gives up after
/// two and some grace.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    /// `None` until the server has said how often it shows that it lives.
    interval: Option<Duration>,
    connect_timeout: Duration,
    since: Instant,
    pinged: bool,
}

/// What a due heartbeat asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing: something came meanwhile.
    Later,
    /// Ask whether the server lives.
    Ping,
    /// The server is silent for too long.
    Silent,
}

impl Heartbeat {
    /// Begins with a connection, which has so long to be greeted.
    pub(crate) fn new(now: Instant, connect_timeout: Duration) -> Self {
        Self { interval: None, connect_timeout, since: now, pinged: false }
    }

    /// The greeting is over.
    pub(crate) fn greeted(&mut self, now: Instant, interval: Duration) {
        self.interval = Some(interval.max(INTERVAL_MIN));
        self.heard(now);
    }

    /// Something came, or only now is the client listening again.
    pub(crate) fn heard(&mut self, now: Instant) {
        // Before the greeting, chatter must not put off the deadline.
        if self.interval.is_some() {
            (self.since, self.pinged) = (now, false);
        }
    }

    /// When [`Heartbeat::fire`] is to be called next. What comes meanwhile can only put it off,
    /// except for the answer to a ping: hence at least once per interval.
    pub(crate) fn look_at(&self, now: Instant) -> Instant {
        self.interval.map_or(self.due(), |interval| self.due().min(now + interval))
    }

    fn due(&self) -> Instant {
        self.since
            + match self.interval {
                None => self.connect_timeout,
                Some(interval) if !self.pinged => interval,
                Some(interval) => interval * 2 + GRACE,
            }
    }

    /// What is due now.
    pub(crate) fn fire(&mut self, now: Instant) -> Due {
        if now < self.due() {
            return Due::Later;
        }
        if self.interval.is_none() || self.pinged {
            return Due::Silent;
        }
        self.pinged = true;
        Due::Ping
    }
}

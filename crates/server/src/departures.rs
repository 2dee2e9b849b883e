use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::transports::latency::Latency;

/// What clients did who have left, by the endpoint at which they were. Locked only when a client
/// goes or fails.
#[derive(Default)]
pub(crate) struct Departures(Mutex<HashMap<Arc<str>, Sums>>);

/// Sums over clients.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    /// How many clients.
    pub(crate) clients: u64,
    /// How long they were connected, in ms.
    pub(crate) connected_ms: u64,
    /// Messages that they sent.
    pub(crate) messages_in: u64,
    /// Events that they were sent.
    pub(crate) events_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Writes that failed.
    pub(crate) failed_writes: u64,
    /// Clients that answered no ping.
    pub(crate) time_outs: u64,
    /// Least and most time that an answer to a ping took, in ms.
    pub(crate) latency_ms: Option<(u32, u32)>,
    /// The clients' mean latencies and jitters, in ms, of as many as answered a ping.
    pub(crate) latency_mean_ms: f64,
    pub(crate) jitter_ms: f64,
    pub(crate) answering: u64,
}

impl Sums {
    /// Takes in how long a client's answers to pings took.
    pub(crate) fn add_latency(&mut self, latency: &Latency) {
        let Some((least, mean, most)) = latency.range_ms() else { return };
        self.widen(least, most);
        self.latency_mean_ms += mean;
        self.jitter_ms += latency.jitter_ms();
        self.answering += 1;
    }

    fn widen(&mut self, least: u32, most: u32) {
        let (min, max) = self.latency_ms.unwrap_or((least, most));
        self.latency_ms = Some((min.min(least), max.max(most)));
    }

    /// Takes in other sums.
    pub(crate) fn add(&mut self, other: &Self) {
        self.clients += other.clients;
        self.connected_ms += other.connected_ms;
        self.messages_in += other.messages_in;
        self.events_out += other.events_out;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.failed_writes += other.failed_writes;
        self.time_outs += other.time_outs;
        if let Some((least, most)) = other.latency_ms {
            self.widen(least, most);
        }
        self.latency_mean_ms += other.latency_mean_ms;
        self.jitter_ms += other.jitter_ms;
        self.answering += other.answering;
    }
}

impl Departures {
    /// Adds to the sums of an endpoint.
    pub(crate) fn add(&self, endpoint: &Arc<str>, sums: &Sums) {
        let mut all = self.0.lock();
        match all.get_mut(endpoint) {
            Some(known) => known.add(sums),
            None => drop(all.insert(endpoint.clone(), *sums)),
        }
    }

    /// The sums of an endpoint.
    pub(crate) fn of(&self, endpoint: &str) -> Sums {
        self.0.lock().get(endpoint).copied().unwrap_or_default()
    }
}

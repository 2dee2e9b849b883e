use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Figures, Meter, Paced, TOPIC, add_latencies, check, connect};
use crate::load::clients::Clients;
use crate::load::publisher::Publisher;
use crate::targets::Running;

/// Every one of `clients` gets `rate` events a second; an open loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fanout {
    pub(crate) clients: usize,
    pub(crate) rate: u32,
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
    /// Events look like real ones to a compressor.
    pub(crate) words: bool,
}

/// What comes first warms up caches, compilers and the server's own buffers.
const WARM_UP: Duration = Duration::from_millis(1_500);

impl Fanout {
    pub(crate) fn run(self, server: &Running<'_>) -> Result<Figures> {
        let start = Instant::now();
        let mut clients = Clients::new(server, start)?;
        connect(&mut clients, server, self.clients)?;
        let mut publisher = Publisher::new(server.publisher()?, start, self.bytes)?;
        if self.words {
            publisher = publisher.with_words();
        }
        let topics = [TOPIC.to_owned()];
        let paced = Paced { topics: &topics, rate: self.rate, each: clients.len() as u64 };
        paced.stretch(&mut clients, &mut publisher, WARM_UP)?;
        clients.latencies.clear();
        let (meter, before) = (Meter::start(server, &clients), clients.counts);
        paced.stretch(&mut clients, &mut publisher, self.time)?;
        let mut figures = Figures::new();
        let deliveries = clients.counts.received - before.received;
        meter.stop(server, &clients, deliveries, &mut figures);
        check(&clients, clients.counts.received)?;
        add_latencies(&clients, &mut figures);
        let bytes = (clients.counts.bytes - before.bytes) as f64;
        figures.insert("wire_bytes_per_delivery", bytes / deliveries as f64);
        if server.setup.core.is_none() {
            figures.insert("busiest_thread_share", share_of_busiest(server));
        }
        Ok(figures)
    }
}

/// The busiest thread's part of the CPU time of the two busiest: 0.5 where both do the same.
fn share_of_busiest(server: &Running<'_>) -> f64 {
    let times = server.process.cpu_of_threads();
    let seconds = |at: usize| times.get(at).map_or(0.0, Duration::as_secs_f64);
    seconds(0) / (seconds(0) + seconds(1)).max(f64::EPSILON)
}

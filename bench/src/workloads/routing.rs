use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Figures, Meter, Paced, add_latencies, check};
use crate::load::clients::{Clients, Wave};
use crate::load::publisher::Publisher;
use crate::targets::Running;

/// `clients` share `topics`, on which `rate` events a second come in turn: one of both numbers is a
/// multiple of the other, so that all events go to the same number of clients. `others`
/// subscriptions to topics on which nothing comes are there besides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Routing {
    pub(crate) clients: usize,
    pub(crate) topics: usize,
    pub(crate) rate: u32,
    pub(crate) others: usize,
    pub(crate) time: Duration,
}

const WARM_UP: Duration = Duration::from_millis(1_000);
/// Subscriptions of each client that has only such as get nothing.
pub(crate) const OTHERS_PER_CLIENT: usize = 10_000;

impl Routing {
    pub(crate) fn run(self, server: &Running<'_>) -> Result<Figures> {
        let start = Instant::now();
        let mut quiet = Clients::new(server, start)?;
        let quiet_topics = |client: usize| {
            let topic = |at: usize| format!("bench.quiet.c{client}.t{at}");
            (0..OTHERS_PER_CLIENT).map(topic).collect()
        };
        let count = self.others / OTHERS_PER_CLIENT;
        let (places, deflate) = (&[][..], false);
        quiet.connect(
            server.setup.clients,
            &Wave { count, topics: &quiet_topics, places, deflate },
        )?;
        let mut clients = Clients::new(server, start)?;
        let topics = |client: usize| {
            let first = client % self.topics;
            (first..self.topics).step_by(self.clients).map(topic).collect()
        };
        let wave = Wave { count: self.clients, topics: &topics, places, deflate };
        clients.connect(server.setup.clients, &wave)?;
        let mut publisher = Publisher::new(server.publisher()?, start, 128)?;
        let topics: Vec<String> = (0..self.topics).map(topic).collect();
        let each = (self.clients / self.topics).max(1) as u64;
        let paced = Paced { topics: &topics, rate: self.rate, each };
        paced.stretch(&mut clients, &mut publisher, WARM_UP)?;
        clients.latencies.clear();
        let (meter, before) = (Meter::start(server, &clients), clients.counts.received);
        paced.stretch(&mut clients, &mut publisher, self.time)?;
        let mut figures = Figures::new();
        meter.stop(server, &clients, clients.counts.received - before, &mut figures);
        check(&clients, clients.counts.received)?;
        add_latencies(&clients, &mut figures);
        Ok(figures)
    }
}

fn topic(at: usize) -> String {
    format!("bench.t{at}")
}

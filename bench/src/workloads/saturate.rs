use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Figures, Meter, TOPIC, add_latencies, check, connect};
use crate::load::clients::Clients;
use crate::load::publisher::Publisher;
use crate::targets::Running;

/// Publishes as soon as fewer than `outstanding` events have not reached all clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saturate {
    pub(crate) clients: usize,
    pub(crate) outstanding: u64,
    pub(crate) time: Duration,
}

const WARM_UP: Duration = Duration::from_millis(1_000);
/// How long nothing may come.
const SILENCE_MAX: Duration = Duration::from_secs(10);

impl Saturate {
    pub(crate) fn run(self, server: &Running<'_>) -> Result<Figures> {
        let start = Instant::now();
        let mut clients = Clients::new(server, start)?;
        connect(&mut clients, server, self.clients)?;
        let mut publisher = Publisher::new(server.publisher()?, start, 128)?;
        let mut published = 0;
        self.stretch(&mut clients, &mut publisher, &mut published, WARM_UP)?;
        clients.latencies.clear();
        let (meter, before) = (Meter::start(server, &clients), clients.counts.received);
        self.stretch(&mut clients, &mut publisher, &mut published, self.time)?;
        let mut figures = Figures::new();
        meter.stop(server, &clients, clients.counts.received - before, &mut figures);
        check(&clients, published * self.clients as u64)?;
        add_latencies(&clients, &mut figures);
        Ok(figures)
    }

    /// Publishes for a time, and then waits until all has come.
    fn stretch(
        self,
        clients: &mut Clients<'_>,
        publisher: &mut Publisher,
        published: &mut u64,
        time: Duration,
    ) -> Result<()> {
        let end = Instant::now() + time;
        let (mut heard, mut heard_at) = (clients.counts.received, Instant::now());
        loop {
            let now = Instant::now();
            let done = clients.counts.received / self.clients as u64;
            if now < end {
                let room = self.outstanding.saturating_sub(*published - done);
                for _ in 0..room {
                    publisher.add(TOPIC, now);
                }
                *published += room;
            } else if done == *published {
                return Ok(());
            }
            publisher.flush()?;
            clients.turn(Duration::from_millis(100))?;
            if clients.counts.received != heard {
                (heard, heard_at) = (clients.counts.received, now);
            } else if heard_at.elapsed() > SILENCE_MAX {
                bail!("{heard} of {} events came", *published * self.clients as u64);
            }
        }
    }
}

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Figures, TOPIC, check, connect};
use crate::load::clients::{Clients, Wave};
use crate::load::publisher::Publisher;
use crate::targets::Running;

/// `clients` drop at once and come back; those of servers that can resume get the `missed` events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reconnect {
    pub(crate) clients: usize,
    pub(crate) missed: u64,
}

const DEADLINE: Duration = Duration::from_secs(60);

impl Reconnect {
    pub(crate) fn run(self, server: &Running<'_>) -> Result<Figures> {
        let start = Instant::now();
        let mut clients = Clients::new(server, start)?;
        connect(&mut clients, server, self.clients)?;
        let mut publisher = Publisher::new(server.publisher()?, start, 128)?;
        publisher.add(TOPIC, start);
        publisher.flush()?;
        clients.wait_for(self.clients as u64, DEADLINE)?;
        let places = clients.drop_all();
        let missed = if server.target.resumes() { self.missed } else { 0 };
        for _ in 0..missed {
            publisher.add(TOPIC, start);
        }
        publisher.flush()?;
        // The server notices that they are gone, and takes what was published.
        std::thread::sleep(Duration::from_secs(1));
        clients.counts.received = 0;
        let (begun, cpu) = (Instant::now(), server.process.cpu());
        let wave = Wave {
            count: self.clients,
            topics: &|_| vec![TOPIC.to_owned()],
            places: &places,
            deflate: false,
        };
        clients.connect(server.setup.clients, &wave)?;
        let expected = missed * self.clients as u64;
        clients.wait_for(expected, DEADLINE)?;
        let (took, cpu) = (begun.elapsed(), server.process.cpu() - cpu);
        check(&clients, expected)?;
        Ok(Figures::from([
            ("back_ms", took.as_secs_f64() * 1e3),
            ("cpu_ms", cpu.as_secs_f64() * 1e3),
            ("missed_events", missed as f64),
        ]))
    }
}

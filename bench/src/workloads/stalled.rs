use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::{Figures, Paced, TOPIC, connect};
use crate::load::clients::Clients;
use crate::load::publisher::Publisher;
use crate::targets::Running;

/// One client in ten stops reading for a time, and then reads on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stalled {
    pub(crate) clients: usize,
    pub(crate) rate: u32,
    pub(crate) time: Duration,
    /// Whether anybody stops: without, it is what the others are compared with.
    pub(crate) stalls: bool,
}

/// Large enough to fill what the kernel holds for a socket, 4 MiB by default, within the time.
const EVENT_BYTES: usize = 8 << 10;

impl Stalled {
    pub(crate) fn run(self, server: &Running<'_>) -> Result<Figures> {
        let is_slow = |at: usize| at.is_multiple_of(10);
        let start = Instant::now();
        let mut clients = Clients::new(server, start)?;
        connect(&mut clients, server, self.clients)?;
        let mut publisher = Publisher::new(server.publisher()?, start, EVENT_BYTES)?;
        clients.run_for(Duration::from_millis(200))?;
        let before = server.process.resident_bytes();
        if self.stalls {
            clients.stall(true, is_slow)?;
        }
        let slow = (0..self.clients).filter(|at| is_slow(*at) && self.stalls).count() as u64;
        let fast = self.clients as u64 - slow;
        let topics = [TOPIC.to_owned()];
        let all = (self.time.as_secs_f64() * f64::from(self.rate)) as u64;
        Paced { topics: &topics, rate: self.rate, each: fast }.publish(
            &mut clients,
            &mut publisher,
            self.time,
        )?;
        let deadline = Instant::now() + self.time * 2;
        while clients.received_by(|at| !(is_slow(at) && self.stalls)) < all * fast {
            publisher.flush()?;
            clients.turn(Duration::from_millis(50))?;
            if Instant::now() > deadline {
                return Err(anyhow!("the others did not get everything in time"));
            }
        }
        let mut figures = Figures::new();
        super::add_latencies(&clients, &mut figures);
        let held = server.process.resident_bytes().saturating_sub(before);
        figures.insert("memory_mib", held as f64 / f64::from(1 << 20));
        // Those that read on get everything, where the server keeps it for them.
        clients.stall(false, is_slow)?;
        let returned = Instant::now();
        let expected = all * self.clients as u64;
        while clients.counts.received < expected && returned.elapsed() < self.time {
            clients.turn(Duration::from_millis(50))?;
        }
        let lost = expected.saturating_sub(clients.counts.received);
        figures.insert("lost_by_slow", lost as f64);
        figures.insert("disordered", clients.counts.disordered as f64);
        Ok(figures)
    }
}

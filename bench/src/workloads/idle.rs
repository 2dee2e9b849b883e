use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Figures, connect};
use crate::load::clients::Clients;
use crate::targets::Running;

/// What `clients` that are subscribed and hear nothing cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    pub(crate) clients: usize,
}

/// How long the server is watched doing nothing.
const WATCHED: Duration = Duration::from_secs(5);
/// What the first clients cost, every one of their kind has once.
const FIRST: usize = 50;

impl Idle {
    pub(crate) fn run(self, server: &Running<'_>) -> Result<Figures> {
        let mut clients = Clients::new(server, Instant::now())?;
        connect(&mut clients, server, FIRST)?;
        let before = server.process.settled_bytes(|| clients.turn(Duration::ZERO))?;
        let (begun, cpu) = (Instant::now(), server.process.cpu());
        connect(&mut clients, server, self.clients)?;
        let (took, connect_cpu) = (begun.elapsed(), server.process.cpu() - cpu);
        let after = server.process.settled_bytes(|| clients.turn(Duration::ZERO))?;
        let cpu = server.process.cpu();
        clients.run_for(WATCHED)?;
        let idle = server.process.cpu() - cpu;
        let count = self.clients as f64;
        Ok(Figures::from([
            ("bytes_per_client", after.saturating_sub(before) as f64 / count),
            ("connects_per_s", count / took.as_secs_f64()),
            ("cpu_us_per_connect", connect_cpu.as_secs_f64() * 1e6 / count),
            ("idle_cpu_cores", idle.as_secs_f64() / WATCHED.as_secs_f64()),
        ]))
    }
}

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::checks;
use crate::clients::Clients;
use crate::publisher::Publisher;
use crate::server::Server;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Clients, all on one topic.
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// Events that are published at once, before the next are.
    #[arg(long, default_value_t = 32)]
    outstanding: usize,
    /// Times.
    #[arg(long, default_value_t = 2_000)]
    rounds: usize,
}

pub(crate) fn run(server: &mut Server, arguments: &Arguments) -> Result<Value> {
    let start = Instant::now();
    let mut clients = Clients::new(start)?;
    clients.connect(server.public, arguments.clients, |_| "bench.full".into(), &[])?;
    let mut publisher = Publisher::connect(server.admin, start, 128)?;
    let (rounds, outstanding) = (arguments.rounds, arguments.outstanding);
    let (cpu, begun) = (server.cpu()?, Instant::now());
    let publishing = std::thread::spawn(move || -> Result<()> {
        for _ in 0..rounds {
            publisher.publish_many("bench.full", outstanding)?;
        }
        Ok(())
    });
    let expected = (arguments.clients * rounds * outstanding) as u64;
    clients.wait_for(expected, Duration::from_secs(120))?;
    let (took, cpu) = (begun.elapsed(), server.cpu()? - cpu);
    publishing.join().map_err(|_| anyhow::anyhow!("the publisher panicked"))??;
    Ok(json!({
        "clients": arguments.clients,
        "outstanding": outstanding,
        "deliveries_per_second": (expected as f64 / took.as_secs_f64()).round(),
        "server_cpu_us_per_delivery": cpu.as_secs_f64() * 1e6 / expected as f64,
        "checks": checks(&clients, expected),
    }))
}

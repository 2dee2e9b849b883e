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
    #[arg(long, default_value_t = 1_000)]
    clients: usize,
    /// Events per second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Bytes of each event's data.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// How long.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
}

pub(crate) fn run(server: &mut Server, arguments: &Arguments) -> Result<Value> {
    let start = Instant::now();
    let mut clients = Clients::new(start)?;
    clients.connect(server.public, arguments.clients, |_| "bench.fanout".into(), &[])?;
    let count = u64::from(arguments.rate) * u64::from(arguments.seconds);
    let mut publisher = Publisher::connect(server.admin, start, arguments.bytes)?;
    let every = Duration::from_secs(1) / arguments.rate;
    let (cpu, begun) = (server.cpu()?, Instant::now());
    let publishing = std::thread::spawn(move || -> Result<()> {
        for event in 0..count {
            // Open loop: the time at which it was to be sent counts, whenever it was sent.
            let intended = begun + every * u32::try_from(event)?;
            std::thread::sleep(intended.saturating_duration_since(Instant::now()));
            publisher.publish("bench.fanout", intended)?;
        }
        Ok(())
    });
    let expected = count * clients.len() as u64;
    let limit = Duration::from_secs(u64::from(arguments.seconds) * 3 + 10);
    clients.wait_for(expected, limit)?;
    let (took, cpu) = (begun.elapsed(), server.cpu()? - cpu);
    publishing.join().map_err(|_| anyhow::anyhow!("the publisher panicked"))??;
    Ok(json!({
        "clients": arguments.clients,
        "rate": arguments.rate,
        "deliveries_per_second": (expected as f64 / took.as_secs_f64()).round(),
        "server_cpu_us_per_delivery": cpu.as_secs_f64() * 1e6 / expected as f64,
        "latency": clients.latencies.report(),
        "checks": checks(&clients, expected),
    }))
}

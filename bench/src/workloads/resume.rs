use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::checks;
use crate::clients::Clients;
use crate::publisher::Publisher;
use crate::server::Server;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Clients.
    #[arg(long, default_value_t = 5_000)]
    clients: usize,
    /// Events that each has missed when it comes back.
    #[arg(long, default_value_t = 100)]
    missed: usize,
}

pub(crate) fn run(server: &mut Server, arguments: &Arguments) -> Result<Value> {
    let start = Instant::now();
    let mut clients = Clients::new(start)?;
    let topic = |_| String::from("bench.resume");
    clients.connect(server.public, arguments.clients, topic, &[])?;
    let mut publisher = Publisher::connect(server.admin, start, 128)?;
    publisher.publish_many("bench.resume", 1)?;
    clients.wait_for(arguments.clients as u64, Duration::from_secs(30))?;
    let places = clients.drop_all();
    publisher.publish_many("bench.resume", arguments.missed)?;
    clients.received = 0;
    let expected = (arguments.clients * arguments.missed) as u64;
    let (cpu, begun) = (server.cpu()?, Instant::now());
    let connected = clients.connect(server.public, arguments.clients, topic, &places)?;
    clients.wait_for(expected, Duration::from_secs(60))?;
    let (took, cpu) = (begun.elapsed(), server.cpu()? - cpu);
    Ok(json!({
        "clients": arguments.clients,
        "missed": arguments.missed,
        "connected_ms": connected.as_secs_f64() * 1e3,
        "resumed_ms": took.as_secs_f64() * 1e3,
        "server_cpu_ms": cpu.as_secs_f64() * 1e3,
        "checks": checks(&clients, expected),
    }))
}

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use crate::clients::Clients;
use crate::server::Server;

/// How long the server is watched doing nothing.
const WATCHED: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Clients.
    #[arg(long, default_value_t = 5_000)]
    clients: usize,
}

pub(crate) fn run(server: &mut Server, arguments: &Arguments) -> Result<Value> {
    let mut clients = Clients::new(Instant::now())?;
    // What the first client costs, every one of its kind has once.
    clients.connect(server.public, 50, |_| "bench.idle".into(), &[])?;
    let before = server.settled_bytes()?;
    let took = clients.connect(server.public, arguments.clients, |_| "bench.idle".into(), &[])?;
    let after = server.settled_bytes()?;
    let cpu = server.cpu()?;
    std::thread::sleep(WATCHED);
    let idle_cpu = (server.cpu()? - cpu).as_secs_f64() / WATCHED.as_secs_f64();
    let per_client = after.saturating_sub(before) as f64 / arguments.clients as f64;
    Ok(json!({
        "clients": arguments.clients,
        "bytes_per_client": per_client.round(),
        "connects_per_second": (arguments.clients as f64 / took.as_secs_f64()).round(),
        "idle_cpu_cores": idle_cpu,
    }))
}

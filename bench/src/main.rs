//! Measures a Tidings server from outside: a child process, real sockets, loopback.
//!
//! Figures of one run mean little on a noisy machine; compare runs made side by side.

/// The server under test, as a child process.
mod server;
/// Subscribers: many sockets on one thread.
mod clients;
/// A publisher with one kept connection.
mod publisher;
/// Percentiles.
mod latency;
/// What is measured.
mod workloads;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures a Tidings server on this machine, over loopback.
#[derive(Parser)]
struct Arguments {
    /// The binary to measure.
    #[arg(long, default_value = "target/release/tidings")]
    binary: std::path::PathBuf,
    /// Pins the server to this core and the load to the others.
    #[arg(long)]
    pin: Option<usize>,
    #[command(subcommand)]
    workload: Workload,
}

#[derive(Subcommand)]
enum Workload {
    /// Memory per idle subscribed client.
    Idle(workloads::idle::Arguments),
    /// Events at a rate to every client: CPU per delivery and latency.
    Fanout(workloads::fanout::Arguments),
    /// Everyone drops at once and comes back with positions.
    Resume(workloads::resume::Arguments),
    /// As many events as can be outstanding: deliveries per second.
    Saturate(workloads::saturate::Arguments),
}

#[expect(clippy::print_stdout, reason = "the results")]
fn main() -> Result<()> {
    let arguments = Arguments::parse();
    raise_descriptor_limit()?;
    let mut server = server::Server::start(&arguments.binary, arguments.pin)?;
    let result = match arguments.workload {
        Workload::Idle(arguments) => workloads::idle::run(&mut server, &arguments)?,
        Workload::Fanout(arguments) => workloads::fanout::run(&mut server, &arguments)?,
        Workload::Resume(arguments) => workloads::resume::run(&mut server, &arguments)?,
        Workload::Saturate(arguments) => workloads::saturate::run(&mut server, &arguments)?,
    };
    println!("{result:#}");
    Ok(())
}

/// Thousands of sockets need more descriptors than shells give by default.
fn raise_descriptor_limit() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(())
}

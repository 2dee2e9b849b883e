//! Measures Tidings from outside, beside other servers and beside bare writes: child processes, real
//! sockets, loopback.
//!
//! Figures of one run mean little on a noisy machine; compare servers within a run.

/// Servers under workloads, in turn.
mod compare;
/// A bound on what any server can reach.
mod floor;
/// How costs grow.
mod growth;
/// Where the other servers come from.
mod install;
/// The load.
mod load;
/// The machine that figures are of.
mod machine;
/// The workloads of a comparison.
mod plan;
/// Curves as pictures.
mod plot;
/// A server as a child process.
mod process;
/// Results for people and programs.
mod report;
/// The servers.
mod targets;
/// What is measured.
mod workloads;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures Tidings and other servers on this machine, over loopback.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures servers under workloads, in turn.
    Compare(compare::Arguments),
    /// Measures how Tidings' costs grow, and draws the curves.
    Growth(growth::Arguments),
    /// Measures events that are synced before they are acknowledged, beside a bare loop.
    Durable(workloads::durable::Arguments),
    /// Installs the other servers, from the package registries into a folder.
    Install(install::Arguments),
    /// Runs the bare server that others are compared with.
    #[command(hide = true)]
    Floor(floor::Arguments),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    machine::raise_descriptor_limit()?;
    match arguments.command {
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Growth(arguments) => growth::run(&arguments),
        Command::Durable(arguments) => workloads::durable::run(&arguments),
        Command::Install(arguments) => install::run(&arguments),
        Command::Floor(arguments) => floor::run(&arguments),
    }
}

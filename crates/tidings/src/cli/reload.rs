use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::Result;
use super::output::{self, Output};
use super::remote::{Globals, Side, block_on};

const EXAMPLES: &str = "\
Examples:
  tidings reload

What is wrong with a new configuration is told, and the old one stays whole.";

/// Let a running server read its configuration again
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

#[derive(Deserialize)]
struct Changes {
    live: Vec<String>,
    restart_needed: Vec<String>,
}

/// Reloads, and says what changed.
pub(crate) fn run(_args: Args, globals: &Globals, out: &mut Output) -> Result {
    let remote = globals.remote(Side::Admin)?;
    let answer: Box<RawValue> = block_on(remote.ask("POST", "/v1/reload"))?;
    if out.is_json() {
        return out.json_line(answer.get());
    }
    let read = serde_json::from_str(answer.get());
    let Changes { live, restart_needed } =
        read.map_err(|error| remote.explain(client::Error::Protocol(error.to_string())))?;
    if live.is_empty() && restart_needed.is_empty() {
        return out.line("reloaded: nothing changed");
    }
    for setting in live {
        out.line(format!("changed  {setting}"))?;
    }
    for setting in &restart_needed {
        out.line(format!("waits    {setting}"))?;
    }
    if !restart_needed.is_empty() {
        output::note("what waits takes hold when the server is restarted");
    }
    Ok(())
}

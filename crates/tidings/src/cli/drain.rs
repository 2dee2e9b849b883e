use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::Result;
use super::output::Output;
use super::remote::{Globals, Side, block_on};
use super::text::span;

/// Send a server's clients away, to come back later, and end it
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  tidings drain")]
pub(crate) struct Args {}

/// Begins the drain.
pub(crate) fn run(_args: Args, globals: &Globals, out: &mut Output) -> Result {
    let remote = globals.remote(Side::Admin)?;
    let answer: Box<RawValue> = block_on(remote.ask("POST", "/v1/drain"))?;
    if out.is_json() {
        return out.json_line(answer.get());
    }
    let answer: Value = serde_json::from_str(answer.get()).unwrap_or_default();
    let number = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or(0);
    let deadline = span(number("deadline_ms"));
    match number("clients") {
        0 => out.line("draining: no clients are connected; the server ends now"),
        1 => out.line(format!("draining: 1 client has {deadline} to leave")),
        clients => out.line(format!("draining: {clients} clients have {deadline} to leave")),
    }
}

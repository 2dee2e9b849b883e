use serde_json::value::RawValue;

use super::failure::Result;
use super::output::Output;
use super::remote::{Globals, Side, block_on};

/// Close a client's connection
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  tidings disconnect 0198f2c34ab17c0aa4d09c3b5f6e7d81\n\n\
    `tidings connections` lists the ids.")]
pub(crate) struct Args {
    /// The connection's id
    id: String,
}

/// Closes the connection.
pub(crate) fn run(args: Args, globals: &Globals, out: &mut Output) -> Result {
    let remote = globals.remote(Side::Admin)?;
    let path = format!("/v1/connections/{}", client::http::percent_encoded(&args.id));
    let answer: Box<RawValue> = block_on(remote.ask("DELETE", &path))?;
    if out.is_json() {
        return out.json_line(answer.get());
    }
    out.line(format!("closed {}", args.id))
}

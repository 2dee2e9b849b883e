use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::Result;
use super::output::Output;
use super::remote::{Globals, Side, block_on};

const EXAMPLES: &str = "\
Examples:
  tidings presence news.local
  tidings presence 'room.*' --json

Users are named once each, however many clients they have; clients without a user are counted, too.";

/// Say who subscribes to a topic
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A topic, or a pattern of topics
    topic: String,
}

/// Asks the server.
pub(crate) fn run(args: Args, globals: &Globals, out: &mut Output) -> Result {
    let remote = globals.remote(Side::Admin)?;
    let topic = client::http::percent_encoded(&args.topic);
    let presence: Box<RawValue> = block_on(remote.get(&format!("/v1/presence?topic={topic}")))?;
    if out.is_json() {
        return out.json_line(presence.get());
    }
    let presence: Value = serde_json::from_str(presence.get()).unwrap_or_default();
    out.fields(&presence, &["clients", "users"])
}

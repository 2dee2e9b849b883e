use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::{Failure, Result};
use super::output::Output;
use super::remote::{Globals, Side, block_on};
use super::text::span;

const EXAMPLES: &str = "\
Examples:
  tidings health
  tidings health --json

Ends with 1 where the server cannot deliver as it should.";

/// Say how well a running server works
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

/// Asks the server, and fails where it is degraded.
pub(crate) fn run(_args: Args, globals: &Globals, out: &mut Output) -> Result {
    let remote = globals.remote(Side::Admin)?;
    let text: Box<RawValue> = block_on(remote.get("/v1/health"))?;
    let mut health: Value = serde_json::from_str(text.get()).unwrap_or_default();
    let is_ok = health.get("status").and_then(Value::as_str) == Some("ok");
    if out.is_json() {
        out.json_line(text.get())?;
    } else {
        let fields = health.as_object_mut();
        if let Some(fields) = fields {
            let ms = |value: Option<Value>| value.and_then(|value| value.as_f64()).unwrap_or(0.0);
            let (probe, uptime) = (ms(fields.remove("probe_ms")), ms(fields.remove("uptime_ms")));
            fields.insert("probe".into(), format!("{probe:.3}ms").into());
            fields.insert("uptime".into(), span(uptime as u64).into());
        }
        out.fields(&health, &["status", "level", "reasons", "probe", "node", "version", "uptime"])?;
    }
    if is_ok { Ok(()) } else { Err(Failure::told()) }
}

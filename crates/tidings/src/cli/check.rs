use serde_json::json;

use super::failure::Result;
use super::output::Output;
use super::setup::{Setup, tell, wrong};

const EXAMPLES: &str = "\
Examples:
  tidings check
  tidings check --config tidings.toml

Prints `ok`, or everything that is wrong with file, line and the text in question, and ends with 2.
With --json one object: {\"ok\":true,\"file\",\"warnings\"} or {\"ok\":false,\"errors\":[{\"message\",\"place\"}]}.";

/// Check a configuration
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    setup: Setup,
}

/// Reads the configuration and says whether a server would take it.
pub(crate) fn run(args: Args, out: &mut Output) -> Result {
    let loaded = args.setup.read()?.or_else(|errors| {
        if out.is_json() {
            let errors: Vec<_> = errors
                .places()
                .map(|(message, place)| json!({ "message": message, "place": place }))
                .collect();
            out.line(json!({ "ok": false, "errors": errors }).to_string())?;
        }
        Err(wrong(&errors))
    })?;
    tell(&loaded);
    if out.is_json() {
        let file = loaded.file.as_ref().map(|file| file.display().to_string());
        let warnings: Vec<&str> = loaded.warnings.titles().collect();
        return out.line(json!({ "ok": true, "file": file, "warnings": warnings }).to_string());
    }
    out.line("ok")
}

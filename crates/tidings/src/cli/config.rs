use serde_json::json;
use server::config::{reference_settings, reference_toml};

use super::failure::Result;
use super::output::Output;
use super::setup::{Setup, tell};

const EXAMPLES: &str = "\
Examples:
  tidings config > tidings.toml
  tidings config --effective --config tidings.toml
  tidings config --effective --json

With --json one object per setting: what it may be and means, or with --effective its value and
where that was set.";

/// Print every setting with its default and meaning, or what holds
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Print the settings that a server would use, and where each was set
    #[arg(long)]
    effective: bool,
    #[command(flatten)]
    setup: Setup,
}

/// Prints settings as TOML.
pub(crate) fn run(args: Args, out: &mut Output) -> Result {
    if !args.effective {
        if !out.is_json() {
            return out.text(&reference_toml());
        }
        let settings = reference_settings();
        return settings.iter().try_for_each(|setting| out.line(json!(setting).to_string()));
    }
    let loaded = args.setup.load()?;
    tell(&loaded);
    if !out.is_json() {
        return out.text(&loaded.effective());
    }
    loaded.values().into_iter().try_for_each(|(key, value, origin)| {
        out.line(json!({ "key": key, "value": value, "origin": origin }).to_string())
    })
}

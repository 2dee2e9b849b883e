use serde_json::json;
use server::config::reference_toml;

use super::failure::Result;
use super::output::Output;
use super::setup::{Setup, tell};

const EXAMPLES: &str = "\
Examples:
  tidings config > tidings.toml
  tidings config --effective --config tidings.toml";

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
    let page = if args.effective {
        let loaded = args.setup.load()?;
        tell(&loaded);
        loaded.effective()
    } else {
        reference_toml()
    };
    if out.is_json() {
        return out.line(json!({ "toml": page }).to_string());
    }
    out.text(&page)
}

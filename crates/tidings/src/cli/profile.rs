use serde_json::json;

use super::failure::{Failure, Result};
use super::output::{self, Output};

/// Look at the profiles that ship with Tidings
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  tidings profile list\n  tidings profile show NAME")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Print the names of all profiles
    List,
    /// Print a profile
    Show {
        /// Its name
        name: String,
    },
}

/// Lists or shows profiles.
pub(crate) fn run(args: Args, out: &mut Output) -> Result {
    match args.action.unwrap_or(Action::List) {
        Action::List if out.is_json() => out.line(json!({ "profiles": [] }).to_string()),
        Action::List => {
            output::note("no profiles ship in this version");
            Ok(())
        }
        Action::Show { name } => Err(unknown(&name)),
    }
}

/// The error about a profile that does not exist.
pub(crate) fn unknown(name: &str) -> Failure {
    Failure::usage(format!("no profile of the name `{name}` is known"))
        .hint("no profiles ship in this version; a file of your own is given with --config")
}

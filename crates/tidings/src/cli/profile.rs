use serde_json::json;

use super::failure::Result;
use super::output::Output;
use super::profiles;

/// Look at the profiles that ship with Tidings
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  tidings profile list\n  tidings profile show studio")]
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
        Action::List if out.is_json() => {
            let names: Vec<&str> = profiles::ALL.iter().map(|shipped| shipped.name).collect();
            out.line(json!({ "profiles": names }).to_string())
        }
        Action::List => {
            let mut all = profiles::ALL.iter();
            all.try_for_each(|one| out.line(format!("{:<8}  {}", one.name, one.summary())))
        }
        Action::Show { name } => {
            let text = profiles::named(&name)?.text;
            if out.is_json() {
                return out.line(json!({ "name": name, "toml": text }).to_string());
            }
            out.line(text.trim_end())
        }
    }
}

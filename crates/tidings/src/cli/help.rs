use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::Cli;
use super::failure::{Failure, Result};
use super::output::Output;

const EXAMPLES: &str = "\
Examples:
  tidings help
  tidings help subscribe
  tidings help profile show";

/// Print what a command does and takes, as its --help
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The command; without one, all are listed
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

/// Prints the help of a command: what it says itself with `--help`.
pub(crate) fn run(args: Args, out: &mut Output) -> Result {
    let line = ["tidings".to_owned()].into_iter().chain(args.command).chain(["--help".to_owned()]);
    match Cli::command().try_get_matches_from(line) {
        Err(help) if help.kind() == ErrorKind::DisplayHelp => out.text(&help.to_string()),
        Err(error) => Err(Failure::configuration(error.to_string().trim_end().to_owned())),
        // Whatever is asked for, `--help` is behind it.
        Ok(_) => Ok(()),
    }
}

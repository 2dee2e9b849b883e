//! The command line: one file per command, one arm each.
//!
//! Results go to standard output, everything else to standard error. A command ends with 0 when
//! it did what was asked, 1 when that failed, 2 when the usage or the configuration is wrong.
//! Modules in reading order:

/// How a command ends when it does not end well.
mod failure;
/// What is written, and to whom.
mod output;
/// Texts of others, times and sizes, so that people can read them.
mod text;
/// Options that name a server, and what to ask it with.
mod remote;
/// Options that configure a server.
mod setup;
/// What a server logs.
mod logging;

/// `tidings serve`.
mod serve;
/// `tidings demo`.
mod demo;
/// `tidings publish`.
mod publish;
/// `tidings subscribe`.
mod subscribe;
/// `tidings call`.
mod call;
/// `tidings handle`.
mod handle;
/// `tidings history`.
mod history;
/// `tidings presence`.
mod presence;
/// `tidings streams`.
mod streams;
/// `tidings connections`.
mod connections;
/// `tidings health`.
mod health;
/// `tidings disconnect`.
mod disconnect;
/// `tidings drain`.
mod drain;
/// `tidings reload`.
mod reload;
/// `tidings token`.
mod token;
/// `tidings check`.
mod check;
/// `tidings config`.
mod config;
/// `tidings profile`.
mod profile;
/// Configurations that ship with Tidings.
mod profiles;
/// `tidings bench`.
mod bench;
/// `tidings help`.
mod help;
/// The page about the command line.
#[cfg(test)]
mod reference;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::Output;
use remote::Globals;

const EXAMPLES: &str = "\
Examples:
  tidings serve                                      a server on this machine
  tidings subscribe 'news.>'                         watch a pattern
  tidings publish news.local '{\"headline\":\"hello\"}'  publish an event

Exit codes: 0 fine, 1 failed, 2 wrong usage or configuration.";

/// Carries events from the programs that make them to the people who watch them, live, and loses
/// none on the way.
#[derive(Parser)]
#[command(
    name = "tidings",
    version,
    after_help = EXAMPLES,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Args),
    Demo(demo::Args),
    Publish(publish::Args),
    Subscribe(subscribe::Args),
    Call(call::Args),
    Handle(handle::Args),
    History(history::Args),
    Presence(presence::Args),
    Streams(streams::Args),
    Connections(connections::Args),
    Health(health::Args),
    Disconnect(disconnect::Args),
    Drain(drain::Args),
    Reload(reload::Args),
    Token(token::Args),
    Check(check::Args),
    Config(config::Args),
    Profile(profile::Args),
    Bench(bench::Args),
    Help(help::Args),
}

/// Reads the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let Cli { globals, command } = Cli::parse();
    let mut out = Output::new(globals.json);
    let done = match command {
        Command::Serve(args) => serve::run(args, &mut out),
        Command::Demo(args) => demo::run(args, &mut out),
        Command::Publish(args) => publish::run(args, &globals, &mut out),
        Command::Subscribe(args) => subscribe::run(args, &globals, &mut out),
        Command::Call(args) => call::run(args, &globals, &mut out),
        Command::Handle(args) => handle::run(args, &globals, &mut out),
        Command::History(args) => history::run(args, &globals, &mut out),
        Command::Presence(args) => presence::run(args, &globals, &mut out),
        Command::Streams(args) => streams::run(args, &globals, &mut out),
        Command::Connections(args) => connections::run(args, &globals, &mut out),
        Command::Health(args) => health::run(args, &globals, &mut out),
        Command::Disconnect(args) => disconnect::run(args, &globals, &mut out),
        Command::Drain(args) => drain::run(args, &globals, &mut out),
        Command::Reload(args) => reload::run(args, &globals, &mut out),
        Command::Token(args) => token::run(args, &mut out),
        Command::Check(args) => check::run(args, &mut out),
        Command::Config(args) => config::run(args, &mut out),
        Command::Profile(args) => profile::run(args, &mut out),
        Command::Bench(args) => bench::run(args, &globals, &mut out),
        Command::Help(args) => help::run(args, &mut out),
    };
    // What was printed before a failure is printed.
    let flushed = out.flush();
    match done.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}

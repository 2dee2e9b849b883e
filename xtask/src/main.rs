//! Developer commands: `cargo xtask <command>`.

mod autobahn;
mod bench;
mod ci;
mod faults;

use anyhow::{Result, bail};

/// A command: its name, its arguments and purpose for the help text, and what it does.
struct Command {
    name: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<()>,
}

const COMMANDS: &[Command] = &[
    Command { name: "ci", help: ci::HELP, run: ci::run },
    Command {
        name: "autobahn",
        help: "[core|9|12.1…12.5|13.1…13.7|all]…   runs the WebSocket suite (core and 9 by default)",
        run: autobahn::run,
    },
    Command { name: "faults", help: faults::HELP, run: faults::run },
    Command { name: "bench", help: bench::HELP, run: bench::run },
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((name, rest)) = arguments.split_first()
        && let Some(command) = COMMANDS.iter().find(|command| command.name == name)
    {
        return (command.run)(rest);
    }
    eprintln!("usage: cargo xtask <command>\n");
    for command in COMMANDS {
        eprintln!("  {} {}", command.name, command.help);
    }
    match arguments.first().map(String::as_str) {
        None | Some("help" | "--help" | "-h") => Ok(()),
        Some(unknown) => bail!("there is no command `{unknown}`"),
    }
}

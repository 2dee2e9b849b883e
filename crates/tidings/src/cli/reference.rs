use clap::{Command, CommandFactory as _};

use super::Cli;

const INTRODUCTION: &str = "\
# Command line

<!-- Derived from the commands' definitions in `crates/tidings/src/cli`. To write it again:
     UPDATE_DOCS=1 cargo test -p tidings command_line_page -->

One binary, `tidings`, is the server and everything that asks one. Results go to standard output,
everything else to standard error. Options of the server's place and `--json` may stand before or
behind the command.

| exit code | means |
| --- | --- |
| 0 | it did what was asked; `subscribe` and `serve` also when a signal ended them |
| 1 | it failed: the server is away, refused it, or is not well (`health`) |
| 2 | the usage or the configuration is wrong |

| environment variable | stands for |
| --- | --- |
| `TIDINGS_URL`, `TIDINGS_TOKEN` | `--url`, `--token` |
| `TIDINGS_ADMIN_URL`, `TIDINGS_ADMIN_TOKEN` | `--admin-url`, `--admin-token` |
| `TIDINGS_SECTION__KEY` | a setting of [the configuration](configuration.md), for commands that read it |
| `NO_COLOR` | with any value but an empty one: no colours |
";

/// `docs/command-line.md`: what every command says with `--help`, but for the options that all
/// have, which stand once.
fn markdown() -> String {
    // What this process is told by its environment is not for the page.
    let cli = Cli::command().mut_args(|arg| arg.hide_env_values(true));
    let mut page = INTRODUCTION.to_owned();
    push_command(cli, "", &mut page);
    page
}

/// A command and, behind it, those within it. Unless it is built, options of all commands are not
/// spread to them.
fn push_command(command: Command, within: &str, page: &mut String) {
    let name = format!("{within}{}", command.get_name());
    let inner: Vec<Command> = command.get_subcommands().cloned().collect();
    let mut command = command.bin_name(&name);
    page.push_str(&format!("\n## `{name}`\n\n```text\n"));
    let help = command.try_get_matches_from_mut([&name, "--help"]).expect_err("the help");
    for line in help.to_string().trim_end().lines() {
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page.push_str("```\n");
    for command in inner {
        push_command(command, &format!("{name} "), page);
    }
}

/// With `UPDATE_DOCS` set, writes the page instead.
#[test]
fn command_line_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/command-line.md");
    let page = markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/command-line.md differs from the commands' definitions; to write it again: \
         UPDATE_DOCS=1 cargo test -p tidings command_line_page"
    );
}

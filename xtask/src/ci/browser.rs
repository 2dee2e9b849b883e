use std::process::Command;

use anyhow::{Context as _, Result};

use super::debian;
use super::shell::Shell;
use super::tally::Runner;

/// Lets a real browser use the real server.
pub(super) fn test(shell: &mut Shell) -> Result<()> {
    let tests = page_tests(shell, "test")?;
    shell.test(Runner::Node, tests)
}

/// Tests of pages, by the name of their script. playwright-core drives the Chromium that it is
/// shown and brings none.
pub(super) fn page_tests(shell: &mut Shell, script: &str) -> Result<Command> {
    let instead = "install Chromium and Node, or leave this out: --without browser";
    let chromium = debian::program(shell, "chromium").context(instead)?;
    shell.run(shell.command("npm", "--prefix tests/browser ci --no-audit --no-fund"))?;
    let mut tests = shell.command("npm", &format!("--prefix tests/browser run {script}"));
    tests.env("CHROMIUM", chromium).env("TIDINGS_PROGRAM", shell.program()?);
    Ok(tests)
}

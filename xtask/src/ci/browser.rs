use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::shell::Shell;
use super::tally::Runner;

/// Lets a real browser use the real server. playwright-core drives the Chromium that it is shown
/// and brings none.
pub(super) fn test(shell: &mut Shell) -> Result<()> {
    let instead = "install Chromium and Node, or leave this out: --without browser";
    let chromium = chromium(shell).context(instead)?;
    shell.run(shell.command("npm", "--prefix tests/browser ci --no-audit --no-fund"))?;
    let mut tests = shell.command("npm", "--prefix tests/browser test");
    tests.env("CHROMIUM", chromium).env("TIDINGS_PROGRAM", shell.program()?);
    shell.test(Runner::Node, tests)
}

/// Debian's Chromium, installed where it is missing.
fn chromium(shell: &mut Shell) -> Result<PathBuf> {
    if let Some(found) = on_path("chromium") {
        return Ok(found);
    }
    // Never asks for a password: nobody may be there to type one.
    let is_root = shell.output(shell.command("id", "-u"))?.trim_ascii() == b"0";
    let apt_get = if is_root { "apt-get" } else { "sudo --non-interactive apt-get" };
    let packages = "install --quiet=2 --yes --no-install-recommends chromium";
    for arguments in ["update --quiet=2", packages] {
        let mut command = shell.command("env", "DEBIAN_FRONTEND=noninteractive");
        command.args(apt_get.split(' ')).args(arguments.split(' '));
        shell.run(command)?;
    }
    on_path("chromium").context("chromium is installed but not found")
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

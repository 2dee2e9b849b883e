use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::shell::Shell;
use super::tally::Runner;
use super::{browser, debian};

/// Examples whose programs need packages of PyPI; the others need Python alone.
const WITH_PACKAGES: [&str; 4] = ["trainer", "table", "speech", "studio"];

/// Runs every example with the real server: first with clients of its dialect, then its page in a
/// browser.
pub(super) fn test(shell: &mut Shell) -> Result<()> {
    let instead = "install espeak-ng, which speaks for the test of speech";
    debian::program(shell, "espeak-ng").context(instead)?;
    let python = environment(shell)?;
    let discover = "-W ignore -m unittest discover --verbose --start-directory tests/examples";
    let mut clients = shell.command(&python, discover);
    clients.env("TIDINGS_PROGRAM", shell.program()?);
    let clients = shell.test(Runner::Python, clients);
    let mut pages = browser::page_tests(shell, "examples")?;
    pages.env("PYTHON", &python);
    let pages = shell.test(Runner::Node, pages);
    clients.and(pages)
}

/// A Python with what the examples need.
fn environment(shell: &mut Shell) -> Result<PathBuf> {
    let home = shell.build("examples/venv");
    let python = home.join("bin/python");
    if !python.is_file() {
        let mut make = shell.command("python3", "-m venv");
        make.arg(&home);
        shell.run(make).context("install Python 3.11 or newer, with its module venv")?;
    }
    let mut install = shell.command(&python, "-m pip install --quiet --disable-pip-version-check");
    for example in WITH_PACKAGES {
        install.arg("--requirement").arg(format!("examples/{example}/requirements.txt"));
    }
    shell.run(install)?;
    Ok(python)
}

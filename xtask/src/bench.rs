use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

pub(crate) const HELP: &str = "[--workloads A,B] [--targets A,B] [--rounds N] [--seconds N] \
                               [--pinned yes|no]   measures Tidings beside other servers";

/// Builds what is measured, installs the other servers, and measures all in turn.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    // As cargo says now: clones that share a target directory share this program too.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run this by `cargo xtask`")?;
    let here = Path::new(&manifest).parent().context("no repository")?;
    let build = ["--package", "tidings", "--package", "tidings-bench"];
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    finish(Command::new(cargo).args(["build", "--release"]).args(build).current_dir(here))?;
    let bench = || {
        let mut command = Command::new(here.join("target/release/tidings-bench"));
        command.current_dir(here);
        command
    };
    finish(bench().arg("install"))?;
    finish(bench().arg("compare").args(arguments))
}

fn finish(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::shell::Shell;
use super::tally::Runner;

/// It drives the Chromium that it is shown and brings none.
const PLAYWRIGHT: &str = "1.65.1";

/// Tests with a browser are ignored unless they are asked for, so that plain `cargo test` needs
/// none. They find it by `TIDINGS_CHROMIUM`, and playwright-core in the folder
/// `TIDINGS_NODE_MODULES`.
pub(super) fn test(shell: &mut Shell) -> Result<()> {
    if !shell.has("tests/tests/browser.rs") && !shell.has("tests/tests/browser/main.rs") {
        shell.note("there are no browser tests yet");
        return Ok(());
    }
    let instead = "install Debian's chromium and Node, or leave this out: --without browser";
    let chromium = chromium(shell).context(instead)?;
    let modules = playwright(shell).context(instead)?;
    let mut tests =
        shell.cargo("test --locked --package tidings-tests --test browser -- --ignored");
    tests.env("TIDINGS_CHROMIUM", chromium).env("TIDINGS_NODE_MODULES", modules);
    shell.test(Runner::Cargo, tests)
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

/// The folder of modules that has playwright-core.
fn playwright(shell: &mut Shell) -> Result<PathBuf> {
    let home = shell.build("browser");
    let modules = home.join("node_modules");
    let package = modules.join("playwright-core/package.json");
    let version = format!("\"version\": \"{PLAYWRIGHT}\"");
    let is_there = |package: &Path| {
        std::fs::read_to_string(package).is_ok_and(|package| package.contains(&version))
    };
    if !is_there(&package) {
        std::fs::create_dir_all(&home)?;
        let arguments = "install --no-save --no-audit --no-fund --no-package-lock --prefix";
        let mut install = shell.command("npm", arguments);
        install.arg(&home).arg(format!("playwright-core@{PLAYWRIGHT}"));
        shell.run(install)?;
        ensure!(is_there(&package), "npm did not install playwright-core {PLAYWRIGHT}");
    }
    Ok(modules)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

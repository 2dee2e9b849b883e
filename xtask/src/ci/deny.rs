use std::path::PathBuf;

use anyhow::Result;

use super::shell::Shell;

const VERSION: &str = "0.20.2";
/// Any of these reads `deny.toml` alike.
const SUITABLE: &str = "cargo-deny 0.20.";

/// Bans, licences and sources need nothing but the lock file. Advisories need a database from the
/// network: where it cannot be fetched they are skipped, and that is said.
pub(super) fn check(shell: &mut Shell) -> Result<()> {
    let tool = match find(shell) {
        Some(tool) => tool,
        None => install(shell)?,
    };
    let check = "--locked check --hide-inclusion-graph";
    shell.run(shell.command(&tool, &format!("{check} bans licenses sources")))?;
    let mut fetch = shell.command(&tool, "--locked fetch db");
    fetch.env("GIT_TERMINAL_PROMPT", "0");
    fetch.envs([("GIT_HTTP_LOW_SPEED_LIMIT", "1000"), ("GIT_HTTP_LOW_SPEED_TIME", "30")]);
    if shell.run(fetch).is_ok() {
        return shell.run(shell.command(&tool, &format!("{check} --disable-fetch advisories")));
    }
    let skipped = "advisories SKIPPED, their database cannot be fetched";
    shell.say(skipped)?;
    shell.note(skipped);
    Ok(())
}

fn find(shell: &Shell) -> Option<PathBuf> {
    let suits = |tool: &PathBuf| {
        let version = shell.command(tool, "--version").output();
        version.is_ok_and(|version| version.stdout.starts_with(SUITABLE.as_bytes()))
    };
    [PathBuf::from("cargo-deny"), installed(shell)].into_iter().find(suits)
}

fn installed(shell: &Shell) -> PathBuf {
    shell.build("tools/bin/cargo-deny")
}

/// It runs for a second and takes minutes to optimise, so it is built without: that takes a third
/// of the time (74 s against 217 s of processor time).
fn install(shell: &mut Shell) -> Result<PathBuf> {
    let mut install = shell.cargo(&format!("install --locked cargo-deny --version {VERSION}"));
    install.arg("--root").arg(shell.build("tools"));
    install.env("CARGO_TARGET_DIR", shell.build("tools/target"));
    install.envs([
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ]);
    shell.run(install)?;
    std::fs::remove_dir_all(shell.build("tools/target"))?;
    Ok(installed(shell))
}

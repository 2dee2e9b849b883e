//! `cargo xtask ci`: what CI runs, on any machine that has Rust and Node.

/// Commands, shown and run.
mod shell;
/// What test runners say about their tests.
mod tally;
/// The rules about dependencies.
mod deny;
/// Programs that tests need, installed where they are missing.
mod debian;
/// NATS and Redis for the tests that need them.
mod servers;
/// A browser for the tests that need one.
mod browser;
/// The table at the end.
mod report;

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use report::{Outcome, Row};
use shell::Shell;
use tally::{Runner, Tally};

pub(crate) const HELP: &str =
    "[--fast] [--without STEP]… [STEP]…   runs what CI runs, or the steps that are named";

struct Step {
    name: &'static str,
    /// Part of `--fast`.
    is_fast: bool,
    run: fn(&mut Shell) -> Result<()>,
}

const fn step(name: &'static str, run: fn(&mut Shell) -> Result<()>) -> Step {
    Step { name, is_fast: false, run }
}

const fn fast(name: &'static str, run: fn(&mut Shell) -> Result<()>) -> Step {
    Step { name, is_fast: true, run }
}

/// In this order: what fails soonest comes first, and all share one target directory.
const STEPS: &[Step] = &[
    fast("fmt", |shell| shell.run(shell.cargo("fmt --all --check"))),
    fast("clippy", |shell| {
        shell.run(shell.cargo("clippy --locked --workspace --all-targets -- -D warnings"))
    }),
    step("alone", each_crate_alone),
    step("deny", deny::check),
    fast("tests", |shell| {
        for tool in ["strace", "faketime"] {
            if debian::program(shell, tool).is_err() {
                shell.note(&format!("{tool} cannot be installed: its faults were not tried"));
            }
        }
        let all = "test --locked --workspace --no-fail-fast --lib --bins --tests --examples";
        let mut tests = shell.cargo(all);
        servers::install(shell, &mut tests)?;
        tests.env("TIDINGS_PROGRAM", shell.program()?);
        shell.test(Runner::Cargo, tests)
    }),
    step("doctests", |shell| {
        shell.test(Runner::Cargo, shell.cargo("test --locked --workspace --no-fail-fast --doc"))
    }),
    step("docs", |shell| {
        let mut docs = shell.cargo("doc --locked --workspace --no-deps");
        docs.env("RUSTDOCFLAGS", "-D warnings");
        shell.run(docs)
    }),
    step("autobahn", |shell| shell.test(Runner::Autobahn, shell.cargo("xtask autobahn core 9"))),
    step("browser", browser::test),
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let wanted = choose(arguments)?;
    let mut shell = Shell::new(Box::new(std::io::stdout()))?;
    let (mut rows, mut sum) = (Vec::new(), Tally::default());
    for (step, is_wanted) in STEPS.iter().zip(wanted) {
        if !is_wanted {
            rows.push(Row { name: step.name, seconds: 0, outcome: Outcome::LeftOut });
            continue;
        }
        shell.say(&format!("\n== {} ==", step.name))?;
        let began = Instant::now();
        let result = (step.run)(&mut shell);
        let (tally, notes) = shell.take_findings();
        sum.add(&tally);
        if let Err(error) = &result {
            shell.say(&format!("{}: {error:#}", step.name))?;
        }
        let outcome = match result {
            Ok(()) => Outcome::Fine(notes.join("; ")),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        rows.push(Row { name: step.name, seconds: began.elapsed().as_secs(), outcome });
    }
    shell.say(&report::table(&rows))?;
    // The last line is for programs: it stands alone whatever happened.
    shell.say(&format!("{} passed, {} failed", sum.passed, sum.failed))?;
    if rows.iter().any(|row| matches!(row.outcome, Outcome::Failed(_))) {
        std::process::exit(1);
    }
    Ok(())
}

/// Which steps to run, in their order.
fn choose(arguments: &[String]) -> Result<Vec<bool>> {
    let (mut named, mut without, mut is_fast) = (Vec::new(), Vec::new(), false);
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(argument) = rest.next() {
        match argument {
            "--fast" => is_fast = true,
            "--without" => without.push(rest.next().context("--without needs the name of a step")?),
            name => named.push(name),
        }
    }
    let is_known = |name: &&str| STEPS.iter().any(|step| step.name == *name);
    if let Some(unknown) = named.iter().chain(&without).find(|name| !is_known(name)) {
        let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        bail!("there is no step `{unknown}`; there are {}", names.join(", "));
    }
    let is_wanted = |step: &Step| {
        (named.is_empty() || named.contains(&step.name))
            && !without.contains(&step.name)
            && (step.is_fast || !is_fast)
    };
    Ok(STEPS.iter().map(is_wanted).collect())
}

/// Checks every library with no features but those that it asks for itself: in the workspace's
/// build one crate's features can hide that another forgot to ask for them.
fn each_crate_alone(shell: &mut Shell) -> Result<()> {
    let metadata = shell.metadata()?;
    let packages = metadata.get("packages").and_then(Value::as_array);
    for package in packages.into_iter().flatten() {
        let field = |name| package.get(name).and_then(Value::as_str).unwrap_or_default();
        if !field("manifest_path").contains("/crates/") {
            continue;
        }
        let name = field("name");
        shell.run(shell.cargo(&format!("clippy --locked --package {name} -- -D warnings")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(arguments: &[&str]) -> Result<Vec<&'static str>> {
        let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
        let wanted = choose(&arguments)?;
        let chosen = STEPS.iter().zip(wanted).filter(|(_, is_wanted)| *is_wanted);
        Ok(chosen.map(|(step, _)| step.name).collect())
    }

    #[test]
    fn steps_are_chosen_by_name_and_left_out_by_name() {
        assert_eq!(chosen(&[]).unwrap().len(), STEPS.len());
        assert_eq!(chosen(&["--fast"]).unwrap(), ["fmt", "clippy", "tests"]);
        assert_eq!(chosen(&["docs", "fmt"]).unwrap(), ["fmt", "docs"]);
        assert!(!chosen(&["--without", "browser"]).unwrap().contains(&"browser"));
        assert!(chosen(&["--without"]).is_err());
        assert!(chosen(&["format"]).unwrap_err().to_string().contains("there are fmt, clippy"));
    }
}

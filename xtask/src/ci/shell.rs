use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, PipeReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::tally::{Runner, Tally};

/// How long a test runner's output may stay open and silent after the runner has ended.
const LINGER: Duration = Duration::from_secs(2);

/// Runs the commands of a step, and keeps what the step found out.
pub(super) struct Shell {
    repository: PathBuf,
    cargo: OsString,
    out: Box<dyn Write>,
    tally: Tally,
    notes: Vec<String>,
}

impl Shell {
    pub(super) fn new(out: Box<dyn Write>) -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        Ok(Self {
            repository: here.parent().context("no repository")?.to_owned(),
            cargo: std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            out,
            tally: Tally::default(),
            notes: Vec::new(),
        })
    }

    pub(super) fn say(&mut self, text: &str) -> Result<()> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Adds to what the table says about the step.
    pub(super) fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    pub(super) fn take_findings(&mut self) -> (Tally, Vec<String>) {
        (std::mem::take(&mut self.tally), std::mem::take(&mut self.notes))
    }

    /// A path in the folder that git ignores.
    pub(super) fn build(&self, path: &str) -> PathBuf {
        self.repository.join("build").join(path)
    }

    pub(super) fn cargo(&self, arguments: &str) -> Command {
        self.command(&self.cargo, arguments)
    }

    /// A command without standard input, in the repository.
    pub(super) fn command(&self, program: impl Into<OsString>, arguments: &str) -> Command {
        let mut command = Command::new(program.into());
        command.args(arguments.split_whitespace()).current_dir(&self.repository);
        command.stdin(Stdio::null());
        command
    }

    /// Shows a command and runs it.
    pub(super) fn run(&mut self, mut command: Command) -> Result<()> {
        self.say(&shown(&command))?;
        let status = command.status().with_context(|| shown(&command))?;
        ensure!(status.success(), "`{}` failed", shown(&command));
        Ok(())
    }

    /// What a command writes to its standard output.
    pub(super) fn output(&self, mut command: Command) -> Result<Vec<u8>> {
        let output = command.stderr(Stdio::inherit()).output();
        let output = output.with_context(|| shown(&command))?;
        ensure!(output.status.success(), "`{}` failed", shown(&command));
        Ok(output.stdout)
    }

    /// What cargo says about the workspace.
    pub(super) fn metadata(&self) -> Result<Value> {
        let metadata = self.output(self.cargo("metadata --no-deps --format-version 1"))?;
        Ok(serde_json::from_slice(&metadata)?)
    }

    /// The program under test, built as the tests are: in their profile, and beside examples, whose
    /// dependencies have the features that the tests' have. So nothing is built twice. This program
    /// is left out, as it runs.
    pub(super) fn program(&mut self) -> Result<PathBuf> {
        let build = "build --locked --workspace --exclude xtask --profile test --bins --examples";
        self.run(self.cargo(build))?;
        let metadata = self.metadata()?;
        let target = metadata.get("target_directory").and_then(Value::as_str);
        Ok(Path::new(target.context("cargo names no target directory")?).join("debug/tidings"))
    }

    /// Like [`Shell::run`], and counts what the test runner says of its tests.
    pub(super) fn test(&mut self, runner: Runner, mut command: Command) -> Result<()> {
        self.say(&shown(&command))?;
        let what = shown(&command);
        // One pipe for both, so that their order stays.
        let (reader, writer) = io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn().with_context(|| what.clone())?;
        // It holds the pipe's other end.
        drop(command);
        let lines = read_lines(reader);
        let mut tally = Tally::default();
        loop {
            match lines.recv_timeout(LINGER) {
                Ok(line) => {
                    self.say(&line)?;
                    tally.read(runner, &line);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if child.try_wait()?.is_some() => {
                    self.note("a process that a test started outlives it");
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let status = child.wait()?;
        // One that did not build, or crashed, counted nothing.
        if !status.success() && tally.failed == 0 {
            tally.failed = 1;
        }
        self.tally.add(&tally);
        if !status.success() {
            bail!("`{what}` failed: {} passed, {} failed", tally.passed, tally.failed);
        }
        self.note(&format!("{} passed", tally.passed));
        Ok(())
    }
}

fn read_lines(reader: PipeReader) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    lines
}

/// A command as one would type it.
fn shown(command: &Command) -> String {
    let name = |program: &std::ffi::OsStr| match Path::new(program).file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => program.to_string_lossy().into_owned(),
    };
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    let words: Vec<String> = [name(command.get_program())].into_iter().chain(arguments).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(shell: &Shell, script: &str) -> Command {
        let mut command = shell.command("sh", "-c");
        command.arg(script);
        command
    }

    #[test]
    fn counts_what_runners_say_on_either_output() {
        let mut shell = Shell::new(Box::new(io::sink())).unwrap();
        let result = "test result: ok. 2 passed; 0 failed; 0 ignored";
        let script = format!("echo '{result}'; echo '{result}' >&2");
        shell.test(Runner::Cargo, sh(&shell, &script)).unwrap();
        let (tally, notes) = shell.take_findings();
        assert_eq!((tally.passed, tally.failed), (4, 0));
        assert_eq!(notes, ["4 passed"]);
    }

    #[test]
    fn a_runner_that_dies_without_a_word_failed() {
        let mut shell = Shell::new(Box::new(io::sink())).unwrap();
        assert!(shell.test(Runner::Cargo, sh(&shell, "exit 3")).is_err());
        assert_eq!(shell.take_findings().0.failed, 1);
    }

    #[test]
    fn does_not_wait_for_what_a_test_left_behind() {
        let mut shell = Shell::new(Box::new(io::sink())).unwrap();
        shell.test(Runner::Cargo, sh(&shell, "sleep 30 & exit 0")).unwrap();
        assert!(shell.take_findings().1.concat().contains("outlives"));
    }
}

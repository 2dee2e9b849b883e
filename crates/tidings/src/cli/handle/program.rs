use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use bytes::Bytes;
use client::HandlerCall;
use protocol::{Error, ErrorCode};
use rustix::process::{Pid, Signal, kill_process};

use crate::cli::failure::{Failure, Result};

/// Largest output of a program, in bytes: no server takes a larger message.
const OUTPUT_BYTES_MAX: u64 = 64 << 20;
/// How much of the end of standard error is kept, in bytes.
const STDERR_BYTES: usize = 4 << 10;
/// Longest message of an error, in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 10;

/// A program that is run for each command.
pub(super) struct Program {
    name: String,
    arguments: Vec<String>,
    timeout: Duration,
}

impl Program {
    /// Looks whether it is there.
    pub(super) fn new(words: &[String], timeout: Duration) -> Result<Self> {
        let Some((name, arguments)) = words.split_first() else {
            return Err(Failure::usage("name a program behind `--`"));
        };
        let is_there = if name.contains('/') {
            Path::new(name).is_file()
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
        };
        if !is_there {
            return Err(Failure::usage(format!("there is no program `{name}`")));
        }
        Ok(Self { name: name.clone(), arguments: arguments.to_vec(), timeout })
    }

    /// Runs it for a command, on this thread.
    pub(super) fn run(&self, call: &HandlerCall) -> std::result::Result<Bytes, Error> {
        let mut command = Command::new(&self.name);
        command.args(&self.arguments).env("TIDINGS_COMMAND", call.command.as_str());
        command.env("TIDINGS_USER", call.user.as_deref().unwrap_or_default());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn();
        let child = child.map_err(|error| failed(&format!("it cannot be started: {error}")))?;
        let Done { status, stdout, stderr, is_late } = self.wait(child, call.data.clone())?;
        if is_late {
            return Err(failed(&format!("it took longer than {:?} and was killed", self.timeout)));
        }
        if !status.success() {
            let last = String::from_utf8_lossy(&stderr);
            let last = last.lines().rev().map(str::trim).find(|line| !line.is_empty());
            return Err(failed(last.unwrap_or(&status.to_string())));
        }
        if stdout.len() as u64 > OUTPUT_BYTES_MAX {
            return Err(failed("it wrote more than any result may have"));
        }
        let text = stdout.trim_ascii();
        if text.is_empty() {
            return Ok(Bytes::from_static(b"null"));
        }
        match serde_json::from_slice::<&serde_json::value::RawValue>(text) {
            Ok(_) => Ok(Bytes::copy_from_slice(text)),
            Err(_) => Err(failed("it wrote something that is not JSON")),
        }
    }

    /// Feeds it and takes what it writes, all at the same time, for none of the pipes holds much.
    fn wait(&self, mut child: Child, data: Bytes) -> std::result::Result<Done, Error> {
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let feeding = spawn(move || {
            // A program need not read what it is given.
            let _ = stdin.map(|mut stdin| stdin.write_all(&data));
        });
        let stderr = child.stderr.take().map(|stderr| spawn(move || end_of(stderr)));
        let (done, watch) = self.watch(&child);
        let mut written = Vec::new();
        if let Some(stdout) = stdout {
            // One byte more than may be shows that there are too many.
            let _ = stdout.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut written);
        }
        // The watch ends before the process is collected: its number is its own until then.
        let exited = wait_without_collecting(&child);
        drop(done);
        let is_late = watch.join().unwrap_or(false);
        let status = child.wait();
        let _ = feeding.join();
        let stderr = stderr.and_then(|stderr| stderr.join().ok()).unwrap_or_default();
        let status = exited.and(status);
        let status = status.map_err(|error| failed(&format!("it is lost: {error}")))?;
        Ok(Done { status, stdout: written, stderr, is_late })
    }

    /// Kills the process when its time is over, unless that is called off by dropping the sender.
    /// Whether it did.
    fn watch(&self, child: &Child) -> (Sender<()>, JoinHandle<bool>) {
        let (done, over) = channel::<()>();
        let (timeout, id) = (self.timeout, i32::try_from(child.id()).ok().and_then(Pid::from_raw));
        let watch = spawn(move || {
            let is_over = over.recv_timeout(timeout);
            let is_late = is_over == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
            if let Some(id) = id.filter(|_| is_late) {
                let _ = kill_process(id, Signal::KILL);
            }
            is_late
        });
        (done, watch)
    }
}

/// What became of a run.
struct Done {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    is_late: bool,
}

/// Waits until the process has exited, and leaves it to be collected.
fn wait_without_collecting(child: &Child) -> std::io::Result<()> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let id = id.ok_or(std::io::ErrorKind::NotFound)?;
    loop {
        match waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Err(rustix::io::Errno::INTR) => {}
            waited => return waited.map(drop).map_err(Into::into),
        }
    }
}

/// Reads to the end and keeps the last bytes.
fn end_of(mut from: impl Read) -> Vec<u8> {
    let (mut kept, mut part) = (Vec::new(), [0; 1024]);
    while let Ok(count @ 1..) = from.read(&mut part) {
        kept.extend_from_slice(part.get(..count).unwrap_or_default());
        if kept.len() > 2 * STDERR_BYTES {
            kept.drain(..kept.len() - STDERR_BYTES);
        }
    }
    kept
}

/// The program could not do it.
pub(super) fn failed(why: &str) -> Error {
    let end = why.floor_char_boundary(MESSAGE_BYTES_MAX);
    Error::new(ErrorCode::CommandFailed, why.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use protocol::Topic;

    use super::*;

    fn run(script: &str, data: &str) -> std::result::Result<String, String> {
        run_for(script, data, Duration::from_secs(60))
    }

    fn run_for(script: &str, data: &str, time: Duration) -> std::result::Result<String, String> {
        let words = ["sh", "-c", script].map(str::to_owned);
        let program = Program::new(&words, time).unwrap();
        let (command, data) = (Topic::parse("a.b").unwrap(), Bytes::from(data.to_owned()));
        let result = program.run(&HandlerCall { command, data, user: Some("ada".into()) });
        result.map(|text| String::from_utf8(text.to_vec()).unwrap()).map_err(|error| error.message)
    }

    #[test]
    fn json_goes_in_and_comes_out() {
        assert_eq!(run("cat", "{\"a\": 1}"), Ok("{\"a\": 1}".into()));
        assert_eq!(run("true", "1"), Ok("null".into()));
        let told = run("printf '[\"%s\",\"%s\"]' $TIDINGS_COMMAND $TIDINGS_USER", "1");
        assert_eq!(told, Ok("[\"a.b\",\"ada\"]".into()));
        // More than pipes hold, both ways, and not read.
        let large = format!("\"{}\"", "x".repeat(1 << 20));
        assert_eq!(run("cat", &large), Ok(large.clone()));
        assert_eq!(run("echo 1", &large), Ok("1".into()));
    }

    #[test]
    fn what_goes_wrong_is_told() {
        let script = "echo first >&2; echo 'no disk left' >&2; echo >&2; exit 3";
        assert_eq!(run(script, "1"), Err("no disk left".into()));
        assert!(run("exit 3", "1").unwrap_err().contains('3'));
        assert_eq!(run("echo hello", "1"), Err("it wrote something that is not JSON".into()));
        let late = run_for("exec sleep 60", "1", Duration::from_millis(10));
        assert_eq!(late, Err("it took longer than 10ms and was killed".into()));
        let much = "head -c 200000 /dev/zero >&2; echo >&2; echo end >&2; exit 1";
        assert_eq!(run(much, "1"), Err("end".into()));
    }
}

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tidings_tests::harness::SOON;
use tidings_tests::harness::server::{program, temporary_directory};

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    /// Standard output of a run that must have done what was asked.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// Standard output as a JSON object per line, of a run that must have done what was asked.
    #[track_caller]
    pub(crate) fn json(self) -> Vec<Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// Standard error of a run that must have ended with `code` and must say all of `words`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in {self:?}");
        }
        self.err
    }
}

/// The program while it runs. It is gone when this is dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<Vec<u8>>,
    err: Arc<Mutex<Vec<u8>>>,
    err_reader: Option<JoinHandle<()>>,
}

/// The program, in a directory that has no configuration, with none of the caller's settings.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDINGS_") {
            command.env_remove(name);
        }
    }
    let nowhere = "/";
    command.args(args).current_dir(nowhere).stdin(Stdio::null());
    command
}

/// Runs the program to its end.
#[track_caller]
pub(crate) fn run(args: &[&str]) -> Outcome {
    Running::start(command(args)).finish()
}

/// Runs the program to its end with something to read.
#[track_caller]
pub(crate) fn run_with_input(args: &[&str], input: &[u8]) -> Outcome {
    let mut command = command(args);
    command.stdin(Stdio::piped());
    let mut running = Running::start(command);
    let mut stdin = running.child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may end before it has read all.
    std::thread::spawn(move || drop(stdin.write_all(&input)));
    running.finish()
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (tell, lines) = channel();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while out.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                if tell.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        let err: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut from, gathered) = (child.stderr.take().unwrap(), err.clone());
        let err_reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut part) {
                gathered.lock().unwrap().extend_from_slice(&part[..count]);
            }
        });
        Self { child, lines, err, err_reader: Some(err_reader) }
    }

    /// The next line of standard output, without its end.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        match self.lines.recv_timeout(SOON) {
            Ok(line) => String::from_utf8(line).unwrap().trim_end_matches('\n').to_owned(),
            Err(error) => panic!("no line ({error}): {}", self.err()),
        }
    }

    /// The next line as JSON.
    #[track_caller]
    pub(crate) fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Its standard input, where it is a pipe.
    pub(crate) fn stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Standard error so far.
    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.err.lock().unwrap()).into_owned()
    }

    /// Waits until standard error says something.
    #[track_caller]
    pub(crate) fn says(&self, word: &str) {
        until(word, || self.err().contains(word));
    }

    /// Sends a signal, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Outcome {
        let mut out = Vec::new();
        loop {
            match self.lines.recv_timeout(SOON) {
                Ok(line) => out.extend_from_slice(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {}", self.err()),
            }
        }
        let mut code = None;
        until("the end", || {
            let status = self.child.try_wait().unwrap();
            code = status.and_then(|status| status.code());
            status.is_some()
        });
        if let Some(reader) = self.err_reader.take() {
            reader.join().unwrap();
        }
        Outcome { code, out: String::from_utf8_lossy(&out).into_owned(), err: self.err() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < SOON, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A server of the program, on free ports, and the commands that talk to it.
pub(crate) struct Server {
    pub(crate) process: Running,
    pub(crate) public: String,
    pub(crate) admin: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// With more arguments of `serve`.
    #[track_caller]
    pub(crate) fn with(args: &[&str]) -> Self {
        Self::at("127.0.0.1:0", "127.0.0.1:0", args)
    }

    /// On given addresses.
    #[track_caller]
    pub(crate) fn at(public: &str, admin: &str, args: &[&str]) -> Self {
        let first = ["serve", "--json", "--listen", public, "--admin", admin];
        let mut process = Running::start(command(&[&first, args].concat()));
        let urls = process.json();
        let url = |side: &str| urls[side].as_str().unwrap().to_owned();
        Self { process, public: url("public"), admin: url("admin") }
    }

    /// A command that talks to this server.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = command(args);
        command.env("TIDINGS_URL", &self.public).env("TIDINGS_ADMIN_URL", &self.admin);
        command
    }

    /// Runs such a command to its end.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        Running::start(self.command(args)).finish()
    }

    /// The same with something to read.
    #[track_caller]
    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Outcome {
        let servers = ["--url", &self.public, "--admin-url", &self.admin];
        run_with_input(&[args, &servers].concat(), input)
    }

    /// Publishes an event.
    #[track_caller]
    pub(crate) fn publish(&self, topic: &str, data: &str) {
        self.run(&["publish", topic, data]).ok();
    }

    /// Starts `subscribe` and waits until it is one.
    #[track_caller]
    pub(crate) fn subscribe(&self, args: &[&str]) -> Running {
        let before = self.connections().len();
        let running = Running::start(self.command(&[&["subscribe"], args].concat()));
        until("a subscription", || {
            let found = self.connections();
            let is_one =
                |one: &Value| one["subscriptions"].as_array().is_some_and(|s| !s.is_empty());
            found.len() > before && found.iter().all(is_one)
        });
        running
    }

    /// Who is connected.
    #[track_caller]
    pub(crate) fn connections(&self) -> Vec<Value> {
        self.run(&["connections", "--json"]).json()
    }

    /// Ends the server as an operator would, and starts another in its place.
    #[track_caller]
    pub(crate) fn restart(self) -> Self {
        self.restart_with(|| {})
    }

    /// The same, and does something while none is there.
    #[track_caller]
    pub(crate) fn restart_with(self, meanwhile: impl FnOnce()) -> Self {
        let address = |url: &str| url.strip_prefix("http://").unwrap().to_owned();
        let (public, admin) = (address(&self.public), address(&self.admin));
        self.end().ok();
        meanwhile();
        Self::at(&public, &admin, &[])
    }

    /// Ends the server as an operator would.
    #[track_caller]
    pub(crate) fn end(self) -> Outcome {
        self.process.signal("TERM");
        self.process.finish()
    }
}

/// A file in a directory of its own; both are gone when this is dropped.
pub(crate) struct File {
    path: PathBuf,
    _directory: TempDir,
}

impl Deref for File {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

/// Writes a file.
pub(crate) fn file(name: &str, contents: &[u8]) -> File {
    let directory = temporary_directory();
    let path = directory.path().join(name);
    std::fs::write(&path, contents).unwrap();
    File { path, _directory: directory }
}

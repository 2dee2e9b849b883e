//! Runs the Autobahn suite against the echo server of the tests, on the loopback address.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

/// The longest that one group may take; the slowest takes a tenth of it on two cores.
const GROUP_TIME_MAX: Duration = Duration::from_secs(1200);

const AGENT: &str = "tidings";

/// Cases that are run in one go, each in a fresh process of the suite: some groups take hundreds
/// of megabytes, which it does not give back.
#[derive(Clone, Copy)]
struct Group {
    name: &'static str,
    patterns: &'static [&'static str],
    cases: usize,
}

const GROUPS: [Group; 14] = [
    Group {
        name: "core",
        patterns: &["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"],
        cases: 247,
    },
    Group { name: "9", patterns: &["9.*"], cases: 54 },
    compression("12.1", &["12.1.*"]),
    compression("12.2", &["12.2.*"]),
    compression("12.3", &["12.3.*"]),
    compression("12.4", &["12.4.*"]),
    compression("12.5", &["12.5.*"]),
    compression("13.1", &["13.1.*"]),
    compression("13.2", &["13.2.*"]),
    compression("13.3", &["13.3.*"]),
    compression("13.4", &["13.4.*"]),
    compression("13.5", &["13.5.*"]),
    compression("13.6", &["13.6.*"]),
    compression("13.7", &["13.7.*"]),
];

const fn compression(name: &'static str, patterns: &'static [&'static str]) -> Group {
    Group { name, patterns, cases: 18 }
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let groups = choose(arguments)?;
    // As cargo says now: clones that share a target directory share this program too.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run this by `cargo xtask`")?;
    let repository = Path::new(&manifest).parent().context("no repository")?;
    let home = repository.join("build/autobahn");
    install(repository, &home)?;
    let server = EchoServer::start(repository)?;

    let reports = home.join("reports");
    if reports.exists() {
        fs::remove_dir_all(&reports)?;
    }
    fs::create_dir_all(&reports)?;
    let mut tally = Tally::default();
    for group in &groups {
        let began = Instant::now();
        let before = tally.cases();
        run_group(&home, &reports, &server.url, group)?;
        tally.read(&reports.join(group.name).join("index.json"));
        let cases = tally.cases() - before;
        eprintln!("{}: {cases} cases in {} s", group.name, began.elapsed().as_secs());
    }
    tally.judge(groups.iter().map(|group| group.cases).sum())
}

fn choose(arguments: &[String]) -> Result<Vec<Group>> {
    if arguments.is_empty() {
        return Ok(GROUPS.iter().take(2).copied().collect());
    }
    if arguments.iter().any(|name| name == "all") {
        return Ok(GROUPS.to_vec());
    }
    let find = |name: &String| {
        let group = GROUPS.iter().find(|group| group.name == name).copied();
        group.with_context(|| format!("there is no group `{name}`"))
    };
    arguments.iter().map(find).collect()
}

fn install(repository: &Path, home: &Path) -> Result<()> {
    let script = repository.join("xtask/autobahn-install.sh");
    let status = Command::new("bash").arg(script).arg(home).status().context("cannot run bash")?;
    ensure!(status.success(), "the suite could not be installed");
    Ok(())
}

/// The server under test; stopped when it goes out of scope.
struct EchoServer {
    process: Child,
    url: String,
}

impl EchoServer {
    fn start(repository: &Path) -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(&cargo);
        build.current_dir(repository).args(["build", "--release", "--quiet"]);
        build.args(["--package", "tidings-tests", "--bin", "echo_server"]);
        build.args(["--message-format", "json-render-diagnostics"]);
        let built = build.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
        ensure!(built.status.success(), "the echo server does not build");
        let binary = executable(&built.stdout).context("cargo names no executable")?;

        let mut process = Command::new(binary).stdout(Stdio::piped()).spawn()?;
        let output = process.stdout.take().context("the echo server has no output")?;
        let mut server = Self { process, url: String::new() };
        BufReader::new(output).read_line(&mut server.url)?;
        server.url.truncate(server.url.trim_end().len());
        ensure!(server.url.starts_with("ws://"), "the echo server does not listen");
        Ok(server)
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        // It may have ended by itself, and then the cases have failed and said so.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The path of the binary in cargo's messages, wherever its target directory is.
fn executable(messages: &[u8]) -> Option<PathBuf> {
    let messages = messages.split(|byte| *byte == b'\n');
    let messages = messages.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    messages
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .next_back()
}

fn run_group(home: &Path, reports: &Path, url: &str, group: &Group) -> Result<()> {
    let spec = json!({
        "outdir": reports.join(group.name),
        "servers": [{"agent": AGENT, "url": url, "options": {"version": 18}}],
        "cases": group.patterns,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    let spec_path = reports.join(format!("{}.json", group.name));
    fs::write(&spec_path, spec.to_string())?;
    let log = File::create(reports.join(format!("{}.log", group.name)))?;

    let root = home.join("root/usr");
    let libraries = format!(
        "{lib}:{lib}/{arch}-linux-gnu",
        lib = root.join("lib").display(),
        arch = std::env::consts::ARCH
    );
    let mut suite = Command::new(root.join("bin/pypy"))
        .env("PYTHONPATH", home.join("site"))
        .env("LD_LIBRARY_PATH", libraries)
        // Else the collector of a 64-bit PyPy takes most of a small machine's memory.
        .env("PYPY_GC_MAX", "2GB")
        .arg(home.join("site/bin/wstest"))
        .args(["-m", "fuzzingclient", "-s"])
        .arg(&spec_path)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot run the suite")?;
    let deadline = Instant::now() + GROUP_TIME_MAX;
    while suite.try_wait()?.is_none() {
        if Instant::now() > deadline {
            suite.kill()?;
            suite.wait()?;
            bail!("group {} took more than {} s", group.name, GROUP_TIME_MAX.as_secs());
        }
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// What the suite's reports say, by their own words for it.
#[derive(Default)]
struct Tally {
    behaviors: BTreeMap<String, usize>,
    bad: Vec<String>,
}

impl Tally {
    fn cases(&self) -> usize {
        self.behaviors.values().sum()
    }

    /// A report that is missing is noticed by the number of cases.
    fn read(&mut self, report: &Path) {
        let report = fs::read(report).unwrap_or_default();
        let report: Value = serde_json::from_slice(&report).unwrap_or_default();
        let cases = report.get(AGENT).and_then(Value::as_object);
        for (case, result) in cases.into_iter().flatten() {
            let field = |name| result.get(name).and_then(Value::as_str).unwrap_or("MISSING");
            let (behavior, close) = (field("behavior"), field("behaviorClose"));
            *self.behaviors.entry(behavior.to_owned()).or_default() += 1;
            let good = |behavior| matches!(behavior, "OK" | "INFORMATIONAL");
            if !good(behavior) || !good(close) {
                self.bad.push(format!("{case}: {behavior}, close {close}"));
            }
        }
    }

    fn judge(self, expected: usize) -> Result<()> {
        let mut out = std::io::stdout();
        for bad in &self.bad {
            writeln!(out, "BAD {bad}")?;
        }
        // OK first, and the rest by how often they came.
        let mut behaviors: Vec<_> = self.behaviors.iter().collect();
        behaviors.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let behaviors: Vec<String> =
            behaviors.iter().map(|(behavior, count)| format!("'{behavior}': {count}")).collect();
        let cases = self.cases();
        writeln!(out, "{cases} of {expected} {{{}}}", behaviors.join(", "))?;
        ensure!(self.bad.is_empty(), "{} cases are not as they must be", self.bad.len());
        ensure!(cases == expected, "cases are missing");
        Ok(())
    }
}

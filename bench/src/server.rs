use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const CONFIG: &str = "\
[listen]
public = \"127.0.0.1:0\"
admin = \"127.0.0.1:0\"
[log]
level = \"warn\"
[limits]
publish_events = 10000
[auth.roles.anonymous]
subscribe = [\">\"]
publish = [\">\"]
[[stream]]
name = \"bench\"
topics = [\"bench.>\"]
retain = { count = 1_000_000, bytes = \"1GiB\" }
";

/// Half seconds without a change after which memory counts as settled: longer than the ten seconds
/// after which the allocator gives back what is free.
const STILL_TURNS: u32 = 24;

/// Clock ticks per second that the kernel counts CPU time in, on every Linux that matters.
const TICKS_PER_SECOND: f64 = 100.0;

/// The server under test.
pub(crate) struct Server {
    child: Child,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Server {
    pub(crate) fn start(binary: &Path, pin: Option<usize>) -> Result<Self> {
        let config =
            std::env::temp_dir().join(format!("tidings-bench-{}.toml", std::process::id()));
        fs::write(&config, CONFIG)?;
        let mut command = match pin {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.arg("-c").arg(core.to_string()).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command.args(["serve", "--json", "--config"]).arg(&config).stdout(Stdio::piped());
        let mut child =
            command.spawn().with_context(|| format!("starting {}", binary.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the server's output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let _ = fs::remove_file(&config);
        let urls: serde_json::Value = serde_json::from_str(&line)
            .with_context(|| format!("the server said {line:?} instead of its URLs"))?;
        let address = |name: &str| -> Result<SocketAddr> {
            let url = urls.get(name).and_then(|url| url.as_str()).context("a URL")?;
            Ok(url.trim_start_matches("http://").trim_end_matches('/').parse()?)
        };
        let (public, admin) = (address("public")?, address("admin")?);
        Ok(Self { child, public, admin })
    }

    /// CPU time of all its threads, user and system (proc(5)).
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name may contain spaces; what is behind it does not.
        let (_, fields) = stat.rsplit_once(')').context("stat")?;
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
        Ok(Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND))
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// Waits until its memory is what it stays: an allocator gives back only after a while.
    pub(crate) fn settled_bytes(&self) -> Result<u64> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let (mut last, mut still) = (self.resident_bytes()?, 0);
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let now = self.resident_bytes()?;
            still = if now.abs_diff(last) < 64 << 10 { still + 1 } else { 0 };
            if still >= STILL_TURNS {
                return Ok(now);
            }
            if Instant::now() > deadline {
                bail!("the server's memory does not settle");
            }
            last = now;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

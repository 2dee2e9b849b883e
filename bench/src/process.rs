use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const START_DEADLINE: Duration = Duration::from_secs(20);
/// Half seconds without a change after which memory counts as settled: longer than the ten seconds
/// after which some allocators give back what is free.
const STILL_TURNS: u32 = 24;
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);
/// Clock ticks per second that the kernel counts CPU time in, on every Linux that matters.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server under test. It is gone when this is dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a server and waits until it takes connections at all of `addresses`.
    pub(crate) fn start(mut command: Command, addresses: &[SocketAddr]) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let mut process = Self { child };
        let started = Instant::now();
        for address in addresses {
            while TcpStream::connect(address).is_err() {
                if let Some(status) = process.child.try_wait()? {
                    bail!("the server ended at once, {status}");
                }
                if started.elapsed() > START_DEADLINE {
                    bail!("nothing listens at {address}");
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(process)
    }

    /// The process and its descendants.
    fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.child.id()];
        let mut at = 0;
        while let Some(id) = tree.get(at).copied() {
            let path = format!("/proc/{id}/task/{id}/children");
            let children = fs::read_to_string(path).unwrap_or_default();
            tree.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            at += 1;
        }
        tree
    }

    /// CPU time of all threads of all its processes, user and system (proc(5)).
    pub(crate) fn cpu(&self) -> Duration {
        self.tree().into_iter().filter_map(|id| ticks(&format!("/proc/{id}/stat"))).sum()
    }

    /// CPU time of each thread, the busiest first.
    pub(crate) fn cpu_of_threads(&self) -> Vec<Duration> {
        let mut times: Vec<Duration> = Vec::new();
        for id in self.tree() {
            let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else { continue };
            let stats = threads.flatten().map(|thread| thread.path().join("stat"));
            times.extend(stats.filter_map(|stat| ticks(&stat.to_string_lossy())));
        }
        times.sort_unstable_by(|a, b| b.cmp(a));
        times
    }

    /// Resident memory of all its processes, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let resident = |id: u32| -> Option<u64> {
            let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
        };
        self.tree().into_iter().filter_map(resident).sum()
    }

    /// Waits until its memory is what it stays: an allocator gives back only after a while.
    pub(crate) fn settled_bytes(&self, mut meanwhile: impl FnMut() -> Result<()>) -> Result<u64> {
        let deadline = Instant::now() + SETTLE_DEADLINE;
        let (mut last, mut still) = (self.resident_bytes(), 0);
        while still < STILL_TURNS && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(500));
            meanwhile()?;
            let now = self.resident_bytes();
            still = if now.abs_diff(last) < 64 << 10 { still + 1 } else { 0 };
            last = now;
        }
        Ok(last)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let descendants = self.tree();
        for id in descendants.iter().rev() {
            if let Some(id) = i32::try_from(*id).ok().and_then(rustix::process::Pid::from_raw) {
                // It may have ended by itself.
                let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }
}

fn ticks(path: &str) -> Option<Duration> {
    let stat = fs::read_to_string(path).ok()?;
    // The name may contain spaces; what is behind it does not.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    Some(Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND))
}

/// CPU time of this process.
pub(crate) fn own_cpu() -> Duration {
    ticks("/proc/self/stat").unwrap_or_default()
}

/// An address of the loopback interface that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

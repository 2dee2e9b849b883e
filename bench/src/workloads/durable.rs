//! Publishers that wait until the disk has their events, beside a loop that only appends and syncs.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::json;

use crate::load::frames;
use crate::load::publisher::{converse, say};
use crate::machine;
use crate::process::{Process, free_address};

/// Publishes from many connections, each event synced before it is acknowledged.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Connections that publish, each one event after the other.
    #[arg(long, default_value_t = 64)]
    publishers: usize,
    /// Bytes of an event's data.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// How often server and loop are measured, in turn; figures are medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each is measured.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Where the results go, and the files that are written: its disk is what is measured.
    #[arg(long, default_value = "build/bench")]
    output: PathBuf,
    /// The binary to measure.
    #[arg(long, default_value = "target/release/tidings")]
    binary: PathBuf,
}

/// Bytes of a record besides its data: what Tidings writes for an event of this topic.
const RECORD_BYTES: usize = 57;

struct Round {
    per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
}

#[expect(clippy::print_stdout, reason = "results")]
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let time = Duration::from_secs(arguments.seconds);
    fs::create_dir_all(&arguments.output)?;
    let (mut served, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let directory = tempfile::tempdir_in(&arguments.output)?;
        bare.push(append_and_sync(directory.path(), arguments, time)?);
        served.push(serve(directory.path(), arguments, time)?);
    }
    // Of neighbours in time: a disk that others use as well changes from one second to the next.
    let pairs = served.iter().zip(&bare);
    let mut ratios: Vec<f64> = pairs.map(|(served, bare)| served.per_s / bare.per_s).collect();
    ratios.sort_by(f64::total_cmp);
    let (served, bare) = (median(&mut served), median(&mut bare));
    let show = |name: &str, round: &Round| {
        let Round { per_s, p50_ms, p99_ms } = round;
        println!("{name}: {per_s:.0} events/s, p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms");
    };
    show("Tidings, fsync", &served);
    show("bare append and fdatasync", &bare);
    let shown: Vec<String> = ratios.iter().map(|ratio| format!("{:.0}", ratio * 100.0)).collect();
    println!("of the bare loop Tidings reaches, round by round: {} %", shown.join(", "));
    let figures = |round: &Round| json!({ "events_per_s": round.per_s, "p50_ms": round.p50_ms, "p99_ms": round.p99_ms });
    let results = json!({
        "machine": machine::describe(),
        "publishers": arguments.publishers,
        "bytes": arguments.bytes,
        "tidings": figures(&served),
        "floor": figures(&bare),
        "ratios": ratios,
    });
    fs::write(arguments.output.join("durable.json"), format!("{results:#}\n"))?;
    Ok(())
}

fn median(rounds: &mut Vec<Round>) -> Round {
    rounds.sort_by(|a, b| a.per_s.total_cmp(&b.per_s));
    rounds.swap_remove(rounds.len() / 2)
}

/// Batches of one event from each publisher, appended and synced: the largest that publishers who
/// wait can make. Those of the server are whatever waited, and smaller.
fn append_and_sync(directory: &Path, arguments: &Arguments, time: Duration) -> Result<Round> {
    let mut file = File::create(directory.join("bare"))?;
    let batch = vec![b'x'; arguments.publishers * (arguments.bytes + RECORD_BYTES)];
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < time {
        let batch_begun = Instant::now();
        file.write_all(&batch)?;
        file.sync_data()?;
        times.push(batch_begun.elapsed());
    }
    Ok(round(&mut times, arguments.publishers, begun.elapsed()))
}

fn serve(directory: &Path, arguments: &Arguments, time: Duration) -> Result<Round> {
    let (clients, admin) = (free_address()?, free_address()?);
    let config = format!(
        "[listen]\npublic = \"{clients}\"\nadmin = \"{admin}\"\n[log]\nlevel = \"error\"\n\
         [auth.roles.anonymous]\npublish = [\">\"]\n\
         [[stream]]\nname = \"bench\"\ntopics = [\"bench.>\"]\ndurability = \"fsync\"\n"
    );
    let file = directory.join("tidings.toml");
    fs::write(&file, config)?;
    let mut command = Command::new(std::path::absolute(&arguments.binary)?);
    command.args(["serve", "--config"]).arg(file).arg("--data").arg(directory.join("data"));
    let _server = Process::start(command, &[clients, admin])?;
    let data = vec![b'1'; arguments.bytes];
    let begun = Instant::now();
    let publishers: Vec<_> = (0..arguments.publishers)
        .map(|_| {
            let data = data.clone();
            std::thread::spawn(move || publish(clients, &data, begun + time))
        })
        .collect();
    let mut times = Vec::new();
    for publisher in publishers {
        times.extend(publisher.join().map_err(|_| anyhow!("a publisher panicked"))??);
    }
    Ok(round(&mut times, 1, time))
}

/// Publishes one event after the other; how long each acknowledgement took.
fn publish(address: SocketAddr, data: &[u8], until: Instant) -> Result<Vec<Duration>> {
    let request = frames::request("/v1/ws", "");
    let mut socket: TcpStream = converse(address, &request, b"\"welcome\"")?;
    let mut message = b"{\"id\":1,\"publish\":{\"topic\":\"bench.t0\",\"data\":".to_vec();
    message.extend_from_slice(data);
    message.extend_from_slice(b"}}");
    let mut frame = Vec::new();
    frames::push(frames::TEXT, &message, &mut frame);
    let mut times = Vec::new();
    while Instant::now() < until {
        let begun = Instant::now();
        say(&mut socket, &frame, b"\"durability\":\"fsync\"}}")?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

fn round(times: &mut [Duration], events_each: usize, time: Duration) -> Round {
    times.sort_unstable();
    let at = |part: f64| {
        let place = (times.len().saturating_sub(1) as f64 * part) as usize;
        times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    let per_s = (times.len() * events_each) as f64 / time.as_secs_f64();
    Round { per_s, p50_ms: at(0.5), p99_ms: at(0.99) }
}

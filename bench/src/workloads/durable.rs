//! Publishers that wait until the disk has their events, beside a bare loop that only appends and
//! syncs for as many producers within its process.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::json;

use crate::load::frames;
use crate::load::publisher::converse;
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

/// What the bare loop reached, and what one sync and batch of it were.
struct Bare {
    round: Round,
    sync_p50_ms: f64,
    batch: f64,
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
    let pairs = || served.iter().zip(&bare);
    let rates = sorted(pairs().map(|(served, bare)| served.per_s / bare.round.per_s));
    let waits = sorted(pairs().map(|(served, bare)| served.p99_ms / bare.sync_p50_ms));
    let batch = median(&sorted(bare.iter().map(|bare| bare.batch)));
    let sync_ms = median(&sorted(bare.iter().map(|bare| bare.sync_p50_ms)));
    let (served, bare) = (typical(served), typical(bare.into_iter().map(|bare| bare.round)));
    let show = |name: &str, round: &Round| {
        let Round { per_s, p50_ms, p99_ms } = round;
        println!("{name}: {per_s:.0} events/s, p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms");
    };
    show("Tidings, fsync", &served);
    show("bare loop", &bare);
    println!("one fdatasync of the bare loop: p50 {sync_ms:.2} ms, of {batch:.1} events");
    let shown: Vec<String> = rates.iter().map(|ratio| format!("{:.0}", ratio * 100.0)).collect();
    println!("events of the bare loop that Tidings reaches, by round: {} %", shown.join(", "));
    let shown: Vec<String> = waits.iter().map(|ratio| format!("{ratio:.1}")).collect();
    println!("p99 of Tidings in fdatasyncs, by round: {}", shown.join(", "));
    let figures = |round: &Round| json!({ "events_per_s": round.per_s, "p50_ms": round.p50_ms, "p99_ms": round.p99_ms });
    let results = json!({
        "machine": machine::describe(),
        "publishers": arguments.publishers,
        "bytes": arguments.bytes,
        "tidings": figures(&served),
        "floor": figures(&bare),
        "floor_fdatasync_p50_ms": sync_ms,
        "floor_batch": batch,
        "ratios": rates,
        "p99_in_fdatasyncs": waits,
    });
    fs::write(arguments.output.join("durable.json"), format!("{results:#}\n"))?;
    Ok(())
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The round whose rate is in the middle.
fn typical(rounds: impl IntoIterator<Item = Round>) -> Round {
    let mut rounds: Vec<Round> = rounds.into_iter().collect();
    rounds.sort_by(|a, b| a.per_s.total_cmp(&b.per_s));
    rounds.swap_remove(rounds.len() / 2)
}

/// Serves producers that have one event outstanding each: what waits is one batch, so batches form
/// as they do in the server. An event is nothing but bytes.
fn append_and_sync(directory: &Path, arguments: &Arguments, time: Duration) -> Result<Bare> {
    let mut file = File::create(directory.join("bare"))?;
    let event = vec![b'x'; arguments.bytes + RECORD_BYTES];
    let (waiting, waited): (Sender<Sender<()>>, Receiver<Sender<()>>) = channel();
    let begun = Instant::now();
    let producers: Vec<_> = (0..arguments.publishers)
        .map(|_| {
            let waiting = waiting.clone();
            std::thread::spawn(move || produce(&waiting, begun + time))
        })
        .collect();
    drop(waiting);
    let (mut syncs, mut events) = (Vec::new(), 0);
    while let Ok(first) = waited.recv() {
        let batch: Vec<Sender<()>> = std::iter::once(first).chain(waited.try_iter()).collect();
        file.write_all(&event.repeat(batch.len()))?;
        let sync_begun = Instant::now();
        file.sync_data()?;
        syncs.push(sync_begun.elapsed());
        events += batch.len();
        for producer in batch {
            let _ = producer.send(());
        }
    }
    let mut times = Vec::new();
    for producer in producers {
        times.extend(producer.join().map_err(|_| anyhow!("a producer panicked"))?);
    }
    let batch = events as f64 / syncs.len().max(1) as f64;
    let sync_p50_ms = round(&mut syncs, time).p50_ms;
    Ok(Bare { round: round(&mut times, time), sync_p50_ms, batch })
}

/// Hands over one event after the other; how long each took.
fn produce(waiting: &Sender<Sender<()>>, until: Instant) -> Vec<Duration> {
    let (done, wait) = channel();
    let mut times = Vec::new();
    while Instant::now() < until {
        let begun = Instant::now();
        if waiting.send(done.clone()).is_err() || wait.recv().is_err() {
            break;
        }
        times.push(begun.elapsed());
    }
    times
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
    let mut times = publish(clients, arguments, time)?;
    Ok(round(&mut times, time))
}

/// A connection that publishes one event after the other.
struct Publishing {
    socket: TcpStream,
    heard: Vec<u8>,
    begun: Instant,
}

/// Publishes over all connections from one thread: waking one for each of them would cost more than
/// what the server does for an event. How long each acknowledgement took.
fn publish(clients: SocketAddr, arguments: &Arguments, time: Duration) -> Result<Vec<Duration>> {
    let request = frames::request("/v1/ws", "");
    let event = event(arguments.bytes);
    let (mut poll, mut ready) = (Poll::new()?, Events::with_capacity(arguments.publishers));
    let mut publishing = Vec::new();
    for number in 0..arguments.publishers {
        let socket = converse(clients, &request, b"\"welcome\"")?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        poll.registry().register(&mut socket, Token(number), Interest::READABLE)?;
        publishing.push(Publishing { socket, heard: Vec::new(), begun: Instant::now() });
    }
    let until = Instant::now() + time;
    for one in &mut publishing {
        one.say(&event)?;
    }
    let (mut times, mut busy) = (Vec::new(), publishing.len());
    while busy > 0 {
        poll.poll(&mut ready, None)?;
        for event_of in &ready {
            let Some(one) = publishing.get_mut(event_of.token().0) else { continue };
            let Some(took) = one.hear()? else { continue };
            times.push(took);
            if Instant::now() < until {
                one.say(&event)?;
            } else {
                busy -= 1;
            }
        }
    }
    Ok(times)
}

/// The frame that publishes an event.
fn event(bytes: usize) -> Vec<u8> {
    let mut message = b"{\"id\":1,\"publish\":{\"topic\":\"bench.t0\",\"data\":".to_vec();
    message.resize(message.len() + bytes, b'1');
    message.extend_from_slice(b"}}");
    let mut frame = Vec::new();
    frames::push(frames::TEXT, &message, &mut frame);
    frame
}

impl Publishing {
    /// Sends an event; as it waits for nothing else there is room for it.
    fn say(&mut self, event: &[u8]) -> Result<()> {
        self.begun = Instant::now();
        self.socket.write_all(event).context("publishing")
    }

    /// Reads what there is; how long the acknowledgement took, once it is there.
    fn hear(&mut self) -> Result<Option<Duration>> {
        let mut part = [0; 4096];
        loop {
            match self.socket.read(&mut part) {
                Ok(0) => bail!("the server closed: {}", String::from_utf8_lossy(&self.heard)),
                Ok(count) => self.heard.extend_from_slice(part.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("waiting for an acknowledgement"),
            }
        }
        let acknowledged = b"\"durability\":\"fsync\"}}";
        let is_whole = memchr::memmem::find(&self.heard, acknowledged).is_some();
        Ok(is_whole.then(|| {
            self.heard.clear();
            self.begun.elapsed()
        }))
    }
}

fn round(times: &mut [Duration], time: Duration) -> Round {
    times.sort_unstable();
    let at = |part: f64| {
        let place = (times.len().saturating_sub(1) as f64 * part) as usize;
        times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    let per_s = times.len() as f64 / time.as_secs_f64();
    Round { per_s, p50_ms: at(0.5), p99_ms: at(0.99) }
}

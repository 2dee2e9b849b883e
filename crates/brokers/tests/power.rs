//! A durable broker whose machine loses power, and one whose disk breaks.
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use brokers::embedded::durable::{Disk, DiskFile, Failure, MemoryDisk};
use brokers::{Embedded, Level, Options};
use bytes::Bytes;
use engine::{Broker, Retention, StreamIndex, StreamSpec, StreamTable};
use protocol::{
    Appended, Draft, Durability, Epoch, Error, ErrorCode, Mode, Pattern, Payload, StreamName, Topic,
};

const BUFFERED: StreamIndex = StreamIndex(0);
const FSYNC: StreamIndex = StreamIndex(1);

fn table() -> StreamTable {
    table_of(Durability::Fsync)
}

/// With a second stream of this durability.
fn table_of(second: Durability) -> StreamTable {
    let spec = |name: &str, durability| StreamSpec {
        name: StreamName::parse(name).unwrap(),
        topics: vec![Pattern::parse(&format!("{name}.>")).unwrap()],
        retention: Retention::default(),
        durability,
        priority: 0,
        mode: Mode::EVERY,
    };
    StreamTable::new(vec![spec("buffered", Durability::Buffered), spec("fsync", second)])
}

/// A machine: a disk, and how often it was started.
struct Machine {
    disk: MemoryDisk,
    boots: AtomicU64,
}

impl Machine {
    fn new() -> Self {
        Self { disk: MemoryDisk::default(), boots: AtomicU64::new(0) }
    }

    fn serve(&self) -> Embedded {
        self.serve_with(&table())
    }

    fn serve_with(&self, table: &StreamTable) -> Embedded {
        let boot = self.boots.load(Ordering::Relaxed).to_string();
        let options = Options { boot: Arc::new(move || boot.clone()), ..Options::default() };
        Embedded::on_disk(table, Arc::new(self.disk.clone()), &options).unwrap()
    }

    /// Power fails, while a broker runs that never learns of it.
    fn lose_power(&self, broker: Embedded) {
        // What it would still do must not reach the disk.
        self.disk.fail(Some(Failure::Write));
        std::mem::forget(broker);
        self.disk.lose_power(|| 0);
        self.boots.fetch_add(1, Ordering::Relaxed);
    }
}

fn append(broker: &Embedded, stream: StreamIndex, data: &str) -> Result<Appended, Error> {
    let name = if stream == BUFFERED { "buffered.t" } else { "fsync.t" };
    let payload = Payload::Json(Bytes::from(data.to_owned()));
    let draft = Draft::new(Topic::parse(name).unwrap(), payload);
    let (answer, answered) = channel();
    broker.append(stream, vec![draft], Box::new(move |results| answer.send(results).unwrap()));
    answered.recv_timeout(Duration::from_secs(20)).unwrap().remove(0)
}

fn state(broker: &Embedded, stream: StreamIndex) -> (Epoch, u64) {
    let state = broker.state(stream).unwrap();
    (state.epoch, state.last)
}

#[test]
fn the_epoch_changes_exactly_where_something_acknowledged_may_be_lost() {
    let machine = Machine::new();
    let broker = machine.serve();
    let (buffered, _) = state(&broker, BUFFERED);
    let (fsync, _) = state(&broker, FSYNC);
    for n in 0..5 {
        append(&broker, BUFFERED, &n.to_string()).unwrap();
        append(&broker, FSYNC, &n.to_string()).unwrap();
    }
    machine.lose_power(broker);

    let broker = machine.serve();
    assert_eq!(state(&broker, FSYNC), (fsync.clone(), 5));
    let (second, last) = state(&broker, BUFFERED);
    assert!(second != buffered && last < 5, "the epoch is {second} after {last}");
    // A clean end loses nothing, whatever comes then.
    append(&broker, BUFFERED, "1").unwrap();
    broker.close();
    machine.lose_power(broker);
    let broker = machine.serve();
    assert_eq!(state(&broker, BUFFERED), (second.clone(), last + 1));
    // Nothing was acknowledged since: nothing can be lost.
    machine.lose_power(broker);
    let broker = machine.serve();
    assert_eq!(state(&broker, BUFFERED), (second.clone(), last + 1));
    // The first event since is synced, so that its loss cannot go unnoticed; it alone is safe,
    // and nobody knows that it was alone.
    append(&broker, BUFFERED, "2").unwrap();
    machine.lose_power(broker);
    let broker = machine.serve();
    let (third, end) = state(&broker, BUFFERED);
    assert!(third != second && end == last + 2);
    assert_eq!(state(&broker, FSYNC), (fsync, 5));
}

#[test]
fn without_what_is_noted_events_are_kept_in_a_new_epoch() {
    let machine = Machine::new();
    let broker = machine.serve();
    append(&broker, FSYNC, "1").unwrap();
    let (epoch, _) = state(&broker, FSYNC);
    drop(broker);
    machine.disk.remove("state.redb").unwrap();
    let broker = machine.serve();
    let (second, last) = state(&broker, FSYNC);
    assert!(second != epoch && last == 1);
    assert_eq!(append(&broker, FSYNC, "2").unwrap().seq, 2);
}

/// A disk whose files panic when they are told to.
struct Panicking {
    inner: Arc<dyn Disk>,
    armed: Arc<AtomicBool>,
}

struct PanickingFile(Arc<dyn DiskFile>, Arc<AtomicBool>);

impl Disk for Panicking {
    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(PanickingFile(self.inner.create(name)?, self.armed.clone())))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(PanickingFile(self.inner.open(name)?, self.armed.clone())))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }
    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
    fn directory(&self, name: &str) -> io::Result<Arc<dyn Disk>> {
        let inner = self.inner.directory(name)?;
        Ok(Arc::new(Self { inner, armed: self.armed.clone() }))
    }
}

impl DiskFile for PanickingFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(bytes, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        assert!(!self.1.load(Ordering::Relaxed), "planted");
        self.0.write_at(bytes, offset)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn a_panic_in_a_writer_is_fatal_and_everybody_is_answered() {
    let armed = Arc::<AtomicBool>::default();
    let disk = Panicking { inner: Arc::new(MemoryDisk::default()), armed: armed.clone() };
    let (tell, told) = channel();
    let tell = Arc::new(parking_lot::Mutex::new(tell));
    let options = Options {
        tell: Arc::new(move |notice| drop(tell.lock().send(notice))),
        ..Options::default()
    };
    let broker = Embedded::on_disk(&table(), Arc::new(disk), &options).unwrap();
    append(&broker, FSYNC, "1").unwrap();
    armed.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        let error = append(&broker, FSYNC, "2").unwrap_err();
        assert_eq!(error.code, ErrorCode::Storage, "{error}");
    }
    let notice = told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(notice.level, Level::Fatal, "{}", notice.text);
    // What was acknowledged can still be read.
    let (answer, answered) = channel();
    broker.read(FSYNC, 0, 1000, Box::new(move |page| answer.send(page).unwrap()));
    let page = answered.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
    assert_eq!(page.scanned_to, 1);
    armed.store(false, Ordering::Relaxed);
}

#[test]
fn a_stream_that_was_in_memory_meanwhile_begins_a_new_epoch() {
    let machine = Machine::new();
    let broker = machine.serve();
    let (first, _) = state(&broker, FSYNC);
    append(&broker, FSYNC, "1").unwrap();
    broker.close();
    drop(broker);
    let broker = machine.serve_with(&table_of(Durability::Memory));
    append(&broker, FSYNC, "2").unwrap();
    drop(broker);
    let broker = machine.serve();
    let (second, last) = state(&broker, FSYNC);
    assert!(second != first, "whoever had 1 would miss 2 and not be told");
    assert_eq!(last, 1);
}

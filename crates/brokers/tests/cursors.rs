//! How far devices have acknowledged, on a machine that loses power and a disk that is full, slow
//! or broken.
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use brokers::embedded::durable::{Disk, DiskFile, Failure, MemoryDisk};
use brokers::{Embedded, Level, Notice, Options};
use bytes::Bytes;
use engine::{Broker, Cursor, Device, Retention, StreamIndex, StreamSpec, StreamTable};
use parking_lot::{Condvar, Mutex};
use protocol::{
    Appended, Draft, Durability, Error, ErrorCode, Mode, Pattern, Payload, Seq, StreamName, Topic,
};

const STREAM: StreamIndex = StreamIndex(0);
const SOON: Duration = Duration::from_secs(20);

fn table(durability: Durability) -> StreamTable {
    StreamTable::new(vec![StreamSpec {
        name: StreamName::parse("main").unwrap(),
        topics: vec![Pattern::parse(">").unwrap()],
        retention: Retention::default(),
        durability,
        priority: 0,
        mode: Mode::EVERY,
    }])
}

/// A broker of one start of the machine, and what it tells the operator.
fn serve(disk: &dyn Fn() -> Arc<dyn Disk>, boot: &str) -> (Embedded, Receiver<Notice>) {
    serve_as(disk, boot, Durability::Fsync)
}

fn serve_as(
    disk: &dyn Fn() -> Arc<dyn Disk>,
    boot: &str,
    durability: Durability,
) -> (Embedded, Receiver<Notice>) {
    let (tell, told) = channel();
    let (tell, boot) = (Mutex::new(tell), boot.to_owned());
    let options = Options {
        tell: Arc::new(move |notice| drop(tell.lock().send(notice))),
        boot: Arc::new(move || boot.clone()),
        ..Options::default()
    };
    (Embedded::on_disk(&table(durability), disk(), &options).unwrap(), told)
}

fn append(broker: &Embedded, count: usize) -> Vec<Result<Appended, Error>> {
    let payload = Payload::Json(Bytes::from_static(b"1"));
    let draft = Draft::new(Topic::parse("t").unwrap(), payload);
    let (answer, answered) = channel();
    broker.append(
        STREAM,
        vec![draft; count],
        Box::new(move |results| answer.send(results).unwrap()),
    );
    answered.recv_timeout(SOON).unwrap()
}

fn device(name: usize) -> Device {
    Device { user: None, name: name.to_string().into() }
}

/// Acknowledges, to be answered there.
fn begin(broker: &Embedded, name: usize, seq: Seq) -> Receiver<Result<Cursor, Error>> {
    let (answer, answered) = channel();
    let epoch = broker.state(STREAM).unwrap().epoch;
    let answer = Box::new(move |result| answer.send(result).unwrap());
    broker.acknowledge(STREAM, device(name), epoch, seq, answer);
    answered
}

fn acknowledge(broker: &Embedded, name: usize, seq: Seq) -> Result<Cursor, Error> {
    begin(broker, name, seq).recv_timeout(SOON).unwrap()
}

fn cursor(broker: &Embedded, name: usize) -> Option<Cursor> {
    let (answer, answered) = channel();
    broker.cursor(STREAM, device(name), Box::new(move |found| answer.send(found).unwrap()));
    answered.recv_timeout(SOON).unwrap().unwrap()
}

fn seq_of(broker: &Embedded, name: usize) -> Option<Seq> {
    cursor(broker, name).map(|cursor| cursor.seq)
}

/// Power fails, while a broker runs that never learns of it; `choose` as
/// [`MemoryDisk::lose_power`] has it.
fn lose_power(disk: &MemoryDisk, broker: Embedded, choose: impl FnMut() -> u8) {
    disk.fail(Some(Failure::Write));
    std::mem::forget(broker);
    disk.lose_power(choose);
}

#[test]
fn what_was_answered_survives_the_loss_of_power_whatever_else_reached_the_disk() {
    let disk = MemoryDisk::default();
    let open = || Arc::new(disk.clone()) as Arc<dyn Disk>;
    let (mut broker, _) = serve(&open, "0");
    append(&broker, 1_000);
    let mut answered = [None; 7];
    for round in 1..40_u64 {
        // Several of each device, of which the last ones may be under way.
        let waiting: Vec<_> =
            (0..20).map(|n| (n % 7, begin(&broker, n % 7, round * 20 + n as u64))).collect();
        for (name, receiver) in waiting.into_iter().take(14) {
            answered[name] = Some(receiver.recv_timeout(SOON).unwrap().unwrap().seq);
        }
        // Some of what was not synced is there, and some is not.
        let mut state = round;
        lose_power(&disk, broker, || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        });
        (broker, _) = serve(&open, &round.to_string());
        for (name, least) in answered.into_iter().enumerate() {
            let found = seq_of(&broker, name);
            assert!(found >= least && found <= Some(round * 20 + 19), "{found:?} for {least:?}");
        }
    }
}

#[test]
fn a_new_epoch_keeps_cursors_of_the_one_before() {
    let disk = MemoryDisk::default();
    let open = || Arc::new(disk.clone()) as Arc<dyn Disk>;
    let (broker, _) = serve_as(&open, "0", Durability::Buffered);
    append(&broker, 3);
    append(&broker, 3);
    let stored = acknowledge(&broker, 1, 5).unwrap();
    lose_power(&disk, broker, || 0);
    let (broker, _) = serve_as(&open, "1", Durability::Buffered);
    let state = broker.state(STREAM).unwrap();
    assert!(state.epoch != stored.epoch && state.last < 5);
    assert_eq!(cursor(&broker, 1), Some(stored));
    // It begins anew in this one.
    acknowledge(&broker, 1, 1).unwrap();
    drop(broker);
    let (broker, _) = serve_as(&open, "1", Durability::Buffered);
    assert_eq!(cursor(&broker, 1).map(|cursor| (cursor.epoch, cursor.seq)), Some((state.epoch, 1)));
}

#[test]
fn a_full_disk_refuses_and_recovers_by_itself() {
    let disk = MemoryDisk::default();
    let open = || Arc::new(disk.clone()) as Arc<dyn Disk>;
    let (broker, told) = serve(&open, "0");
    append(&broker, 10);
    acknowledge(&broker, 1, 4).unwrap();
    disk.fail(Some(Failure::Room));
    for seq in [5, 6] {
        let error = acknowledge(&broker, 1, seq).unwrap_err();
        assert_eq!(error.code, ErrorCode::StorageFull, "{error}");
        assert_eq!(seq_of(&broker, 1), Some(4));
    }
    assert_eq!(told.recv_timeout(SOON).unwrap().level, Level::Warning);
    disk.fail(None);
    assert_eq!(acknowledge(&broker, 1, 10).unwrap().seq, 10);
    assert_eq!(told.recv_timeout(SOON).unwrap().level, Level::Info);
    drop(broker);
    let (broker, _) = serve(&open, "0");
    assert_eq!(seq_of(&broker, 1), Some(10));
}

#[test]
fn a_broken_disk_is_fatal_and_shows_nothing_that_is_not_stored() {
    let disk = MemoryDisk::default();
    let open = || Arc::new(disk.clone()) as Arc<dyn Disk>;
    let (broker, told) = serve(&open, "0");
    append(&broker, 10);
    acknowledge(&broker, 1, 4).unwrap();
    disk.fail(Some(Failure::Sync));
    for seq in [5, 6] {
        let error = acknowledge(&broker, 1, seq).unwrap_err();
        assert_eq!(error.code, ErrorCode::Storage, "{error}");
        assert_eq!(seq_of(&broker, 1), Some(4));
    }
    assert_eq!(told.recv_timeout(SOON).unwrap().level, Level::Fatal);
    disk.fail(None);
    // It is not tried again.
    assert_eq!(acknowledge(&broker, 1, 7).unwrap_err().code, ErrorCode::Storage);
    lose_power(&disk, broker, || 0);
    let (broker, _) = serve(&open, "1");
    assert_eq!(seq_of(&broker, 1), Some(4));
}

/// A disk on which syncing waits until it is let.
#[derive(Clone)]
struct Slow(Arc<dyn Disk>, Arc<Gate>);

#[derive(Default)]
struct Gate {
    /// Whether it is shut, and how many syncs there were.
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

struct SlowFile(Arc<dyn DiskFile>, Arc<Gate>);

impl Gate {
    fn shut(&self, shut: bool) {
        self.state.lock().0 = shut;
        self.changed.notify_all();
    }

    fn syncs(&self) -> usize {
        self.state.lock().1
    }

    fn wait_for(&self, syncs: usize) {
        let mut state = self.state.lock();
        while state.1 < syncs {
            assert!(!self.changed.wait_for(&mut state, SOON).timed_out(), "nothing is synced");
        }
    }

    fn pass(&self) {
        let mut state = self.state.lock();
        state.1 += 1;
        self.changed.notify_all();
        while state.0 {
            self.changed.wait(&mut state);
        }
    }
}

impl Disk for Slow {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(SlowFile(self.0.create(name)?, self.1.clone())))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(SlowFile(self.0.open(name)?, self.1.clone())))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn directory(&self, name: &str) -> io::Result<Arc<dyn Disk>> {
        Ok(Arc::new(Self(self.0.directory(name)?, self.1.clone())))
    }
}

impl DiskFile for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(bytes, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync()
    }
}

#[test]
fn many_share_a_sync_nobody_waits_and_what_finds_no_room_is_refused() {
    let gate = Arc::<Gate>::default();
    let disk: Arc<dyn Disk> = Arc::new(Slow(Arc::new(MemoryDisk::default()), gate.clone()));
    let open = || disk.clone();
    let (broker, _) = serve(&open, "0");
    append(&broker, 10);
    let before = gate.syncs();
    gate.shut(true);
    let first = begin(&broker, 0, 1);
    gate.wait_for(before + 1);
    // The disk stands still; asking does not.
    let waiting: Vec<_> = (0..20_000).map(|n| begin(&broker, n, 2)).collect();
    assert_eq!(seq_of(&broker, 0), None, "it is shown before it is stored");
    gate.shut(false);
    assert_eq!(first.recv_timeout(SOON).unwrap().unwrap().seq, 1);
    let (mut stored, mut refused) = (0, 0);
    for (name, receiver) in waiting.into_iter().enumerate() {
        match receiver.recv_timeout(SOON).unwrap() {
            Ok(cursor) => {
                assert_eq!((cursor.seq, seq_of(&broker, name)), (2, Some(2)));
                stored += 1;
            }
            Err(error) => {
                assert_eq!(error.code, ErrorCode::Overloaded, "{error}");
                assert!(error.retry_after_ms.is_some() && seq_of(&broker, name).is_none());
                refused += 1;
            }
        }
    }
    assert_eq!((stored, refused), (16_384, 20_000 - 16_384));
    assert!(gate.syncs() - before < 20, "{} syncs", gate.syncs() - before);
}

#[test]
fn the_end_stores_what_waits() {
    let gate = Arc::<Gate>::default();
    let disk: Arc<dyn Disk> = Arc::new(Slow(Arc::new(MemoryDisk::default()), gate.clone()));
    let open = || disk.clone();
    let (broker, _) = serve(&open, "0");
    append(&broker, 10);
    let before = gate.syncs();
    gate.shut(true);
    let mut waiting = vec![begin(&broker, 0, 10)];
    gate.wait_for(before + 1);
    waiting.extend((1..100).map(|name| begin(&broker, name, 7)));
    std::thread::scope(|scope| {
        scope.spawn(|| broker.close());
        gate.shut(false);
    });
    for answered in waiting {
        answered.recv_timeout(SOON).unwrap().unwrap();
    }
    assert_eq!(acknowledge(&broker, 1, 9).unwrap_err().code, ErrorCode::Draining);
    drop(broker);
    let (broker, _) = serve(&open, "0");
    for name in 1..100 {
        assert_eq!(seq_of(&broker, name), Some(7));
    }
    assert_eq!(seq_of(&broker, 0), Some(10));
}

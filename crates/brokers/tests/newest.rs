//! What a view of the newest events costs, and what it brings where the disk is damaged.
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use brokers::embedded::durable::{Disk, DiskFile, MemoryDisk};
use brokers::{Embedded, Options};
use bytes::Bytes;
use engine::{Broker, Retention, Segment, StreamIndex, StreamSpec, StreamTable};
use protocol::{Draft, Durability, Mode, Pattern, Payload, Seq, StreamName, Topic};

const STREAM: StreamIndex = StreamIndex(0);
const PAGE_BYTES: usize = 64 << 10;
/// Of each event's data.
const DATA_BYTES: usize = 1000;
const EVENTS: u64 = 6_000;

/// A disk that counts the bytes that are read.
#[derive(Clone)]
struct Counting {
    disk: Arc<dyn Disk>,
    bytes: Arc<AtomicU64>,
}

struct CountingFile {
    file: Arc<dyn DiskFile>,
    bytes: Arc<AtomicU64>,
}

impl Counting {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(CountingFile { file, bytes: self.bytes.clone() })
    }
}

impl Disk for Counting {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.create(name)?))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.open(name)?))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }
    fn directory(&self, name: &str) -> io::Result<Arc<dyn Disk>> {
        let disk = self.disk.directory(name)?;
        Ok(Arc::new(Self { disk, bytes: self.bytes.clone() }))
    }
}

impl DiskFile for CountingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.read_at(bytes, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

/// A broker with a stream that is kept in several files.
fn serve(disk: Arc<dyn Disk>) -> Embedded {
    let spec = StreamSpec {
        name: StreamName::parse("s").unwrap(),
        topics: vec![Pattern::parse(">").unwrap()],
        // A file is an eighth of it, though at least 1 MiB.
        retention: Retention { count: 1 << 40, age_ms: 1 << 40, bytes: 8 << 20 },
        durability: Durability::Fsync,
        priority: 0,
        mode: Mode::EVERY,
    };
    let options = Options { tail_bytes_max: 100_000, ..Options::default() };
    Embedded::on_disk(&StreamTable::new(vec![spec]), disk, &options).unwrap()
}

/// One rare event first, and then many of ten topics.
fn fill(broker: &Embedded) {
    let draft = |topic: &str| {
        let data = Bytes::from(vec![b'1'; DATA_BYTES]);
        Draft::new(Topic::parse(topic).unwrap(), Payload::Json(data))
    };
    append(broker, vec![draft("rare")]);
    append(broker, vec![draft("rare")]);
    for first in (0..EVENTS).step_by(100) {
        append(broker, (first..first + 100).map(|n| draft(&format!("often.{}", n % 10))).collect());
    }
}

fn append(broker: &Embedded, drafts: Vec<Draft>) {
    let (sender, receiver) = channel();
    broker.append(STREAM, drafts, Box::new(move |results| sender.send(results).unwrap()));
    let results = receiver.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(results.iter().all(Result::is_ok));
}

/// The seqs of what a view gets, and how many pages and events were read for it.
fn view(broker: &Embedded) -> (Vec<(String, Seq)>, u64, usize) {
    let (mut newest, mut pages, mut events) = (std::collections::BTreeMap::new(), 0, 0);
    let mut after = 0;
    loop {
        let (sender, receiver) = channel();
        broker.read_newest(
            STREAM,
            after,
            PAGE_BYTES,
            Box::new(move |page| sender.send(page).unwrap()),
        );
        let page = receiver.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
        if page.scanned_to <= after {
            break;
        }
        pages += 1;
        for segment in &page.segments {
            let Segment::Batch(batch) = segment else { continue };
            events += batch.after(after).len();
            let newer = batch.after(after).iter().map(|e| (e.topic().to_string(), e.seq));
            newest.extend(newer);
        }
        after = page.scanned_to;
    }
    let mut newest: Vec<(String, Seq)> = newest.into_iter().collect();
    newest.sort_by_key(|(_, seq)| *seq);
    (newest, pages, events)
}

#[test]
fn a_view_costs_its_events_and_not_the_log() {
    let bytes = Arc::<AtomicU64>::default();
    let disk = Counting { disk: Arc::new(MemoryDisk::default()), bytes: bytes.clone() };
    let broker = serve(Arc::new(disk.clone()));
    fill(&broker);
    let before = view(&broker);
    drop(broker);
    let broker = serve(Arc::new(disk));
    bytes.store(0, Ordering::Relaxed);
    let after = view(&broker);
    for (newest, pages, events) in [&before, &after] {
        let seqs: Vec<Seq> = newest.iter().map(|(_, seq)| *seq).collect();
        let often = EVENTS - 7..=EVENTS + 2;
        assert_eq!(seqs, [2].into_iter().chain(often).collect::<Vec<Seq>>());
        assert_eq!((*pages, *events), (1, 11));
    }
    let read = bytes.load(Ordering::Relaxed);
    assert!(read < 11 * (DATA_BYTES as u64 + 200), "{read} bytes were read");
}

#[test]
fn what_is_damaged_hides_nothing_older() {
    let disk = MemoryDisk::default();
    let broker = serve(Arc::new(disk.clone()));
    fill(&broker);
    drop(broker);
    let first = disk.names().into_iter().find(|name| name.ends_with(".log")).unwrap();
    // The newest event of the rare topic: the second record.
    disk.damage(&first, |bytes| {
        if let Some(byte) = bytes.get_mut(DATA_BYTES + 500) {
            *byte ^= 1;
        }
    });
    let broker = serve(Arc::new(disk.clone()));
    assert_eq!(view(&broker).0.first(), Some(&("rare".to_owned(), 1)));
}

#[test]
fn where_nothing_is_known_the_log_is_read() {
    let disk = MemoryDisk::default();
    let broker = serve(Arc::new(disk.clone()));
    fill(&broker);
    let expected = view(&broker).0;
    drop(broker);
    let notes: Vec<String> =
        disk.names().into_iter().filter(|name| name.ends_with(".newest")).collect();
    assert!(notes.len() > 3, "{notes:?}");
    for name in &notes {
        disk.damage(name, |bytes| bytes.truncate(30));
    }
    let broker = serve(Arc::new(disk));
    assert_eq!(view(&broker).0, expected);
}

//! Streams in a directory.
//!
//! The log is a state machine over a small [`Disk`]; threads are thin and around it: one that
//! writes each stream, and two that read for all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;

use engine::{
    Answer, Cursor, Device, Locate, Located, Page, Selector, StreamIndex, StreamSpec, StreamState,
    Tail,
};
use parking_lot::Mutex;
use protocol::{Appended, Draft, Durability, Epoch, Error, ErrorCode, Seq, StreamName};

use super::cursors::Cursors;
use super::fingerprint::{Claim, Key};
use super::notice::{Level, Notice};
use super::options::{Options, Tell};
use crate::clock::{Clock, Now};

/// What the log needs of a file system.
mod disk;
/// A disk in memory that fails as disks do.
mod memory_disk;
/// An event as bytes.
mod record;
/// Which topics a block may hold.
mod topics;
/// What is known of a segment without reading it.
mod index;
/// Where the newest event of each topic and audience stands.
mod newest;
/// A file of the log.
mod segment;
/// What readers know of a log.
mod catalog;
/// The idempotency ids of sealed segments.
mod sidecar;
/// The log of one stream.
mod log;
/// What retention leaves of it.
mod retain;
/// Opening it again.
mod recover;
/// What is noted beside the logs.
mod store;
/// The thread that stores how far devices have acknowledged.
mod keeper;
/// A directory as a whole.
mod home;
/// The way to a stream's writer.
mod queue;
/// The thread that writes a stream.
mod writer;
/// The threads that read.
mod reader;
/// Pages and searches.
mod read;

pub use disk::{Directory, Disk, DiskFile};
pub(crate) use home::Home;
pub use home::OpenError;
pub use memory_disk::{Failure, MemoryDisk};
pub(crate) use writer::is_durable;

use catalog::Catalog;
use keeper::{Acknowledgement, Stored};
use log::{Log, Settings};
use queue::{Queue, Request};
use recover::{Findings, Noted, continues};
use store::Note;
use writer::Writer;

const SEGMENT_BYTES_MIN: u64 = 1 << 20;
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// A segment is about so much of what is kept: the grain in which space is given back.
const SEGMENTS_KEPT: u64 = 8;
/// When to ask again where too many reads wait.
const RETRY_AFTER_MS: u64 = 200;

/// A stream in a directory.
pub(crate) struct Stream {
    shared: Arc<Shared>,
    stored: Arc<Stored>,
    home: Arc<Home>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a stream's writer shares with everybody.
pub(crate) struct Shared {
    pub(crate) name: StreamName,
    pub(crate) epoch: Epoch,
    pub(crate) durability: Durability,
    pub(crate) tail: Arc<Tail>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) queue: Queue,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tell: Tell,
    pub(crate) locate_scan_max: usize,
    /// Damaged places of which the operator was told.
    pub(crate) told: Mutex<BTreeSet<Seq>>,
    key: Key,
}

impl Stream {
    /// Opens a stream, whose epoch changes where it cannot be proved that it continues what was
    /// acknowledged or delivered.
    pub(crate) fn open(
        home: &Arc<Home>,
        at: StreamIndex,
        spec: &StreamSpec,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let name = &spec.name;
        let noted = home.store.stream(name)?;
        let known = noted.as_ref().map_or(Noted::default(), |note| note.noted);
        let settings = Settings {
            retention: spec.retention,
            segment_bytes: (spec.retention.bytes / SEGMENTS_KEPT)
                .clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
            id_window_ms: options.id_window_ms,
            id_window_count: options.id_window_count,
        };
        let of_stream = |source| OpenError::Stream { name: name.clone(), source };
        let disk = home.stream(name).map_err(of_stream)?;
        let now = options.clock.now();
        let (mut log, findings) =
            Log::open(disk, settings, home.key, now, known).map_err(of_stream)?;
        let tell = &options.tell;
        findings.tell(name, &**tell);
        let epoch = match noted {
            Some(note) => {
                let same_boot = note.boot == home.boot;
                let goes_on = continues(known, log.last(), note.durability, same_boot);
                goes_on.then_some(note.epoch)
            }
            None => None,
        };
        if epoch.is_none() && log.last() > 0 {
            let text = format!(
                "stream `{name}` begins a new epoch: what it acknowledged last may be lost"
            );
            tell(Notice { level: Level::Warning, text });
        }
        let epoch = epoch.unwrap_or_else(|| Epoch::from_bits((options.random)()));
        let note = Note {
            epoch: epoch.clone(),
            boot: home.boot.clone(),
            durability: spec.durability,
            noted: log.settle(),
        };
        home.store.note(name, &note)?;
        let (first, last) = (log.catalog().lock().first, log.last());
        let tail = Tail::new(at, epoch.clone(), first, last, options.tail_bytes_max);
        let shared = Arc::new(Shared {
            name: name.clone(),
            epoch,
            durability: spec.durability,
            tail: Arc::new(tail),
            catalog: log.catalog().clone(),
            queue: Queue::default(),
            clock: options.clock.clone(),
            tell: tell.clone(),
            locate_scan_max: options.locate_scan_max,
            told: Mutex::default(),
            key: home.key,
        });
        let writer = Writer {
            log,
            shared: shared.clone(),
            store: home.store.clone(),
            note,
            unsynced_since: None,
            unsettled_since: None,
            is_full: false,
            taken: Vec::new(),
        };
        let builder = std::thread::Builder::new().name(format!("tidings-log-{name}"));
        let thread = builder.spawn(move || writer.run()).map_err(of_stream)?;
        let stored = Arc::new(Stored::load(&home.store, name, options)?);
        Ok(Self { shared, stored, home: home.clone(), thread: Mutex::new(Some(thread)) })
    }

    pub(crate) fn append(&self, drafts: Vec<Draft>, answer: Answer<Vec<Result<Appended, Error>>>) {
        // Hashed here: the writer has more to do.
        let claims = drafts.iter().filter_map(|draft| Claim::of(draft, self.shared.key)).collect();
        self.shared.queue.push(Request { drafts, claims, answer });
    }

    pub(crate) fn read(&self, after: Seq, bytes_max: usize, answer: Answer<Result<Page, Error>>) {
        if let Some(page) = self.shared.page_in_memory(after, bytes_max) {
            return answer(Ok(page));
        }
        self.ask(answer, move |shared| shared.page(after, None, bytes_max));
    }

    pub(crate) fn read_selected(
        &self,
        after: Seq,
        selector: Selector,
        bytes_max: usize,
        answer: Answer<Result<Page, Error>>,
    ) {
        if let Some(page) = self.shared.page_in_memory(after, bytes_max) {
            return answer(Ok(page));
        }
        self.ask(answer, move |shared| shared.page(after, Some(&selector), bytes_max));
    }

    pub(crate) fn read_newest(
        &self,
        after: Seq,
        bytes_max: usize,
        answer: Answer<Result<Page, Error>>,
    ) {
        self.ask(answer, move |shared| shared.newest_page(after, bytes_max));
    }

    pub(crate) fn locate(
        &self,
        selector: Selector,
        what: Locate,
        answer: Answer<Result<Located, Error>>,
    ) {
        self.ask(answer, move |shared| {
            let (after, truncated) = shared.locate(&selector, what);
            Located { epoch: shared.epoch.clone(), after, truncated }
        });
    }

    /// Has a reader find something out.
    fn ask<T: 'static>(
        &self,
        answer: Answer<Result<T, Error>>,
        find: impl FnOnce(&Shared) -> T + Send + 'static,
    ) {
        let shared = self.shared.clone();
        let answer = Arc::new(Mutex::new(Some(answer)));
        let to = answer.clone();
        let job = Box::new(move || {
            let found = find(&shared);
            if let Some(answer) = to.lock().take() {
                answer(Ok(found));
            }
        });
        if self.home.readers.run(job).is_err()
            && let Some(answer) = answer.lock().take()
        {
            let message = "too many reads wait for the disk";
            answer(Err(Error::new(ErrorCode::Overloaded, message).retry_after(RETRY_AFTER_MS)));
        }
    }

    pub(crate) fn tail(&self) -> Arc<Tail> {
        self.shared.tail.clone()
    }

    pub(crate) fn state(&self) -> StreamState {
        let contents = self.shared.catalog.lock();
        StreamState {
            stream: self.shared.name.clone(),
            epoch: self.shared.epoch.clone(),
            first: contents.first,
            last: contents.last,
            bytes: contents.bytes,
            durability: self.shared.durability,
        }
    }

    pub(crate) fn cursors(&self) -> &Cursors {
        &self.stored.cursors
    }

    /// Stores how far a device has come, and answers when that survives a loss of power.
    pub(crate) fn acknowledge(
        &self,
        device: Device,
        cursor: Cursor,
        answer: Answer<Result<Cursor, Error>>,
    ) {
        let stored = self.stored.clone();
        self.home.keeper.push(Acknowledgement { stored, device, cursor, answer });
    }

    pub(crate) fn maintain(&self, now: Now) {
        self.shared.queue.maintain();
        self.stored.cursors.maintain(now);
        self.home.keeper.tend(&self.stored);
    }

    /// Writes and syncs what was appended; nothing is taken any more.
    pub(crate) fn close(&self) {
        self.shared.queue.close();
        self.home.keeper.tend(&self.stored);
        if let Some(thread) = self.thread.lock().take() {
            // A panic within it was told.
            let _ = thread.join();
        }
    }
}

impl Findings {
    fn tell(&self, name: &StreamName, tell: &dyn Fn(Notice)) {
        let warn = |text| tell(Notice { level: Level::Warning, text });
        if self.torn_bytes > 0 {
            let bytes = self.torn_bytes;
            warn(format!(
                "stream `{name}`: {bytes} bytes behind the last sound record were cut off"
            ));
        }
        for (first, last) in &self.missing {
            warn(format!("stream `{name}`: events {first} to {last} are damaged"));
        }
        for base in &self.rebuilt {
            warn(format!("stream `{name}`: the index of the segment from {base} was made again"));
        }
    }
}

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use engine::{Answer, Cursor, Device};
use parking_lot::{Condvar, Mutex};
use protocol::{Error, ErrorCode, StreamName};

use super::super::cursors::{Cursors, further};
use super::super::notice::{Level, Notice};
use super::super::options::{Options, Tell};
use super::store::{Row, Store, is_full};
use crate::clock::{Clock, Now};

/// Most acknowledgements that wait to be stored.
const WAITING_MAX: usize = 16_384;
const RETRY_AFTER_MS: u64 = 500;

/// The thread that stores how far devices have acknowledged, for all streams: what waits as one
/// transaction, so that many devices share one sync and nobody else waits for the disk.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The cursors of a stream, of which those are stored that were answered.
pub(crate) struct Stored {
    name: StreamName,
    pub(crate) cursors: Cursors,
}

/// How far a device has come, and who waits until that is stored.
pub(crate) struct Acknowledgement {
    pub(crate) stored: Arc<Stored>,
    pub(crate) device: Device,
    pub(crate) cursor: Cursor,
    pub(crate) answer: Answer<Result<Cursor, Error>>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    acknowledgements: Vec<Acknowledgement>,
    /// Streams of which cursors were used or forgotten.
    tended: Vec<Arc<Stored>>,
    is_closing: bool,
    /// Why nothing is taken any more.
    ended: Option<Error>,
}

impl Stored {
    /// What is stored of a stream.
    pub(crate) fn load(
        store: &Store,
        name: &StreamName,
        options: &Options,
    ) -> Result<Self, redb::Error> {
        let now = options.clock.now();
        let rows = store.cursors(name)?.into_iter();
        // Should the machine's clock have been set back, it was used just now.
        let rows = rows
            .map(|(device, row)| (device, row.cursor, now.wall_ms.saturating_sub(row.used_ms)))
            .collect();
        let Options { cursor_age_ms, cursor_count, .. } = *options;
        let cursors = Cursors::restored(cursor_age_ms, cursor_count, rows, now);
        Ok(Self { name: name.clone(), cursors })
    }

    fn row(&self, device: &Device, now: Now) -> Option<Row> {
        let (cursor, unused_ms) = self.cursors.peek(device, now)?;
        Some(Row { cursor, used_ms: now.wall_ms.saturating_sub(unused_ms) })
    }
}

impl Keeper {
    pub(crate) fn start(store: Arc<Store>, options: &Options) -> io::Result<Self> {
        let shared = Arc::new(Shared { waiting: Mutex::default(), changed: Condvar::new() });
        let (clock, tell) = (options.clock.clone(), options.tell.clone());
        let keeping =
            Keeping { shared: shared.clone(), store, clock, tell, is_full: false, taken: vec![] };
        let builder = std::thread::Builder::new().name("tidings-cursors".to_owned());
        let thread = builder.spawn(move || keeping.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Takes an acknowledgement, or refuses it at once.
    pub(crate) fn push(&self, acknowledgement: Acknowledgement) {
        let mut waiting = self.shared.waiting.lock();
        let refusal = if let Some(error) = &waiting.ended {
            Some(error.clone())
        } else if waiting.is_closing {
            Some(Error::new(ErrorCode::Draining, "the server ends").retry_after(RETRY_AFTER_MS))
        } else if waiting.acknowledgements.len() >= WAITING_MAX {
            let message = "the disk is slower than what is acknowledged";
            Some(Error::new(ErrorCode::Overloaded, message).retry_after(RETRY_AFTER_MS))
        } else {
            None
        };
        if let Some(error) = refusal {
            drop(waiting);
            return (acknowledgement.answer)(Err(error));
        }
        waiting.acknowledgements.push(acknowledgement);
        drop(waiting);
        self.shared.changed.notify_one();
    }

    /// Has it stored soon which of a stream's cursors were used or forgotten.
    pub(crate) fn tend(&self, stored: &Arc<Stored>) {
        if !stored.cursors.has_changed() {
            return;
        }
        let mut waiting = self.shared.waiting.lock();
        if !waiting.tended.iter().any(|other| Arc::ptr_eq(other, stored)) {
            waiting.tended.push(stored.clone());
        }
        drop(waiting);
        self.shared.changed.notify_one();
    }

    /// Stores what waits; nothing is taken any more.
    pub(crate) fn close(&self) {
        self.shared.waiting.lock().is_closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // A panic within it was told.
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct Keeping {
    shared: Arc<Shared>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    tell: Tell,
    /// Whether the last transaction found no room.
    is_full: bool,
    /// Whose transaction is under way.
    taken: Vec<Acknowledgement>,
}

/// What one transaction changes in a stream.
struct Change {
    stored: Arc<Stored>,
    rows: BTreeMap<Device, Option<Row>>,
}

impl Keeping {
    /// Runs until it is closed or the store is broken. A panic breaks it as an error does.
    fn run(self) {
        let (shared, tell) = (self.shared.clone(), self.tell.clone());
        let keeping = Mutex::new(self);
        let why = match catch_unwind(AssertUnwindSafe(|| keeping.lock().work())) {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(_) => "its thread panicked".to_owned(),
        };
        let text = format!("what devices acknowledge cannot be stored any more: {why}");
        let error = Error::new(ErrorCode::Storage, text.clone());
        let mut waiting = shared.waiting.lock();
        waiting.ended = Some(error.clone());
        let left = std::mem::take(&mut waiting.acknowledgements);
        drop(waiting);
        refuse(std::mem::take(&mut keeping.lock().taken), &error);
        refuse(left, &error);
        tell(Notice { level: Level::Fatal, text });
    }

    fn work(&mut self) -> Result<(), String> {
        loop {
            let (tended, is_last) = self.take();
            let now = self.clock.now();
            let changes = self.changes(tended, now);
            match self.write(&changes) {
                Ok(()) => self.answer(changes, now),
                Err(error) if is_full(&error) => self.wait_for_room(changes, &error),
                Err(error) => return Err(error.to_string()),
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Waits until there is something to do, and takes all of it.
    fn take(&mut self) -> (Vec<Arc<Stored>>, bool) {
        let mut waiting = self.shared.waiting.lock();
        while waiting.acknowledgements.is_empty()
            && waiting.tended.is_empty()
            && !waiting.is_closing
        {
            self.shared.changed.wait(&mut waiting);
        }
        self.taken = std::mem::take(&mut waiting.acknowledgements);
        (std::mem::take(&mut waiting.tended), waiting.is_closing)
    }

    /// What there is to change by the acknowledgements that were taken, each of which is made to
    /// say what holds then.
    fn changes(&mut self, tended: Vec<Arc<Stored>>, now: Now) -> BTreeMap<StreamName, Change> {
        let mut changes = BTreeMap::new();
        for stored in tended {
            change_of(&mut changes, &stored, now);
        }
        for Acknowledgement { stored, device, cursor, .. } in &mut self.taken {
            let change = change_of(&mut changes, stored, now);
            let row = change.rows.entry(device.clone()).or_insert_with(|| stored.row(device, now));
            *cursor = further(row.as_ref().map(|row| &row.cursor), cursor.clone());
            *row = Some(Row { cursor: cursor.clone(), used_ms: now.wall_ms });
        }
        changes
    }

    fn write(&self, changes: &BTreeMap<StreamName, Change>) -> Result<(), redb::Error> {
        if changes.values().all(|change| change.rows.is_empty()) {
            return Ok(());
        }
        let rows = changes.iter().flat_map(|(name, change)| {
            change.rows.iter().map(move |(device, row)| (name, device, row.as_ref()))
        });
        self.store.store_cursors(rows)
    }

    /// Shows what is stored, and then answers.
    fn answer(&mut self, changes: BTreeMap<StreamName, Change>, now: Now) {
        // A transaction that only removes finds room where there is none.
        let mut rows = changes.values().flat_map(|change| change.rows.values());
        if rows.any(Option::is_some) && std::mem::take(&mut self.is_full) {
            let text = "there is room for what devices acknowledge again".to_owned();
            (self.tell)(Notice { level: Level::Info, text });
        }
        for Acknowledgement { stored, device, cursor, answer } in self.taken.drain(..) {
            stored.cursors.store(device, cursor.clone(), now);
            answer(Ok(cursor));
        }
    }

    fn wait_for_room(&mut self, changes: BTreeMap<StreamName, Change>, why: &redb::Error) {
        for change in changes.into_values() {
            change.stored.cursors.put_back(change.rows.into_keys());
        }
        if !std::mem::replace(&mut self.is_full, true) {
            let text =
                format!("there is no room for what devices acknowledge: {why}; it is tried again");
            (self.tell)(Notice { level: Level::Warning, text });
        }
        let error = Error::new(ErrorCode::StorageFull, "the disk of the server is full");
        refuse(std::mem::take(&mut self.taken), &error.retry_after(RETRY_AFTER_MS));
    }
}

/// What changes in a stream, first of all by what was used or forgotten since.
fn change_of<'a>(
    changes: &'a mut BTreeMap<StreamName, Change>,
    stored: &Arc<Stored>,
    now: Now,
) -> &'a mut Change {
    changes.entry(stored.name.clone()).or_insert_with(|| {
        let changed = stored.cursors.take_changed();
        let row = |device| {
            let row = stored.row(&device, now);
            (device, row)
        };
        Change { stored: stored.clone(), rows: changed.into_iter().map(row).collect() }
    })
}

fn refuse(taken: Vec<Acknowledgement>, error: &Error) {
    for acknowledgement in taken {
        (acknowledgement.answer)(Err(error.clone()));
    }
}

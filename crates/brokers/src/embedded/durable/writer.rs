use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Answer, Segment};
use parking_lot::Mutex;
use protocol::{Appended, Durability, Error, ErrorCode};

use super::super::notice::{Level, Notice};
use super::super::outcome::{Outcome, Outcomes};
use super::Shared;
use super::log::{Log, Trouble};
use super::queue::{Request, Work};
use super::store::{Note, Store};

/// How long what is buffered waits for the disk at most.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How long a stream must be silent until it is noted that all of it is synced.
const SETTLE_AFTER: Duration = Duration::from_secs(5);
const RETRY_AFTER_MS: u64 = 1_000;

/// The thread that writes one stream: it takes what waits as one batch, so that many publishers
/// share one sync.
pub(crate) struct Writer {
    pub(crate) log: Log,
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Arc<Store>,
    pub(crate) note: Note,
    /// Since when something is not synced, or not noted as synced.
    pub(crate) unsynced_since: Option<Instant>,
    pub(crate) unsettled_since: Option<Instant>,
    /// Whether the last batch found no room.
    pub(crate) is_full: bool,
    /// Whom the batch that is being written is answered to.
    pub(crate) taken: Vec<Taken>,
}

/// What became of a request's drafts, and who waits for that.
pub(crate) type Taken = (Outcomes, Answer<Vec<Result<Appended, Error>>>);

impl Writer {
    /// Runs until the stream is closed or broken. A panic breaks it as an error does.
    pub(crate) fn run(self) {
        let shared = self.shared.clone();
        let writer = Mutex::new(self);
        let run = std::panic::AssertUnwindSafe(|| writer.lock().work());
        let result = std::panic::catch_unwind(run);
        let why = match result {
            Ok(Ok(())) => return shared.queue.end(&closed()),
            Ok(Err(why)) => why,
            Err(_) => "its writer panicked".to_owned(),
        };
        let text = format!("stream `{}` cannot be written any more: {why}", shared.name);
        let error = Error::new(ErrorCode::Storage, text.clone());
        shared.queue.end(&error);
        refuse(std::mem::take(&mut writer.lock().taken), &error);
        (shared.tell)(Notice { level: Level::Fatal, text });
    }

    fn work(&mut self) -> Result<(), String> {
        loop {
            let Work { requests, maintain, is_last } = self.shared.queue.take(self.next_due());
            if maintain {
                self.retain()?;
            }
            if !requests.is_empty() {
                self.append(requests)?;
            }
            self.sync_if_due(is_last)?;
            if is_last {
                return Ok(());
            }
        }
    }

    fn append(&mut self, requests: Vec<Request>) -> Result<(), String> {
        let now = self.shared.clock.now();
        let mut is_empty = true;
        if let Err(trouble) = self.log.begin(now) {
            return self.refuse(requests, trouble);
        }
        for Request { drafts, claims, answer } in requests {
            is_empty &= drafts.is_empty();
            let outcomes = self.log.stage(drafts, &mut claims.into_iter(), now);
            self.taken.push((outcomes, answer));
        }
        if self.log.is_staged()
            && let Err(trouble) = self.write()
        {
            let error = self.told(trouble, Log::abandon)?;
            refuse(std::mem::take(&mut self.taken), &error);
            return Ok(());
        }
        let mut retained = Ok(());
        if !is_empty {
            self.commit();
            retained = self.retain();
        }
        for (outcomes, answer) in std::mem::take(&mut self.taken) {
            answer(self.answers(outcomes));
        }
        retained
    }

    fn answers(&self, outcomes: Outcomes) -> Vec<Result<Appended, Error>> {
        let Shared { name, epoch, durability, .. } = &*self.shared;
        let answer = |outcome: Outcome| outcome.answer(name, epoch, *durability);
        outcomes.into_iter().map(answer).collect()
    }

    fn write(&mut self) -> Result<(), Trouble> {
        self.log.write()?;
        if self.log.must_sync(self.shared.durability) {
            self.log.sync()?;
        } else {
            self.unsynced_since.get_or_insert_with(Instant::now);
        }
        // Also in a stream that never rests: what is behind the note may be taken for a torn write.
        self.unsettled_since.get_or_insert_with(Instant::now);
        if std::mem::take(&mut self.is_full) {
            let text = format!("there is room for stream `{}` again", self.shared.name);
            (self.shared.tell)(Notice { level: Level::Info, text });
        }
        Ok(())
    }

    fn commit(&mut self) {
        let tail = self.shared.tail.clone();
        self.log.commit(|batches| {
            if !batches.is_empty() {
                tail.push_all(batches.iter().cloned().map(Segment::Batch));
            }
        });
    }

    /// What publishers are told where there is no room. Everything else ends the stream.
    fn told(
        &mut self,
        trouble: Trouble,
        put_right: impl FnOnce(&mut Log) -> Result<(), Trouble>,
    ) -> Result<Error, String> {
        let why = match trouble {
            Trouble::Full(why) => why,
            Trouble::Broken(why) => return Err(why.to_string()),
        };
        if let Err(Trouble::Full(error) | Trouble::Broken(error)) = put_right(&mut self.log) {
            return Err(error.to_string());
        }
        if !std::mem::replace(&mut self.is_full, true) {
            let name = &self.shared.name;
            let text = format!("there is no room for stream `{name}`: {why}; it is tried again");
            (self.shared.tell)(Notice { level: Level::Warning, text });
        }
        let message = "the disk of this stream is full";
        Ok(Error::new(ErrorCode::StorageFull, message).retry_after(RETRY_AFTER_MS))
    }

    fn refuse(&mut self, requests: Vec<Request>, trouble: Trouble) -> Result<(), String> {
        match self.told(trouble, |_| Ok(())) {
            Ok(error) => requests.into_iter().for_each(|request| request.refuse(&error)),
            Err(why) => {
                let error = Error::new(ErrorCode::Storage, why.clone());
                requests.into_iter().for_each(|request| request.refuse(&error));
                return Err(why);
            }
        }
        Ok(())
    }

    fn retain(&mut self) -> Result<(), String> {
        let result = self.log.retain(self.shared.clock.now());
        self.shared.tail.trim(self.log.catalog().lock().first);
        self.shared.tail.expire(self.log.expired());
        match result {
            Ok(()) => Ok(()),
            Err(trouble) => self.told(trouble, |_| Ok(())).map(drop),
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let sync = self.unsynced_since.map(|since| since + SYNC_EVERY);
        let settle = self.unsettled_since.map(|since| since + SETTLE_AFTER);
        sync.into_iter().chain(settle).min()
    }

    fn sync_if_due(&mut self, is_last: bool) -> Result<(), String> {
        let is_due = |since: Option<Instant>, after: Duration| {
            since.is_some_and(|since| is_last || since.elapsed() >= after)
        };
        if is_due(self.unsynced_since, SYNC_EVERY) {
            match self.log.sync() {
                Ok(()) => self.unsynced_since = None,
                Err(Trouble::Full(error) | Trouble::Broken(error)) => return Err(error.to_string()),
            }
        }
        let moved = is_last && self.note.noted != self.log.synced_to();
        let is_settled = moved || is_due(self.unsettled_since, SETTLE_AFTER);
        if is_settled && self.unsynced_since.is_none() {
            self.note.noted = self.log.synced_to();
            match self.store.note(&self.shared.name, &self.note) {
                Ok(()) => {
                    self.log.settle();
                    self.unsettled_since = None;
                }
                // Nothing is lost but the knowledge that nothing would be.
                Err(error) => {
                    let text = format!("cannot note what is synced: {error}");
                    (self.shared.tell)(Notice { level: Level::Warning, text });
                    self.unsettled_since = Some(Instant::now());
                }
            }
        }
        Ok(())
    }
}

fn refuse(taken: Vec<Taken>, error: &Error) {
    for (outcomes, answer) in taken {
        answer(outcomes.iter().map(|_| Err(error.clone())).collect());
    }
}

fn closed() -> Error {
    Error::new(ErrorCode::Draining, "the server ends").retry_after(RETRY_AFTER_MS)
}

/// Whether a stream of this durability is kept in a directory.
pub(crate) fn is_durable(durability: Durability) -> bool {
    matches!(durability, Durability::Buffered | Durability::Fsync)
}

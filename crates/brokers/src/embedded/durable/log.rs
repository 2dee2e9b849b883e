use std::io;
use std::sync::Arc;

use engine::{Batch, Retention};
use protocol::{Draft, Durability, Event, Seq};

use super::super::chunk::Chunk;
use super::super::fingerprint::{Claim, Fingerprint, Key, key_of};
use super::super::ids::{IdWindow, Known, Slot};
use super::super::outcome::{Outcome, Outcomes};
use super::catalog::Catalog;
use super::disk::{Disk, DiskFile, is_full, write_all};
use super::index::{Entry, Index};
use super::newest::Place;
use super::record::{Salt, Stamp, encode};
use super::recover::Noted;
use super::retain::Retainer;
use super::segment::{HEADER, Segment, header, ids_name, index_name, log_name, newest_name};
use super::sidecar::{self, Sidecars};
use crate::clock::Now;

/// How a log is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) retention: Retention,
    /// A segment that has reached this length is followed by another.
    pub(crate) segment_bytes: u64,
    pub(crate) id_window_ms: u64,
    pub(crate) id_window_count: usize,
}

/// Why something could not be written.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// There is no room; nothing else is wrong, and what was to be written can be abandoned.
    Full(io::Error),
    /// Nobody knows what is on the disk: the log must not be written any more.
    Broken(io::Error),
}

/// A write that failed.
impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::Full(error) } else { Self::Broken(error) }
    }
}

/// The segmented log of one stream: a state machine that one thread drives. Drafts are staged,
/// written, synced where the stream's durability asks for it, and committed; only then are they
/// in the [`Catalog`], from which others read.
pub(crate) struct Log {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) settings: Settings,
    pub(super) key: Key,
    pub(super) catalog: Arc<Catalog>,
    pub(super) active: Active,
    pub(super) staged: Staged,
    pub(super) ids: IdWindow,
    pub(super) sidecars: Sidecars,
    pub(super) retainer: Retainer,
    pub(super) last: Seq,
    /// The time of the last event, which the next may not precede.
    pub(super) time_ms: u64,
    pub(super) age: AgeClock,
    /// Everything up to this seq survives a loss of power.
    pub(super) synced: Seq,
    /// [`Log::synced`] as it is noted beside the log.
    pub(super) settled: Seq,
}

/// The segment that is written.
pub(super) struct Active {
    pub(super) base: Seq,
    pub(super) salt: Salt,
    pub(super) file: Arc<dyn DiskFile>,
    /// Where what is committed ends.
    pub(super) end: u64,
}

/// What was taken and is not committed yet.
#[derive(Default)]
pub(super) struct Staged {
    bytes: Vec<u8>,
    chunks: Vec<Chunk>,
    /// Where each record ends in `bytes`.
    ends: Vec<u64>,
    /// What stands for the topic and audience of each.
    keys: Vec<Fingerprint>,
    forgotten: Vec<Slot>,
}

/// A clock that counts on over restarts and never goes back: by the steady clock while the log is
/// open, and in between by as much as the wall clock went forward.
pub(super) struct AgeClock {
    pub(super) base_ms: u64,
    pub(super) opened_ms: u64,
    pub(super) now_ms: u64,
}

impl AgeClock {
    fn see(&mut self, now: Now) {
        let passed = now.steady_ms.saturating_sub(self.opened_ms);
        self.now_ms = self.now_ms.max(self.base_ms + passed);
    }
}

impl Log {
    pub(crate) fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Last committed seq.
    pub(crate) fn last(&self) -> Seq {
        self.last
    }

    /// What is to be noted beside the log.
    pub(crate) fn synced_to(&self) -> Noted {
        Noted { synced: self.synced, first: self.catalog.lock().first }
    }

    /// What [`Log::synced_to`] said was noted, or is before anything is appended.
    pub(crate) fn settle(&mut self) -> Noted {
        self.settled = self.synced;
        self.synced_to()
    }

    /// Whether what is staged must be synced before it is acknowledged. In a buffered stream the
    /// first batch must after it was noted that everything is synced: if it is lost, nobody knows
    /// of it, and if it is there, it is known that more may have been lost.
    pub(crate) fn must_sync(&self, durability: Durability) -> bool {
        durability == Durability::Fsync || self.settled == self.last
    }

    /// Events before this seq are too old to be delivered by anybody.
    pub(crate) fn expired(&self) -> Seq {
        self.retainer.expired()
    }

    /// Begins a batch: goes on in another segment where the active one is long enough.
    pub(crate) fn begin(&mut self, now: Now) -> Result<(), Trouble> {
        self.age.see(now);
        let is_long = self.active.end >= self.settings.segment_bytes;
        if is_long && self.last >= self.active.base { self.roll() } else { Ok(()) }
    }

    /// Takes drafts with their claims, in order.
    pub(crate) fn stage(
        &mut self,
        drafts: Vec<Draft>,
        claims: &mut impl Iterator<Item = Claim>,
        now: Now,
    ) -> Outcomes {
        self.age.see(now);
        let time_ms = self.time_ms.max(now.wall_ms);
        let mut left = drafts.len();
        let mut outcomes = Outcomes::with_capacity(left);
        for draft in drafts {
            let claim = draft.id.as_ref().and_then(|_| claims.next());
            let known = claim.as_ref().map(|claim| self.ids.find(claim, self.age.now_ms));
            outcomes.push(match known.unwrap_or(Known::Nothing) {
                Known::Same(seq) => Outcome::Duplicate(seq),
                Known::Other => Outcome::Conflict,
                Known::Nothing => {
                    let seq = self.last + self.staged.ends.len() as u64 + 1;
                    if let Some(claim) = claim {
                        let gone = self.ids.insert(claim, seq, self.age.now_ms);
                        self.staged.forgotten.extend(gone);
                    }
                    self.stage_one(Event { seq, time_ms, draft }, left);
                    Outcome::Appended(seq)
                }
            });
            left -= 1;
        }
        outcomes
    }

    fn stage_one(&mut self, event: Event, left: usize) {
        let staged = &mut self.staged;
        let pending = staged.ends.len() as u32 + 1;
        let (seq, time_ms, age_ms) = (event.seq, event.time_ms, self.age.now_ms);
        let stamp = Stamp { seq, time_ms, age_ms, pending };
        encode(&mut staged.bytes, self.active.salt, stamp, &event.draft);
        staged.ends.push(staged.bytes.len() as u64);
        staged.keys.push(key_of(&event.draft, self.key));
        match staged.chunks.last_mut().filter(|chunk| chunk.has_room(&event.draft)) {
            Some(chunk) => chunk.push(event),
            None => {
                let mut chunk = Chunk::new(left);
                chunk.push(event);
                staged.chunks.push(chunk);
            }
        }
    }

    /// Whether anything is staged.
    pub(crate) fn is_staged(&self) -> bool {
        !self.staged.ends.is_empty()
    }

    /// Writes what is staged: from now on it survives the process.
    pub(crate) fn write(&mut self) -> Result<(), Trouble> {
        Ok(self.active.file.write_at(&self.staged.bytes, self.active.end)?)
    }

    /// Makes all that was written survive a loss of power. Must not be called again after it
    /// failed: the system may have forgotten what it could not write.
    pub(crate) fn sync(&mut self) -> Result<(), Trouble> {
        self.active.file.sync().map_err(Trouble::Broken)?;
        self.synced = self.last + self.staged.ends.len() as u64;
        Ok(())
    }

    /// Drops what is staged and not to be acknowledged.
    pub(crate) fn abandon(&mut self) -> Result<(), Trouble> {
        let staged = std::mem::take(&mut self.staged);
        self.ids.undo(self.last, staged.forgotten);
        self.active.file.set_len(self.active.end).map_err(Trouble::Broken)
    }

    /// Shows readers what was staged and written, as it has reached the stream's durability.
    /// `announce` gets it in the same moment, so that nobody sees one without the other.
    pub(crate) fn commit(&mut self, announce: impl FnOnce(&[Arc<Batch>])) {
        let staged = std::mem::take(&mut self.staged);
        let batches: Vec<Arc<Batch>> =
            staged.chunks.into_iter().filter_map(Chunk::into_batch).collect();
        let Some(newest) = batches.last().and_then(|batch| batch.events().last()) else { return };
        (self.last, self.time_ms) = (newest.seq, newest.time_ms);
        let start = self.active.end;
        let mut catalog = self.catalog.lock();
        catalog.last = self.last;
        let events = batches.iter().flat_map(|batch| batch.events());
        for ((event, end), key) in events.zip(&staged.ends).zip(&staged.keys) {
            let bytes = event.draft.bytes() as u64;
            catalog.bytes += bytes;
            let Some(segment) = catalog.segments.back_mut() else { break };
            let entry = Entry {
                seq: event.seq,
                from: self.active.end,
                to: start + end,
                bytes,
                time_ms: event.time_ms,
                age_ms: self.age.now_ms,
                topic: event.topic(),
            };
            let begins = segment.index.push(self.active.base, &entry);
            self.retainer.see(&entry, begins);
            let place = Place { seq: entry.seq, from: entry.from, to: entry.to };
            catalog.newest.push(*key, place);
            self.active.end = start + end;
        }
        announce(&batches);
    }

    /// Lets time take hold of events and ids.
    ///
    /// # Errors
    /// Where files that nobody needs cannot be removed, or the next segment cannot be made.
    pub(crate) fn retain(&mut self, now: Now) -> Result<(), Trouble> {
        self.age.see(now);
        let (retention, now_ms) = (self.settings.retention, self.age.now_ms);
        self.retainer.retain(&self.catalog, &retention, now_ms);
        while self.ids.expire(now_ms, 1024) {}
        let first = self.catalog.lock().first;
        // A stream that fell silent gives back what its last segment takes.
        let is_gone = first > self.last && self.last >= self.active.base;
        if is_gone && self.active.end >= self.settings.segment_bytes / 8 {
            self.roll()?;
        }
        self.drop_segments(first)
    }

    fn drop_segments(&mut self, first: Seq) -> Result<(), Trouble> {
        loop {
            let oldest = {
                let mut catalog = self.catalog.lock();
                let is_old = |segment: &Segment| segment.base <= first;
                // The one behind it begins at or before what is kept.
                let is_gone = catalog.segments.get(1).is_some_and(is_old);
                if is_gone { catalog.segments.pop_front() } else { None }
            };
            let Some(oldest) = oldest else { break };
            match self.disk.remove(&log_name(oldest.base)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Trouble::Broken(error));
                }
                _ => {}
            }
            // Where it is left behind, it is removed at the next start.
            let _ = self.disk.remove(&index_name(oldest.base));
            let _ = self.disk.remove(&newest_name(oldest.base));
        }
        for base in self.sidecars.past(self.ids.oldest()) {
            let _ = self.disk.remove(&ids_name(base));
        }
        Ok(())
    }

    /// Ends the active segment and begins another. In this order, so that a segment that is
    /// followed by another is synced and has an index, whatever happens in between.
    fn roll(&mut self) -> Result<(), Trouble> {
        self.sync()?;
        let (base, salt) = (self.active.base, self.active.salt);
        let (index, newest) = {
            let catalog = self.catalog.lock();
            let Some(segment) = catalog.segments.back() else { return Ok(()) };
            (segment.index.encode(salt), catalog.newest.encode(base, self.key))
        };
        write_all(&*self.disk, &index_name(base), &index)?;
        // Without it, what is newest is found by reading the segment.
        let _ = write_all(&*self.disk, &newest_name(base), &newest);
        let ids: Vec<Slot> = self.ids.after(base.saturating_sub(1)).copied().collect();
        if let Some(newest) = ids.last() {
            write_all(&*self.disk, &ids_name(base), &sidecar::encode(&ids, self.key))?;
            self.sidecars.push(base, newest.seq);
        }
        let base = self.last + 1;
        let salt = self.key.salt(base);
        let file = new_segment(&*self.disk, base, salt)?;
        self.active = Active { base, salt, file: file.clone(), end: HEADER };
        let segment = Segment { base, salt, file, index: Index::default() };
        self.catalog.lock().segments.push_back(segment);
        Ok(())
    }
}

/// Makes the file of a segment, which survives a loss of power.
pub(super) fn new_segment(
    disk: &dyn Disk,
    base: Seq,
    salt: Salt,
) -> Result<Arc<dyn DiskFile>, Trouble> {
    let make = || {
        let file = disk.create(&log_name(base))?;
        file.write_at(&header(base, salt), 0)?;
        Ok(file)
    };
    let made: io::Result<Arc<dyn DiskFile>> = make();
    match made {
        Ok(file) => {
            file.sync().map_err(Trouble::Broken)?;
            disk.sync().map_err(Trouble::Broken)?;
            Ok(file)
        }
        Err(error) => {
            // It holds nothing; the next attempt makes it again.
            let _ = disk.remove(&log_name(base));
            Err(error.into())
        }
    }
}

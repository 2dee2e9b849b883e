use std::collections::VecDeque;
use std::sync::Arc;

use engine::{Batch, Retention};
use protocol::{Event, Seq};
use smallvec::SmallVec;

use super::super::expiry::Expiry;

/// What retention took out of a log: to be dropped when the stream is unlocked again.
pub(super) type Dropped = SmallVec<[Arc<Batch>; 4]>;

/// The events of a memory stream.
///
/// Batches go whole. When retention ends inside the oldest batch, `first` moves and the batch
/// stays: what is held exceeds a bound by less than one batch.
pub(super) struct Log {
    entries: VecDeque<Entry>,
    first: Seq,
    last: Seq,
    /// Of the events from `first`.
    bytes: u64,
    expiry: Expiry,
}

struct Entry {
    batch: Arc<Batch>,
    /// Beside the batch, so that a binary search stays out of the batches.
    last: Seq,
    at_ms: u64,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), first: 1, last: 0, bytes: 0, expiry: Expiry::default() }
    }

    /// First kept seq; `last + 1` where nothing is kept.
    pub(super) fn first(&self) -> Seq {
        self.first
    }

    /// Last seq that was given.
    pub(super) fn last(&self) -> Seq {
        self.last
    }

    /// Events before this seq are older than the bound, whichever bound took them.
    pub(super) fn expired(&self) -> Seq {
        self.expiry.expired()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a batch that begins behind the last event. `at_ms` may not go back.
    pub(super) fn push(&mut self, batch: Arc<Batch>, at_ms: u64) {
        self.last = batch.last();
        self.bytes += batch.bytes() as u64;
        self.entries.push_back(Entry { last: batch.last(), batch, at_ms });
    }

    /// Lets retention take hold, though it drops no more than about `drops_max` batches because of
    /// their age; whether it may have more to do. By count and bytes the newest event is never
    /// taken: an event that no bound has room for is still delivered.
    pub(super) fn retain(
        &mut self,
        keep: &Retention,
        now_ms: u64,
        drops_max: usize,
        dropped: &mut Dropped,
    ) -> bool {
        self.drop_below((self.last + 1).saturating_sub(keep.count.max(1)), keep.age_ms, dropped);
        self.drop_bytes(keep, dropped);
        self.expiry.age(now_ms, keep.age_ms);
        // All events of a batch were appended at one moment.
        let is_old = |at_ms: u64| now_ms.saturating_sub(at_ms) > keep.age_ms;
        for _ in 0..drops_max {
            let Some(oldest) = self.entries.front().filter(|oldest| is_old(oldest.at_ms)) else {
                return false;
            };
            let last = oldest.last;
            self.drop_below(last + 1, keep.age_ms, dropped);
            self.expiry.take_old(last);
        }
        self.entries.front().is_some_and(|oldest| is_old(oldest.at_ms))
    }

    fn drop_bytes(&mut self, keep: &Retention, dropped: &mut Dropped) {
        let bytes_max = keep.bytes;
        while self.bytes > bytes_max && self.first < self.last {
            let Some(oldest) = self.entries.front() else { return };
            let (mut left, mut first) = (self.bytes, self.first);
            for event in oldest.kept(self.first) {
                if left <= bytes_max || event.seq == self.last {
                    break;
                }
                left -= event.draft.bytes() as u64;
                first = event.seq + 1;
            }
            self.drop_below(first, keep.age_ms, dropped);
        }
    }

    /// Moves `first` up to `first`.
    fn drop_below(&mut self, first: Seq, age_ms: u64, dropped: &mut Dropped) {
        while self.first < first {
            let Some(oldest) = self.entries.front() else { return };
            if oldest.last >= first {
                let gone = oldest.kept(self.first).iter().take((first - self.first) as usize);
                self.bytes -= bytes_of(gone);
                self.first = first;
                return;
            }
            self.bytes -= oldest.kept_bytes(self.first);
            self.first = oldest.last + 1;
            let Some(gone) = self.entries.pop_front() else { return };
            self.expiry.take_young(gone.last, gone.at_ms, age_ms);
            dropped.push(gone.batch);
        }
    }

    /// The batches with events after `after`, oldest first. The first may begin at or before
    /// `after`, and before `first`.
    pub(super) fn after(&self, after: Seq) -> impl Iterator<Item = &Arc<Batch>> {
        let from = self.entries.partition_point(|entry| entry.last <= after);
        self.entries.range(from..).map(|entry| &entry.batch)
    }

    /// The batches that end before `before`, newest first.
    pub(super) fn before(&self, before: Seq) -> impl Iterator<Item = &Arc<Batch>> {
        let to = self.entries.partition_point(|entry| entry.last < before);
        self.entries.range(..to).rev().map(|entry| &entry.batch)
    }

    /// The first kept event at or after a time, in ms since 1970.
    pub(super) fn since(&self, time_ms: u64) -> Option<&Event> {
        let earlier = |event: &Event| event.time_ms < time_ms;
        let at =
            self.entries.partition_point(|entry| entry.batch.events().last().is_some_and(earlier));
        let kept = self.entries.get(at)?.kept(self.first);
        kept.get(kept.partition_point(earlier))
    }
}

impl Entry {
    /// Its events from `first`.
    fn kept(&self, first: Seq) -> &[Event] {
        self.batch.after(first.saturating_sub(1))
    }

    fn kept_bytes(&self, first: Seq) -> u64 {
        if first <= self.batch.first() {
            return self.batch.bytes() as u64;
        }
        bytes_of(self.kept(first).iter())
    }
}

fn bytes_of<'a>(events: impl Iterator<Item = &'a Event>) -> u64 {
    events.map(|event| event.draft.bytes() as u64).sum()
}

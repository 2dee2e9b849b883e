use engine::Retention;
use protocol::Seq;

use super::super::expiry::Expiry;
use super::catalog::{Catalog, Contents, Part};
use super::index::Entry;
use super::segment::{Found, read_block};

/// Moves the first kept seq of a log. Events are forgotten one by one, their files segment by
/// segment later.
#[derive(Default)]
pub(crate) struct Retainer {
    expiry: Expiry,
    front: Option<Front>,
}

/// The block of the first kept event, whose events are taken one by one.
struct Front {
    last: Seq,
    /// Seq, bytes and age of the events that are left in it.
    events: std::collections::VecDeque<(Seq, u64, u64)>,
    /// Of the block, and not taken yet.
    bytes: u64,
}

impl Front {
    /// Reads the block; what is damaged in it counts with its neighbours.
    fn read(part: &Part) -> Self {
        let Part::Block(file, salt, block) = part else {
            return Self { last: part.last(), events: Default::default(), bytes: 0 };
        };
        let events =
            read_block(&**file, *salt, block).into_iter().filter_map(|found| match found {
                Found::Event(event, age_ms) => {
                    Some((event.seq, event.draft.bytes() as u64, age_ms))
                }
                Found::Missing(..) => None,
            });
        Self { last: block.last, events: events.collect(), bytes: block.bytes }
    }

    /// Takes what is before `first`; its bytes.
    fn take(&mut self, first: Seq, expiry: &mut Expiry, age_ms: u64) -> u64 {
        let mut bytes = 0;
        while let Some((seq, size, at_ms)) = self.events.pop_front_if(|(seq, ..)| *seq < first) {
            bytes += size;
            expiry.take_young(seq, at_ms, age_ms);
        }
        if first > self.last {
            // Whatever the index counted and could not be read is gone with the block.
            bytes = self.bytes;
        }
        bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        bytes
    }
}

impl Retainer {
    pub(crate) fn expired(&self) -> Seq {
        self.expiry.expired()
    }

    /// What is before `first` was forgotten before the log was opened.
    pub(crate) fn skip_to(&mut self, catalog: &Catalog, first: Seq) {
        self.drop_below(first, catalog, 0);
    }

    /// An event was added to the last block of the log, or began another.
    pub(crate) fn see(&mut self, entry: &Entry<'_>, begins: bool) {
        let is_at_end = |front: &&mut Front| !begins && front.last + 1 == entry.seq;
        if let Some(front) = self.front.as_mut().filter(is_at_end) {
            front.last = entry.seq;
            front.bytes += entry.bytes;
            front.events.push_back((entry.seq, entry.bytes, entry.age_ms));
        }
    }

    /// Applies every bound. By count and bytes the newest event is never taken.
    pub(crate) fn retain(&mut self, catalog: &Catalog, keep: &Retention, now_ms: u64) {
        let last = catalog.lock().last;
        self.drop_below((last + 1).saturating_sub(keep.count.max(1)), catalog, keep.age_ms);
        self.drop_bytes(catalog, keep);
        self.expiry.age(now_ms, keep.age_ms);
        self.drop_old(catalog, keep, now_ms);
    }

    fn drop_bytes(&mut self, catalog: &Catalog, keep: &Retention) {
        loop {
            let (first, last, bytes, front) = state(catalog);
            let Some(front) = front.filter(|_| bytes > keep.bytes && first < last) else { return };
            let of_block = self.bytes_left(&front, first);
            if front.last() < last && bytes - of_block.min(bytes) > keep.bytes {
                self.drop_below(front.last() + 1, catalog, keep.age_ms);
                continue;
            }
            let (mut left, mut first) = (bytes, first);
            for (seq, size, _) in &self.load(&front, first).events {
                if left <= keep.bytes || *seq == last {
                    break;
                }
                left = left.saturating_sub(*size);
                first = seq + 1;
            }
            // Where only what is damaged is left of the block, it goes whole.
            let is_stuck = left > keep.bytes && first <= front.last() && front.last() < last;
            let first = if is_stuck { front.last() + 1 } else { first };
            let before = catalog.lock().first;
            self.drop_below(first, catalog, keep.age_ms);
            if catalog.lock().first == before {
                return;
            }
        }
    }

    fn drop_old(&mut self, catalog: &Catalog, keep: &Retention, now_ms: u64) {
        let is_old = |at_ms: u64| now_ms.saturating_sub(at_ms) > keep.age_ms;
        loop {
            let (first, _, _, Some(front)) = state(catalog) else { return };
            let until = match &front {
                Part::Block(.., block) if is_old(block.last_age_ms) => block.last + 1,
                Part::Block(.., block) if is_old(block.first_age_ms) => {
                    let mut events = self.load(&front, first).events.iter();
                    let young = events.find(|(.., at_ms)| !is_old(*at_ms));
                    young.map_or(first, |(seq, ..)| *seq)
                }
                // It is as old as what stood before it.
                Part::Missing(_, last) if self.expiry.expired() >= first => last + 1,
                _ => first,
            };
            if until <= first {
                return;
            }
            self.drop_below(until, catalog, keep.age_ms);
            self.expiry.take_old(until - 1);
        }
    }

    /// Moves the first kept seq up to `first`.
    fn drop_below(&mut self, first: Seq, catalog: &Catalog, age_ms: u64) {
        loop {
            let (kept, last, _, Some(front)) = state(catalog) else { return };
            let until = first.min(front.last() + 1).min(last + 1);
            if until <= kept {
                return;
            }
            let is_untouched = self.front.as_ref().is_none_or(|known| known.last != front.last());
            let bytes = match &front {
                Part::Block(.., block)
                    if is_untouched && until > block.last && kept <= block.first =>
                {
                    self.expiry.take_young(block.last, block.last_age_ms, age_ms);
                    block.bytes
                }
                _ => {
                    self.load(&front, kept);
                    let expiry = &mut self.expiry;
                    self.front.as_mut().map_or(0, |front| front.take(until, expiry, age_ms))
                }
            };
            let mut contents = catalog.lock();
            contents.bytes -= bytes.min(contents.bytes);
            contents.first = until;
            contents.newest.trim(until);
        }
    }

    fn bytes_left(&mut self, front: &Part, first: Seq) -> u64 {
        match front {
            Part::Block(.., block) if first <= block.first => block.bytes,
            _ => self.load(front, first).bytes,
        }
    }

    /// The events of the front block from `first` on. A block that grew since is read again.
    fn load(&mut self, part: &Part, first: Seq) -> &mut Front {
        let known = self.front.take().filter(|known| known.last == part.last());
        let front = known.unwrap_or_else(|| {
            let mut front = Front::read(part);
            // What was taken of it before counts no more.
            let gone: u64 =
                front.events.iter().take_while(|(seq, ..)| *seq < first).map(|(_, b, _)| b).sum();
            front.bytes -= gone.min(front.bytes);
            front.events.retain(|(seq, ..)| *seq >= first);
            front
        });
        self.front.insert(front)
    }
}

fn state(catalog: &Catalog) -> (Seq, Seq, u64, Option<Part>) {
    let contents: &Contents = &catalog.lock();
    (contents.first, contents.last, contents.bytes, contents.front())
}

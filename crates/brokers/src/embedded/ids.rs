use std::collections::VecDeque;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use protocol::Seq;

use super::fingerprint::{Claim, Fingerprint};

/// Tables per window. Many small ones, because a table that grows is rehashed while its stream is
/// locked: a sixty-fourth of a million ids takes well under a millisecond.
const TABLES: usize = 64;
/// Beyond this, the low 32 bits of an id's number would not name it.
const COUNT_MAX: usize = 1 << 30;

/// The idempotency ids that a stream remembers: those of the last so many ms, at most so many.
///
/// An id costs its slot (48 bytes; the queue has up to twice the room it needs) and 6 to 12 bytes
/// of table, however long it is and whatever was published.
pub(crate) struct IdWindow {
    age_ms_max: u64,
    count_max: usize,
    /// In the order in which they were taken.
    slots: VecDeque<Slot>,
    /// The number of the oldest slot. They are numbered as they come, modulo 2³².
    oldest: u32,
    /// Numbers of slots by their id. Empty until there is an id.
    tables: Box<[HashTable<u32>]>,
}

/// An id that is remembered.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) claim: Claim,
    pub(crate) seq: Seq,
    pub(crate) at_ms: u64,
}

/// What is known of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: it may be taken.
    Nothing,
    /// The same was published under it, at this seq.
    Same(Seq),
    /// Something else was published under it.
    Other,
}

impl IdWindow {
    /// An empty window.
    pub(crate) fn new(age_ms_max: u64, count_max: usize) -> Self {
        let count_max = count_max.min(COUNT_MAX);
        Self { age_ms_max, count_max, slots: VecDeque::new(), oldest: 0, tables: Box::default() }
    }

    /// What is known of a claim's id at the time `now_ms`.
    pub(crate) fn find(&self, claim: &Claim, now_ms: u64) -> Known {
        let Some(table) = self.tables.get(table_of(&claim.id)) else { return Known::Nothing };
        let is_same = |number: &u32| self.slot(*number).is_some_and(|s| s.claim.id == claim.id);
        match table.find(claim.id[0], is_same).and_then(|number| self.slot(*number)) {
            Some(slot) if self.is_past(slot, now_ms) => Known::Nothing,
            Some(slot) if slot.claim.content == claim.content => Known::Same(slot.seq),
            Some(_) => Known::Other,
            None => Known::Nothing,
        }
    }

    /// Takes an id of which nothing is known; the oldest goes where there are too many, and is
    /// given back.
    pub(crate) fn insert(&mut self, claim: Claim, seq: Seq, at_ms: u64) -> Option<Slot> {
        if self.count_max == 0 {
            return None;
        }
        let is_full = self.slots.len() >= self.count_max;
        let gone = if is_full { self.remove_oldest() } else { None };
        if self.tables.is_empty() {
            self.tables = (0..TABLES).map(|_| HashTable::new()).collect();
        }
        let (slots, oldest) = (&self.slots, self.oldest);
        let id_at = |number: &u32| slot_at(slots, oldest, *number).map(|slot| slot.claim.id);
        let number = oldest.wrapping_add(slots.len() as u32);
        if let Some(table) = self.tables.get_mut(table_of(&claim.id)) {
            let is_same = |at: &u32| id_at(at) == Some(claim.id);
            match table.entry(claim.id[0], is_same, |at| id_at(at).map_or(0, |id| id[0])) {
                // Its time was over, but nobody had removed it yet.
                Entry::Occupied(mut entry) => *entry.get_mut() = number,
                Entry::Vacant(entry) => drop(entry.insert(number)),
            }
        }
        self.slots.push_back(Slot { claim, seq, at_ms });
        gone
    }

    /// Undoes the insertions of seqs after `last`, which gave back `gone`, oldest first.
    pub(crate) fn undo(&mut self, last: Seq, gone: Vec<Slot>) {
        while let Some(slot) = self.slots.pop_back_if(|slot| slot.seq > last) {
            let number = self.oldest.wrapping_add(self.slots.len() as u32);
            self.forget(&slot, number);
        }
        for slot in gone.into_iter().rev() {
            self.oldest = self.oldest.wrapping_sub(1);
            let (slots, oldest, id) = (&self.slots, self.oldest, slot.claim.id);
            let hash = |at: &u32| slot_at(slots, oldest, *at).map_or(0, |slot| slot.claim.id[0]);
            if let Some(table) = self.tables.get_mut(table_of(&id)) {
                table.insert_unique(id[0], oldest, hash);
            }
            self.slots.push_front(slot);
        }
    }

    /// The ids of seqs after `seq`, oldest first.
    pub(crate) fn after(&self, seq: Seq) -> impl Iterator<Item = &Slot> {
        self.slots.range(self.slots.partition_point(|slot| slot.seq <= seq)..)
    }

    /// The seq of the oldest id.
    pub(crate) fn oldest(&self) -> Option<Seq> {
        self.slots.front().map(|slot| slot.seq)
    }

    /// Removes ids whose time is over, at most `most`; whether there may be more of them.
    pub(crate) fn expire(&mut self, now_ms: u64, most: usize) -> bool {
        for _ in 0..most {
            match self.slots.front() {
                Some(slot) if self.is_past(slot, now_ms) => drop(self.remove_oldest()),
                _ => break,
            }
        }
        if self.slots.is_empty() {
            // What a burst needed is given back.
            self.slots = VecDeque::new();
            self.tables = Box::default();
        }
        self.slots.front().is_some_and(|slot| self.is_past(slot, now_ms))
    }

    fn remove_oldest(&mut self) -> Option<Slot> {
        let slot = self.slots.pop_front()?;
        let number = self.oldest;
        self.oldest = number.wrapping_add(1);
        self.forget(&slot, number);
        Some(slot)
    }

    fn forget(&mut self, slot: &Slot, number: u32) {
        if let Some(table) = self.tables.get_mut(table_of(&slot.claim.id)) {
            // By number: the id may have been taken again since, and then stays.
            if let Ok(entry) = table.find_entry(slot.claim.id[0], |at| *at == number) {
                entry.remove();
            }
        }
    }

    fn is_past(&self, slot: &Slot, now_ms: u64) -> bool {
        now_ms.saturating_sub(slot.at_ms) > self.age_ms_max
    }

    fn slot(&self, number: u32) -> Option<&Slot> {
        slot_at(&self.slots, self.oldest, number)
    }
}

fn slot_at(slots: &VecDeque<Slot>, oldest: u32, number: u32) -> Option<&Slot> {
    slots.get(number.wrapping_sub(oldest) as usize)
}

/// Another part of the id than the tables hash by.
fn table_of(id: &Fingerprint) -> usize {
    id[1] as usize % TABLES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(id: u64, content: u64) -> Claim {
        // Ids that share a table and even a hash have to be told apart.
        Claim { id: [id % 3, id], content: [content, 0] }
    }

    #[test]
    fn remembers_until_the_time_is_over() {
        let mut ids = IdWindow::new(10, 100);
        ids.insert(claim(1, 1), 5, 0);
        assert_eq!(ids.find(&claim(1, 1), 10), Known::Same(5));
        assert_eq!(ids.find(&claim(1, 2), 10), Known::Other);
        assert_eq!(ids.find(&claim(1, 1), 11), Known::Nothing);
    }

    #[test]
    fn an_id_that_is_taken_again_survives_the_removal_of_its_past() {
        let mut ids = IdWindow::new(10, 100);
        ids.insert(claim(1, 1), 5, 0);
        ids.insert(claim(1, 2), 6, 11);
        assert!(!ids.expire(11, 10));
        assert_eq!(ids.slots.len(), 1);
        assert_eq!(ids.find(&claim(1, 2), 11), Known::Same(6));
    }

    #[test]
    fn what_came_to_nothing_is_undone() {
        let mut ids = IdWindow::new(10, 4);
        for id in 0..4 {
            ids.insert(claim(id, 0), id + 1, 0);
        }
        let gone = (10..13).filter_map(|id| ids.insert(claim(id, 0), id, 0)).collect();
        ids.undo(4, gone);
        for id in 0..13 {
            let known = if id < 4 { Known::Same(id + 1) } else { Known::Nothing };
            assert_eq!(ids.find(&claim(id, 0), 0), known, "{id}");
        }
        assert_eq!((ids.oldest(), ids.after(2).count()), (Some(1), 2));
        let tables: usize = ids.tables.iter().map(HashTable::len).sum();
        assert_eq!(tables, 4);
    }

    #[test]
    fn numbers_may_wrap_around_and_what_is_past_gives_its_room_back() {
        let mut ids = IdWindow::new(10, 100);
        ids.oldest = u32::MAX - 150;
        for id in 0..300 {
            ids.insert(claim(id, 0), id + 1, id / 100);
            assert!(ids.slots.len() <= 100);
        }
        for id in 0..300 {
            let known = if id < 200 { Known::Nothing } else { Known::Same(id + 1) };
            assert_eq!(ids.find(&claim(id, 0), 10), known, "{id}");
        }
        assert!(ids.expire(13, 99));
        assert!(!ids.expire(13, 99));
        assert!(ids.slots.capacity() == 0 && ids.tables.is_empty());
    }

    #[test]
    fn an_id_costs_at_most_120_bytes() {
        let mut ids = IdWindow::new(10, 1_000_000);
        for id in 0..600_000_u64 {
            // Spread as hashes are.
            let spread = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ids.insert(Claim { id: [spread, spread >> 7], content: [0, 0] }, id, 0);
        }
        let slots = ids.slots.capacity() * size_of::<Slot>();
        let tables: usize = ids.tables.iter().map(HashTable::allocation_size).sum();
        assert!((slots + tables) / ids.slots.len() <= 120, "{slots} {tables}");
    }
}

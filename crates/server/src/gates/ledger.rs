use std::collections::VecDeque;

use protocol::Seq;

/// How many bytes of a stream stand behind a seq, as far back as a bound: further back is simply
/// more than that, so it holds little however far a consumer is behind.
pub(super) struct Ledger {
    bytes_max: u64,
    /// What stood in the stream before it was looked at.
    before: Before,
    /// How much stands behind an earlier seq is not known any more.
    floor: Seq,
    floor_bytes: u64,
    /// Seqs, each with the bytes of all events up to it that were counted.
    entries: VecDeque<(Seq, u64)>,
    total_bytes: u64,
}

/// Events that were not counted one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) last: Seq,
    /// Bytes of one of them, on average.
    pub(super) average_bytes: u64,
}

impl Ledger {
    pub(super) fn new(bytes_max: u64, before: Before) -> Self {
        let (floor, floor_bytes, total_bytes) = (0, 0, 0);
        Self { bytes_max, before, floor, floor_bytes, entries: VecDeque::new(), total_bytes }
    }

    /// An event was appended. Threads may tell of them in another order than that of the stream.
    pub(super) fn appended(&mut self, seq: Seq, bytes: u64) {
        if seq <= self.floor {
            return;
        }
        let place = self.entries.partition_point(|(other, _)| *other < seq);
        let before = self.bytes_up_to(place);
        self.total_bytes += bytes;
        self.entries.insert(place, (seq, before + bytes));
        for (_, up_to) in self.entries.range_mut(place + 1..) {
            *up_to += bytes;
        }
        while let Some(&(oldest, up_to)) = self.entries.front()
            && self.total_bytes - up_to > self.bytes_max
        {
            (self.floor, self.floor_bytes) = (oldest, up_to);
            self.entries.pop_front();
        }
    }

    /// Bytes of the events after `seq`; at least more than the bound where that is unknown.
    pub(super) fn bytes_after(&self, seq: Seq) -> u64 {
        if seq < self.floor {
            return u64::MAX;
        }
        let place = self.entries.partition_point(|(other, _)| *other <= seq);
        let counted = self.total_bytes - self.bytes_up_to(place);
        let uncounted = self.before.last.saturating_sub(seq);
        counted.saturating_add(uncounted.saturating_mul(self.before.average_bytes))
    }

    /// Counted bytes in front of a place of the entries.
    fn bytes_up_to(&self, place: usize) -> u64 {
        let entry = place.checked_sub(1).and_then(|last| self.entries.get(last));
        entry.map_or(self.floor_bytes, |(_, up_to)| *up_to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_stands_behind_each_seq() {
        let mut ledger = Ledger::new(1_000, Before { last: 10, average_bytes: 7 });
        assert_eq!((ledger.bytes_after(10), ledger.bytes_after(8)), (0, 14));
        for (seq, bytes) in [(11, 100), (12, 200), (13, 300)] {
            ledger.appended(seq, bytes);
        }
        let after = [9, 10, 11, 12, 13, 14].map(|seq| ledger.bytes_after(seq));
        assert_eq!(after, [607, 600, 500, 300, 0, 0]);
    }

    #[test]
    fn the_order_in_which_it_is_told_makes_no_difference() {
        let (mut straight, mut mixed) =
            (Ledger::new(1 << 20, Before::default()), Ledger::new(1 << 20, Before::default()));
        for seq in 1..=100 {
            straight.appended(seq, seq * 3);
            // 10, 9, … 1, 20, 19, …
            let turned = (seq - 1) / 10 * 10 + 10 - (seq - 1) % 10;
            mixed.appended(turned, turned * 3);
        }
        for seq in 0..=100 {
            assert_eq!(straight.bytes_after(seq), mixed.bytes_after(seq), "{seq}");
        }
    }

    #[test]
    fn holds_no_more_than_its_bound_and_is_exact_up_to_it() {
        let mut ledger = Ledger::new(1_000, Before::default());
        for seq in 1..=100_000 {
            ledger.appended(seq, 10);
        }
        assert!(ledger.entries.len() <= 101, "{}", ledger.entries.len());
        assert_eq!(ledger.bytes_after(99_900), 1_000);
        assert_eq!(ledger.bytes_after(99_899), 1_010);
        assert!(ledger.bytes_after(99_000) > 1_000);
        // What comes late from far behind is not counted again.
        ledger.appended(5, 10);
        assert_eq!(ledger.bytes_after(99_900), 1_000);
    }
}

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use protocol::Seq;

use super::super::fingerprint::{Fingerprint, Key};
use super::record::number;

/// Most topics and audiences of a stream whose newest events can be found without reading the log:
/// about 150 bytes each.
const KNOWN_MAX: usize = 1 << 18;
/// Places that are replaced and still held, besides as many as there are others.
const REPLACED_MAX: usize = 1 << 10;
const MAGIC: &[u8] = b"tidings newest 1";
/// Bytes before the first place.
const HEAD: usize = 32;
const PLACE_LEN: usize = 40;

/// Where a record stands in the file of the segment that holds its seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seq: Seq,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// Where the newest event of each topic and audience stands: what a compacted view reads, instead
/// of the log.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    /// It knows of everything after this seq.
    since: Seq,
    newest: HashMap<Fingerprint, Seq, BuildHasherDefault<Itself>>,
    /// In seq order, with some that are replaced by now: to take them out one by one would cost
    /// every append more than it costs to pass over them.
    places: VecDeque<(Fingerprint, Place)>,
}

/// A fingerprint is a hash already, of a key that nobody knows.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = number::<8>(bytes, 0).unwrap_or(self.0);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Newest {
    /// One that knows of everything after `since`.
    pub(crate) fn after(since: Seq) -> Self {
        Self { since, ..Self::default() }
    }

    /// It knows of everything after this seq.
    pub(crate) fn since(&self) -> Seq {
        self.since
    }

    /// Takes the next event, of the topic and audience that `key` stands for.
    pub(crate) fn push(&mut self, key: Fingerprint, place: Place) {
        self.newest.insert(key, place.seq);
        self.places.push_back((key, place));
        if self.places.len() > 2 * self.newest.len() + REPLACED_MAX {
            let newest = &self.newest;
            self.places.retain(|(key, place)| newest.get(key) == Some(&place.seq));
        }
        if self.newest.len() > KNOWN_MAX {
            let oldest = self.places(0).next();
            self.forget(oldest.map_or(0, |oldest| oldest.seq));
        }
    }

    /// Takes what is known of the next segment, which begins at `base`.
    pub(crate) fn append(&mut self, base: Seq, later: &Self) {
        if later.since >= base {
            // What nothing is known of may hold a newer event of any topic.
            self.forget(later.since);
        }
        for (key, place) in &later.places {
            self.push(*key, *place);
        }
    }

    /// Knows nothing of events up to `seq` any more: these are read from the log.
    pub(crate) fn forget(&mut self, seq: Seq) {
        self.since = self.since.max(seq);
        self.trim(seq + 1);
    }

    /// What stands before `first` is not kept any more.
    pub(crate) fn trim(&mut self, first: Seq) {
        while let Some((key, place)) = self.places.pop_front_if(|(_, place)| place.seq < first) {
            if self.newest.get(&key) == Some(&place.seq) {
                self.newest.remove(&key);
            }
        }
    }

    /// The newest events after `seq`, in seq order.
    pub(crate) fn places(&self, seq: Seq) -> impl Iterator<Item = Place> {
        self.after_seq(seq).map(|(_, place)| *place)
    }

    fn after_seq(&self, seq: Seq) -> impl Iterator<Item = &(Fingerprint, Place)> {
        let from = self.places.partition_point(|(_, place)| place.seq <= seq);
        let is_newest =
            |(key, place): &&(Fingerprint, Place)| self.newest.get(key) == Some(&place.seq);
        self.places.range(from..).filter(is_newest)
    }

    /// What it knows of the newest segment, which begins at `base`, as a file. It means nothing to
    /// who has another key.
    pub(crate) fn encode(&self, base: Seq, key: Key) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let since = self.since.max(base.saturating_sub(1));
        for number in [base, since] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for ([a, b], place) in self.after_seq(base.saturating_sub(1)) {
            for number in [*a, *b, place.seq, place.from, place.to] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        let checksum = key.salt(base).checksum(&[&out]);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads the file of the segment from `base` to `last`; `None` where it is damaged, of another
    /// segment or of another key.
    pub(crate) fn decode(bytes: &[u8], base: Seq, last: Seq, key: Key) -> Option<Self> {
        let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        let is_sound = u64::from(key.salt(base).checksum(&[body])) == number::<4>(checksum, 0)?;
        if !is_sound || !body.starts_with(MAGIC) || number::<8>(body, MAGIC.len())? != base {
            return None;
        }
        let mut newest = Self::after(number::<8>(body, MAGIC.len() + 8)?);
        for chunk in body.get(HEAD..)?.chunks(PLACE_LEN) {
            let at = |n: usize| number::<8>(chunk, n * 8);
            let place = Place { seq: at(2)?, from: at(3)?, to: at(4)? };
            let is_of_segment = (base..=last).contains(&place.seq) && place.from < place.to;
            if !is_of_segment {
                return None;
            }
            newest.push([at(0)?, at(1)?], place);
        }
        (newest.since <= last).then_some(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([1, 2]);

    fn filled(seqs: std::ops::RangeInclusive<Seq>) -> Newest {
        let mut newest = Newest::after(seqs.start() - 1);
        for seq in seqs {
            newest.push([seq % 10, 7], Place { seq, from: seq * 100, to: seq * 100 + 90 });
        }
        newest
    }

    fn seqs(newest: &Newest, after: Seq) -> Vec<Seq> {
        newest.places(after).map(|place| place.seq).collect()
    }

    #[test]
    fn the_newest_of_each_key_is_known_however_it_was_put_together() {
        let whole = filled(1..=55);
        assert_eq!(seqs(&whole, 0), (46..=55).collect::<Vec<Seq>>());
        let mut again = Newest::default();
        for (first, last) in [(1, 20), (21, 52), (53, 55)] {
            let stored = filled(1..=last).encode(first, KEY);
            again.append(first, &Newest::decode(&stored, first, last, KEY).unwrap());
        }
        assert_eq!((again.since(), seqs(&again, 0)), (0, seqs(&whole, 0)));
        // A segment that nothing is known of may hold newer ones of all that came before it.
        let mut torn = filled(1..=20);
        torn.append(21, &Newest::after(52));
        torn.append(53, &filled(53..=55));
        assert_eq!((torn.since(), seqs(&torn, 0)), (52, vec![53, 54, 55]));
        again.trim(50);
        assert_eq!((again.since(), seqs(&again, 52)), (0, vec![53, 54, 55]));
        assert_eq!(again.newest.len(), 6);
    }

    #[test]
    fn what_is_known_has_a_bound() {
        let mut newest = Newest::default();
        for seq in 1..=KNOWN_MAX as Seq + 3 {
            newest.push([seq, 0], Place { seq, from: seq, to: seq + 1 });
        }
        assert_eq!((newest.since(), newest.newest.len()), (3, KNOWN_MAX));
    }

    #[test]
    fn damage_and_other_segments_are_found_out() {
        let stored = filled(1..=30).encode(11, KEY);
        assert!(Newest::decode(&stored, 11, 30, KEY).is_some());
        assert!(Newest::decode(&stored, 11, 29, KEY).is_none());
        assert!(Newest::decode(&stored, 12, 30, KEY).is_none());
        assert!(Newest::decode(&stored, 11, 30, Key([1, 3])).is_none());
        for at in (0..stored.len()).step_by(5) {
            let mut bad = stored.clone();
            bad[at] ^= 4;
            assert!(Newest::decode(&bad, 11, 30, KEY).is_none(), "{at}");
            assert!(Newest::decode(&stored[..at], 11, 30, KEY).is_none());
        }
    }
}

use protocol::{Seq, Topic};

use super::record::{Salt, number};
use super::topics::{TopicSet, Topics};

/// About how many bytes of a file a block has: what a search passes over or reads as one.
pub(crate) const BLOCK_BYTES: u64 = 64 << 10;

/// Neighbouring records of a segment. The blocks of a segment leave no seq out: what is missing
/// between two records belongs to the block of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// First seq.
    pub(crate) first: Seq,
    /// Last seq.
    pub(crate) last: Seq,
    /// Where it begins in the file.
    pub(crate) from: u64,
    /// Where it ends.
    pub(crate) to: u64,
    /// Of its events, as [`protocol::Draft::bytes`] counts them.
    pub(crate) bytes: u64,
    /// The time of its last event, in ms since 1970.
    pub(crate) time_ms: u64,
    /// When its first and its last event were appended, by the log's own clock.
    pub(crate) first_age_ms: u64,
    pub(crate) last_age_ms: u64,
    pub(crate) topics: TopicSet,
}

/// What is known of a segment without reading it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    pub(crate) blocks: Vec<Block>,
    pub(crate) topics: Topics,
}

/// What the index takes of a record.
pub(crate) struct Entry<'a> {
    pub(crate) seq: Seq,
    /// Where the record begins and ends.
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) bytes: u64,
    pub(crate) time_ms: u64,
    pub(crate) age_ms: u64,
    pub(crate) topic: &'a Topic,
}

impl Index {
    /// Takes the next record; `base` is the segment's first seq. Whether it begins a block.
    pub(crate) fn push(&mut self, base: Seq, entry: &Entry<'_>) -> bool {
        let first = self.blocks.last().map_or(base, |block| block.last + 1);
        let has_room = |block: &&mut Block| entry.to - block.from <= BLOCK_BYTES;
        if let Some(block) = self.blocks.last_mut().filter(has_room) {
            (block.last, block.to) = (entry.seq, entry.to);
            block.bytes += entry.bytes;
            (block.time_ms, block.last_age_ms) = (entry.time_ms, entry.age_ms);
            self.topics.note(&mut block.topics, entry.topic);
            return false;
        }
        let mut topics = TopicSet::default();
        self.topics.note(&mut topics, entry.topic);
        let (first_age_ms, last_age_ms) = (entry.age_ms, entry.age_ms);
        let (last, from, to, bytes, time_ms) =
            (entry.seq, entry.from, entry.to, entry.bytes, entry.time_ms);
        self.blocks.push(Block {
            first,
            last,
            from,
            to,
            bytes,
            time_ms,
            first_age_ms,
            last_age_ms,
            topics,
        });
        true
    }

    /// The last seq, where there is a record.
    pub(crate) fn last(&self) -> Option<Seq> {
        self.blocks.last().map(|block| block.last)
    }

    /// The index as a file.
    pub(crate) fn encode(&self, salt: Salt) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.blocks.len() * BLOCK_LEN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&salt.0.to_le_bytes());
        out.extend_from_slice(&(self.topics.names().len() as u32).to_le_bytes());
        for name in self.topics.names() {
            out.push(name.as_str().len() as u8);
            out.extend_from_slice(name.as_str().as_bytes());
        }
        for block in &self.blocks {
            for number in block.numbers() {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        let checksum = salt.checksum(&[&out]);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads a file; `None` where it is damaged or of another version: then the segment is read.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Salt, Self)> {
        let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        let salt = Salt(number::<4>(body, MAGIC.len())? as u32);
        let is_sound = u64::from(salt.checksum(&[body])) == number::<4>(checksum, 0)?;
        if !is_sound || !body.starts_with(MAGIC) {
            return None;
        }
        let mut at = MAGIC.len() + 8;
        let mut names = Vec::new();
        for _ in 0..number::<4>(body, at - 4)? {
            let len = usize::from(*body.get(at)?);
            let name = std::str::from_utf8(body.get(at + 1..at + 1 + len)?).ok()?;
            names.push(Topic::parse(name).ok()?);
            at += 1 + len;
        }
        let chunks = body.get(at..)?.chunks(BLOCK_LEN);
        let blocks = chunks.map(Block::decode).collect::<Option<Vec<_>>>()?;
        let is_whole = |pair: &[Block]| match pair {
            [a, b] => a.last + 1 == b.first && a.to <= b.from,
            _ => true,
        };
        let is_whole = blocks.windows(2).all(is_whole)
            && blocks.iter().all(|block| block.first <= block.last && block.from <= block.to);
        is_whole.then_some((salt, Self { blocks, topics: Topics::of(names)? }))
    }
}

const MAGIC: &[u8] = b"tidings index 1\n";
const BLOCK_NUMBERS: usize = 13;
const BLOCK_LEN: usize = BLOCK_NUMBERS * 8;

impl Block {
    fn numbers(&self) -> [u64; BLOCK_NUMBERS] {
        let [a, b, c, d] = self.topics.words;
        let is_open = u64::from(self.topics.is_open);
        let (first_age_ms, last_age_ms) = (self.first_age_ms, self.last_age_ms);
        let (first, last, from, to) = (self.first, self.last, self.from, self.to);
        let (bytes, time_ms) = (self.bytes, self.time_ms);
        [first, last, from, to, bytes, time_ms, first_age_ms, last_age_ms, a, b, c, d, is_open]
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut numbers = [0; BLOCK_NUMBERS];
        for (at, slot) in numbers.iter_mut().enumerate() {
            *slot = number::<8>(bytes, at * 8)?;
        }
        let [first, last, from, to, bytes, time_ms, first_age_ms, last_age_ms, a, b, c, d, is_open] =
            numbers;
        let topics = TopicSet { words: [a, b, c, d], is_open: is_open != 0 };
        Some(Self { first, last, from, to, bytes, time_ms, first_age_ms, last_age_ms, topics })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_survives_being_stored_and_damage_is_found() {
        let mut index = Index::default();
        for seq in (5..400).filter(|seq| seq % 7 != 0) {
            let topic = Topic::parse(&format!("t.{}", seq % 290)).unwrap();
            let (from, to) = (seq * 1000, (seq + 1) * 1000);
            let (time_ms, age_ms) = (seq * 2, seq);
            let entry = Entry { seq, from, to, bytes: 300, time_ms, age_ms, topic: &topic };
            index.push(5, &entry);
        }
        assert!(index.blocks.len() > 5);
        assert_eq!((index.blocks[0].first, index.last()), (5, Some(398)));
        let stored = index.encode(Salt(9));
        let (salt, again) = Index::decode(&stored).unwrap();
        assert_eq!((salt, &again.blocks), (Salt(9), &index.blocks));
        assert_eq!(again.topics.names(), index.topics.names());
        for at in (0..stored.len()).step_by(13) {
            let mut bad = stored.clone();
            bad[at] ^= 4;
            assert!(Index::decode(&bad).is_none(), "{at}");
            assert!(Index::decode(&stored[..at]).is_none());
        }
    }
}

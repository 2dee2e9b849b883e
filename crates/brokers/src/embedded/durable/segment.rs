use std::io;
use std::sync::Arc;

use bytes::Bytes;
use protocol::{Event, Seq};

use super::super::fingerprint::{Key, key_of};
use super::disk::DiskFile;
use super::index::{Block, Entry, Index};
use super::newest::{Newest, Place};
use super::record::{Decoder, Record, Salt, is_of_later_version, number};

const MAGIC: &[u8] = b"tidings log 1\n\0\0";
/// Bytes before the first record: magic, first seq, salt, checksum.
pub(crate) const HEADER: u64 = 32;

/// A file of the log.
#[derive(Clone)]
pub(crate) struct Segment {
    /// The first seq that it may hold.
    pub(crate) base: Seq,
    pub(crate) salt: Salt,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) index: Index,
}

/// The names of a segment's files: records, index, newest events, idempotency ids.
pub(crate) fn log_name(base: Seq) -> String {
    format!("{base:020}.log")
}

pub(crate) fn index_name(base: Seq) -> String {
    format!("{base:020}.index")
}

pub(crate) fn newest_name(base: Seq) -> String {
    format!("{base:020}.newest")
}

pub(crate) fn ids_name(base: Seq) -> String {
    format!("{base:020}.ids")
}

/// The first seq in a file's name with this ending.
pub(crate) fn base_of(name: &str, ending: &str) -> Option<Seq> {
    name.strip_suffix(ending)?.strip_suffix('.')?.parse().ok()
}

pub(crate) fn header(base: Seq, salt: Salt) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&base.to_le_bytes());
    out.extend_from_slice(&salt.0.to_le_bytes());
    let checksum = salt.checksum(&[&out]);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// The salt that a header names, where it is that of a segment of this name.
pub(crate) fn salt_of(header: &[u8], base: Seq) -> Option<Salt> {
    let (body, rest) = header.split_at_checked(HEADER as usize - 4)?;
    let salt = Salt(number::<4>(body, MAGIC.len() + 8)? as u32);
    let is_sound = body.starts_with(MAGIC)
        && number::<8>(body, MAGIC.len())? == base
        && u64::from(salt.checksum(&[body])) == number::<4>(rest, 0)?;
    is_sound.then_some(salt)
}

/// What a range of a segment's bytes holds, in seq order and without a seq left out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Event(Event, u64),
    /// Seqs of which no sound record is there.
    Missing(Seq, Seq),
}

/// Reads a block, of whose seqs every one is accounted for. What the file does not give is missing.
pub(crate) fn read_block(file: &dyn DiskFile, salt: Salt, block: &Block) -> Vec<Found> {
    let mut bytes = vec![0; (block.to - block.from) as usize];
    if file.read_at(&mut bytes, block.from).is_err() {
        return vec![Found::Missing(block.first, block.last)];
    }
    let (bytes, mut decoder) = (Bytes::from(bytes), Decoder::new(salt));
    let (mut found, mut at, mut next) = (Vec::new(), 0, block.first);
    while next <= block.last {
        let Some((from, record)) = next_record(&mut decoder, &bytes, at, next..=block.last) else {
            found.push(Found::Missing(next, block.last));
            break;
        };
        if record.stamp.seq > next {
            found.push(Found::Missing(next, record.stamp.seq - 1));
        }
        (at, next) = (from + record.len, record.stamp.seq + 1);
        found.push(Found::Event(record.event, record.stamp.age_ms));
    }
    found
}

/// Reads one record; `None` where it is damaged.
pub(crate) fn read_place(file: &dyn DiskFile, salt: Salt, place: &Place) -> Option<Event> {
    let mut bytes = vec![0; usize::try_from(place.to.checked_sub(place.from)?).ok()?];
    file.read_at(&mut bytes, place.from).ok()?;
    let seqs = place.seq..=place.seq;
    Some(Decoder::new(salt).record(&Bytes::from(bytes), 0, seqs)?.event)
}

/// The first sound record at or behind a place, and where it begins.
fn next_record(
    decoder: &mut Decoder,
    bytes: &Bytes,
    at: usize,
    seqs: std::ops::RangeInclusive<Seq>,
) -> Option<(usize, Record)> {
    (at..bytes.len()).find_map(|from| Some((from, decoder.record(bytes, from, seqs.clone())?)))
}

/// What a whole file holds.
pub(crate) struct Scan {
    pub(crate) index: Index,
    pub(crate) records: Vec<Record>,
    /// Where each record begins.
    pub(crate) starts: Vec<u64>,
    /// Where the last sound record ends.
    pub(crate) end: u64,
    /// Seqs that are lost.
    pub(crate) missing: Vec<(Seq, Seq)>,
    /// Bytes behind the end.
    pub(crate) torn: u64,
}

/// Reads a segment from its first record to its last sound one.
///
/// A seq is lost where it is missing and had been acknowledged: up to `acknowledged`, or by what a
/// later record says. Where what is missing never was, nothing behind it was either: the log ends
/// before it. `last` bounds what seqs may be.
///
/// # Errors
/// Where a record is of a later version: there is nothing damaged, only too new.
pub(crate) fn scan(
    bytes: Bytes,
    salt: Salt,
    base: Seq,
    acknowledged: Seq,
    last: Seq,
) -> io::Result<Scan> {
    let len = bytes.len() as u64;
    let (mut decoder, mut at, mut next) = (Decoder::new(salt), HEADER as usize, base);
    let mut found: Vec<(usize, Record)> = Vec::new();
    while at < bytes.len() && next <= last {
        let seqs = next..=last.min(next + (bytes.len() - at) as u64);
        let found_next = next_record(&mut decoder, &bytes, at, seqs);
        let is_next = found_next.as_ref().is_some_and(|(from, _)| *from == at);
        if !is_next && bytes.get(at..).is_some_and(|rest| is_of_later_version(rest, salt)) {
            let message = "a record is of a later version of Tidings; use that one";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        let Some((from, record)) = found_next else { break };
        (at, next) = (from + record.len, record.stamp.seq + 1);
        found.push((from, record));
    }
    let told = found.iter().map(|(_, record)| record.stamp.acknowledged()).max().unwrap_or(0);
    let acknowledged = acknowledged.max(told);
    let (mut index, mut records) = (Index::default(), Vec::with_capacity(found.len()));
    let mut starts = Vec::with_capacity(found.len());
    let (mut missing, mut end, mut next) = (Vec::new(), HEADER, base);
    for (from, record) in found {
        let seq = record.stamp.seq;
        if seq > next {
            if seq - 1 > acknowledged {
                break;
            }
            missing.push((next, seq - 1));
        }
        (next, end) = (seq + 1, (from + record.len) as u64);
        index.push(base, &entry(&record, from as u64));
        starts.push(from as u64);
        records.push(record);
    }
    Ok(Scan { index, records, starts, end, missing, torn: len.saturating_sub(end) })
}

impl Scan {
    /// Where the newest event of each topic and audience stands in the segment from `base`.
    pub(crate) fn newest(&self, base: Seq, key: Key) -> Newest {
        let mut newest = Newest::after(base.saturating_sub(1));
        for (record, from) in self.records.iter().zip(&self.starts) {
            let place = Place { seq: record.stamp.seq, from: *from, to: from + record.len as u64 };
            newest.push(key_of(&record.event.draft, key), place);
        }
        newest
    }
}

fn entry(record: &Record, from: u64) -> Entry<'_> {
    Entry {
        seq: record.stamp.seq,
        from,
        to: from + record.len as u64,
        bytes: record.event.draft.bytes() as u64,
        time_ms: record.stamp.time_ms,
        age_ms: record.stamp.age_ms,
        topic: record.event.topic(),
    }
}

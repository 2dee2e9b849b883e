use std::collections::VecDeque;

use protocol::Seq;

use super::super::fingerprint::{Claim, Key};
use super::super::ids::Slot;
use super::record::{Salt, number};

const MAGIC: &[u8] = b"tidings ids 1\n\0\0";
const SLOT_LEN: usize = 48;

/// The files with the idempotency ids of sealed segments, which outlive their events: each with
/// the seq of its newest id.
#[derive(Default)]
pub(crate) struct Sidecars(VecDeque<(Seq, Seq)>);

impl Sidecars {
    pub(crate) fn push(&mut self, base: Seq, newest: Seq) {
        self.0.push_back((base, newest));
    }

    /// Those of which every id is forgotten, by the oldest that is remembered.
    pub(crate) fn past(&mut self, oldest: Option<Seq>) -> Vec<Seq> {
        let is_past = |(_, newest): &mut (Seq, Seq)| oldest.is_none_or(|oldest| *newest < oldest);
        std::iter::from_fn(|| self.0.pop_front_if(is_past)).map(|(base, _)| base).collect()
    }
}

/// Ids as a file. They mean nothing to who has another key.
pub(crate) fn encode(slots: &[Slot], key: Key) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + slots.len() * SLOT_LEN);
    out.extend_from_slice(MAGIC);
    for slot in slots {
        let ([a, b], [c, d]) = (slot.claim.id, slot.claim.content);
        for number in [slot.seq, slot.at_ms, a, b, c, d] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    let checksum = key.salt(0).checksum(&[&out]);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// Reads a file; `None` where it is damaged or of another key.
pub(crate) fn decode(bytes: &[u8], key: Key) -> Option<Vec<Slot>> {
    let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    let is_sound = u64::from(key.salt(0).checksum(&[body])) == number::<4>(checksum, 0)?;
    if !is_sound || !body.starts_with(MAGIC) {
        return None;
    }
    let slot = |chunk: &[u8]| {
        let at = |n: usize| number::<8>(chunk, n * 8);
        let claim = Claim { id: [at(2)?, at(3)?], content: [at(4)?, at(5)?] };
        Some(Slot { claim, seq: at(0)?, at_ms: at(1)? })
    };
    body.get(MAGIC.len()..)?.chunks(SLOT_LEN).map(slot).collect()
}

impl Key {
    /// What the checksums of the segment that begins at `base` begin with.
    pub(crate) fn salt(self, base: Seq) -> Salt {
        Salt(self.word(base) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_being_stored_and_damage_is_found() {
        let claim = |n| Claim { id: [n, n + 1], content: [n + 2, n + 3] };
        let slots: Vec<Slot> =
            (1..50).map(|n| Slot { claim: claim(n), seq: n * 3, at_ms: n * 7 }).collect();
        let stored = encode(&slots, Key([1, 2]));
        let again = decode(&stored, Key([1, 2])).unwrap();
        assert_eq!(encode(&again, Key([1, 2])), stored);
        assert!(decode(&stored, Key([1, 3])).is_none());
        for at in (0..stored.len()).step_by(7) {
            let mut bad = stored.clone();
            bad[at] ^= 1;
            assert!(decode(&bad, Key([1, 2])).is_none(), "{at}");
        }
    }

    #[test]
    fn files_go_when_their_last_id_is_forgotten() {
        let mut files = Sidecars::default();
        files.push(1, 9);
        files.push(11, 15);
        assert!(files.past(Some(9)).is_empty());
        assert_eq!(files.past(Some(10)), [1]);
        assert_eq!(files.past(None), [11]);
    }
}

use std::sync::Arc;

use bytes::Bytes;
use protocol::{Audience, ClientId, Draft, Event, Payload, Publisher, Seq, Topic};

// A record, all numbers little-endian:
//
//   length u32 │ checksum u32 │ version u8, check u24 │ pending u32 │ seq u64 │ time u64 │ age u64 │ fields
//
// `length` counts what follows the checksum, which covers length and all that follows. `check` is a
// checksum of length and seq alone: who looks for a record among bytes that somebody published finds
// out at once that there is none. A field is
// tag u8, length u32, bytes. Fields of unknown tags are passed over and stay in the file.

/// Bytes before what `length` counts.
const HEAD: usize = 8;
/// Bytes of a record without fields.
const RECORD_MIN: usize = HEAD + 32;
const VERSION: u8 = 1;

mod tag {
    pub(super) const TOPIC: u8 = 1;
    pub(super) const USER: u8 = 2;
    pub(super) const GROUP: u8 = 3;
    pub(super) const CLIENT: u8 = 4;
    pub(super) const JSON: u8 = 5;
    pub(super) const CONTENT_TYPE: u8 = 6;
    pub(super) const BINARY: u8 = 7;
    pub(super) const HEADERS: u8 = 8;
    pub(super) const ID: u8 = 9;
    pub(super) const BY_USER: u8 = 10;
    pub(super) const BY_CLIENT: u8 = 11;
}

/// What the log adds to a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Its number.
    pub(crate) seq: Seq,
    /// ms since 1970.
    pub(crate) time_ms: u64,
    /// The log's own clock, which counts on over restarts and never goes back.
    pub(crate) age_ms: u64,
    /// How many events before this one, and it, were not acknowledged when it was written.
    pub(crate) pending: u32,
}

impl Stamp {
    /// Everything up to this seq had been acknowledged when the record was written.
    pub(crate) fn acknowledged(&self) -> Seq {
        self.seq.saturating_sub(u64::from(self.pending))
    }
}

/// What a checksum begins with: a secret of the segment, so that nobody can publish bytes that
/// look like a record of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Salt(pub(crate) u32);

impl Salt {
    pub(crate) fn checksum(self, parts: &[&[u8]]) -> u32 {
        let mut hash = crc32fast::Hasher::new();
        hash.update(&self.0.to_le_bytes());
        parts.iter().for_each(|part| hash.update(part));
        hash.finalize()
    }

    /// Three bytes that tell a record's head from bytes that look like one.
    fn check(self, length: &[u8], seq: &[u8]) -> [u8; 3] {
        let [a, b, c, _] = self.checksum(&[length, seq]).to_le_bytes();
        [a, b, c]
    }
}

/// Adds a record.
pub(crate) fn encode(out: &mut Vec<u8>, salt: Salt, stamp: Stamp, draft: &Draft) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    out.extend_from_slice(&[VERSION, 0, 0, 0]);
    out.extend_from_slice(&stamp.pending.to_le_bytes());
    for number in [stamp.seq, stamp.time_ms, stamp.age_ms] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    fields(out, draft);
    let length = (out.len() - start - HEAD) as u32;
    let (_, record) = out.split_at_mut(start);
    if let Some((head, body)) = record.split_at_mut_checked(HEAD) {
        if let Some(place) = body.get_mut(1..4) {
            place.copy_from_slice(&salt.check(&length.to_le_bytes(), &stamp.seq.to_le_bytes()));
        }
        let checksum = salt.checksum(&[&length.to_le_bytes(), body]);
        let (first, second) = head.split_at_mut(HEAD / 2);
        first.copy_from_slice(&length.to_le_bytes());
        second.copy_from_slice(&checksum.to_le_bytes());
    }
}

fn fields(out: &mut Vec<u8>, draft: &Draft) {
    let mut field = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    field(tag::TOPIC, draft.topic.as_str().as_bytes());
    match &draft.audience {
        Audience::Everyone => {}
        Audience::User(user) => field(tag::USER, user.as_bytes()),
        Audience::Group(group) => field(tag::GROUP, group.as_bytes()),
        Audience::Client(client) => field(tag::CLIENT, &client.0.to_le_bytes()),
    }
    match &draft.payload {
        Payload::Json(bytes) => field(tag::JSON, bytes),
        Payload::Binary { content_type, bytes } => {
            field(tag::CONTENT_TYPE, content_type.as_bytes());
            field(tag::BINARY, bytes);
        }
    }
    if let Some(headers) = &draft.headers {
        field(tag::HEADERS, headers);
    }
    if let Some(id) = &draft.id {
        field(tag::ID, id.as_bytes());
    }
    match &draft.publisher {
        Publisher::Admin => {}
        Publisher::User(user) => field(tag::BY_USER, user.as_bytes()),
        Publisher::Client(client) => field(tag::BY_CLIENT, &client.0.to_le_bytes()),
    }
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) event: Event,
    pub(crate) stamp: Stamp,
    /// Its length in the file.
    pub(crate) len: usize,
}

/// Reads records of one segment.
pub(crate) struct Decoder {
    salt: Salt,
    /// Neighbours often have one topic: then they share its text.
    topic: Option<Topic>,
}

impl Decoder {
    pub(crate) fn new(salt: Salt) -> Self {
        Self { salt, topic: None }
    }

    /// The record that begins at `at` and has a seq in `seqs`; `None` where there is none, or a
    /// damaged one.
    pub(crate) fn record(
        &mut self,
        bytes: &Bytes,
        at: usize,
        seqs: std::ops::RangeInclusive<Seq>,
    ) -> Option<Record> {
        let rest = bytes.get(at..)?;
        let length = number::<4>(rest, 0)? as usize;
        // Before the checksum: it would have to be taken of anything.
        if !seqs.contains(&number::<8>(rest, HEAD + 8)?) || length + HEAD < RECORD_MIN {
            return None;
        }
        let check = self.salt.check(rest.get(..4)?, rest.get(HEAD + 8..HEAD + 16)?);
        if rest.get(HEAD + 1..HEAD + 4)? != check {
            return None;
        }
        let body = rest.get(HEAD..HEAD + length)?;
        let checksum = self.salt.checksum(&[rest.get(..4)?, body]);
        if u64::from(checksum) != number::<4>(rest, 4)? || body.first() != Some(&VERSION) {
            return None;
        }
        let stamp = Stamp {
            pending: number::<4>(rest, HEAD + 4)? as u32,
            seq: number::<8>(rest, HEAD + 8)?,
            time_ms: number::<8>(rest, HEAD + 16)?,
            age_ms: number::<8>(rest, HEAD + 24)?,
        };
        let fields = bytes.slice(at + RECORD_MIN..at + HEAD + length);
        let draft = self.draft(&fields)?;
        let event = Event { seq: stamp.seq, time_ms: stamp.time_ms, draft };
        Some(Record { event, stamp, len: HEAD + length })
    }

    fn draft(&mut self, fields: &Bytes) -> Option<Draft> {
        let (mut topic, mut audience, mut publisher) = (None, Audience::Everyone, Publisher::Admin);
        let (mut json, mut content_type, mut binary) = (None, None, None);
        let (mut headers, mut id) = (None, None);
        let mut at = 0;
        while at < fields.len() {
            let tag = *fields.get(at)?;
            let end = (at + 5).checked_add(number::<4>(fields, at + 1)? as usize)?;
            let value = fields.get(at + 5..end)?;
            match tag {
                tag::TOPIC => topic = Some(self.topic(value)?),
                tag::USER => audience = Audience::User(text(value)?),
                tag::GROUP => audience = Audience::Group(text(value)?),
                tag::CLIENT => audience = Audience::Client(client(value)?),
                tag::JSON => json = Some(fields.slice(at + 5..end)),
                tag::CONTENT_TYPE => content_type = Some(text(value)?),
                tag::BINARY => binary = Some(fields.slice(at + 5..end)),
                tag::HEADERS => headers = Some(fields.slice(at + 5..end)),
                tag::ID => id = Some(text(value)?),
                tag::BY_USER => publisher = Publisher::User(text(value)?),
                tag::BY_CLIENT => publisher = Publisher::Client(client(value)?),
                _ => {}
            }
            at = end;
        }
        let payload = match (json, content_type, binary) {
            (Some(bytes), None, None) => Payload::Json(bytes),
            (None, Some(content_type), Some(bytes)) => Payload::Binary { content_type, bytes },
            _ => return None,
        };
        Some(Draft { topic: topic?, audience, payload, headers, id, publisher })
    }

    fn topic(&mut self, value: &[u8]) -> Option<Topic> {
        let known = self.topic.as_ref().filter(|topic| topic.as_str().as_bytes() == value);
        if let Some(topic) = known {
            return Some(topic.clone());
        }
        let topic = Topic::parse(std::str::from_utf8(value).ok()?).ok()?;
        self.topic = Some(topic.clone());
        Some(topic)
    }
}

/// Whether bytes begin as a record of a later version would, sound by its checksum.
pub(crate) fn is_of_later_version(bytes: &[u8], salt: Salt) -> bool {
    let sound = || {
        let length = number::<4>(bytes, 0)? as usize;
        let body = bytes.get(HEAD..HEAD + length)?;
        let is_whole = u64::from(salt.checksum(&[bytes.get(..4)?, body])) == number::<4>(bytes, 4)?;
        Some(is_whole && body.first().is_some_and(|version| *version > VERSION))
    };
    sound().unwrap_or(false)
}

/// The little-endian number of `N` bytes at a place.
pub(crate) fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let mut wide = [0; 8];
    wide.get_mut(..N)?.copy_from_slice(bytes.get(at..at + N)?);
    Some(u64::from_le_bytes(wide))
}

fn text(value: &[u8]) -> Option<Arc<str>> {
    std::str::from_utf8(value).ok().map(Arc::from)
}

fn client(value: &[u8]) -> Option<ClientId> {
    Some(ClientId(u128::from_le_bytes(value.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt(7);

    fn drafts() -> Vec<Draft> {
        let json = Payload::Json(Bytes::from_static(b"{\"a\":1}"));
        let draft = Draft::new(Topic::parse("a.b").unwrap(), json);
        let binary =
            Payload::Binary { content_type: "image/jpeg".into(), bytes: Bytes::from_static(b"x") };
        vec![
            draft.clone(),
            Draft { audience: Audience::User("ann".into()), id: Some("".into()), ..draft.clone() },
            Draft { audience: Audience::Group("g".into()), payload: binary, ..draft.clone() },
            Draft { headers: Some(Bytes::from_static(b"{}")), ..draft.clone() },
            Draft {
                audience: Audience::Client(ClientId(3)),
                publisher: Publisher::Client(ClientId(u128::MAX)),
                ..draft.clone()
            },
            Draft { publisher: Publisher::User("bob".into()), ..draft },
        ]
    }

    fn stamp(seq: Seq) -> Stamp {
        Stamp { seq, time_ms: seq * 10, age_ms: seq * 3, pending: 1 }
    }

    #[test]
    fn what_was_written_is_read() {
        let (drafts, mut out) = (drafts(), Vec::new());
        for (draft, seq) in drafts.iter().zip(1..) {
            encode(&mut out, SALT, stamp(seq), draft);
        }
        let (bytes, mut at) = (Bytes::from(out), 0);
        let mut decoder = Decoder::new(SALT);
        for (draft, seq) in drafts.into_iter().zip(1..) {
            let record = decoder.record(&bytes, at, seq..=seq).unwrap();
            assert_eq!(record.event, Event { seq, time_ms: seq * 10, draft });
            assert_eq!((record.stamp, record.stamp.acknowledged()), (stamp(seq), seq - 1));
            at += record.len;
        }
        assert_eq!(at, bytes.len());
    }

    #[test]
    fn any_bit_that_flips_is_found() {
        let mut out = Vec::new();
        encode(&mut out, SALT, stamp(1), &drafts()[2]);
        for bit in 0..out.len() * 8 {
            let mut bad = out.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Decoder::new(SALT).record(&bad.into(), 0, 1..=u64::MAX), None, "{bit}");
        }
        for len in 0..out.len() {
            let cut = Bytes::copy_from_slice(&out[..len]);
            assert_eq!(Decoder::new(SALT).record(&cut, 0, 1..=1), None);
        }
        let out = Bytes::from(out);
        assert!(Decoder::new(SALT).record(&out, 0, 1..=1).is_some());
        assert_eq!(Decoder::new(Salt(8)).record(&out, 0, 1..=1), None, "of another segment");
        assert_eq!(Decoder::new(SALT).record(&out, 0, 2..=3), None, "of another place");
    }

    #[test]
    fn unknown_fields_are_passed_over_and_later_versions_are_told() {
        let mut out = Vec::new();
        encode(&mut out, SALT, stamp(1), &drafts()[0]);
        out.extend_from_slice(&[200, 3, 0, 0, 0, 1, 2, 3]);
        let seal = |mut out: Vec<u8>| {
            let length = (out.len() - HEAD) as u32;
            out[..4].copy_from_slice(&length.to_le_bytes());
            let check = SALT.check(&length.to_le_bytes(), &1_u64.to_le_bytes());
            out[HEAD + 1..HEAD + 4].copy_from_slice(&check);
            let checksum = SALT.checksum(&[&length.to_le_bytes(), &out[HEAD..]]);
            out[4..8].copy_from_slice(&checksum.to_le_bytes());
            out
        };
        let more = Bytes::from(seal(out.clone()));
        let record = Decoder::new(SALT).record(&more, 0, 1..=1).unwrap();
        assert_eq!((&record.event.draft, record.len), (&drafts()[0], more.len()));
        assert!(!is_of_later_version(&more, SALT));
        out[HEAD] = VERSION + 1;
        let later = Bytes::from(seal(out));
        assert_eq!(Decoder::new(SALT).record(&later, 0, 1..=1), None);
        assert!(is_of_later_version(&later, SALT));
    }
}

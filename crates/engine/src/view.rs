use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use protocol::{Audience, Event, Payload, Seq, Topic};

use crate::broker::Batch;

/// Smaller pieces of a page are copied: one that is kept would keep the page's memory, of which it
/// is little.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// A stream's compacted view: the newest event of each topic and audience, in seq order.
///
/// It holds only what the stream keeps, so retention bounds it.
pub(crate) struct View {
    /// It is complete for the events after this seq.
    since: Seq,
    newest: HashMap<(Topic, Audience), Seq>,
    by_seq: BTreeMap<Seq, Event>,
}

impl View {
    /// A view of what comes after `since`.
    pub(crate) fn new(since: Seq) -> Self {
        Self { since, newest: HashMap::new(), by_seq: BTreeMap::new() }
    }

    /// It is complete for the events after this seq.
    pub(crate) fn since(&self) -> Seq {
        self.since
    }

    /// The view was completed by all after `since`.
    pub(crate) fn extend_to(&mut self, since: Seq) {
        self.since = self.since.min(since);
    }

    /// Takes the events after `after` of a batch, which may be older than what it knows.
    pub(crate) fn insert(&mut self, batch: &Batch, after: Seq) {
        self.insert_as(batch, after, Event::clone);
    }

    /// Takes those of a batch that a page shows, without what else the page holds in memory.
    pub(crate) fn insert_of_page(&mut self, batch: &Batch, after: Seq) {
        self.insert_as(batch, after, apart);
    }

    fn insert_as(&mut self, batch: &Batch, after: Seq, kept: impl Fn(&Event) -> Event) {
        for event in batch.after(after) {
            let key = (event.topic().clone(), event.draft.audience.clone());
            let newest = self.newest.entry(key).or_insert(0);
            if *newest < event.seq {
                self.by_seq.remove(newest);
                *newest = event.seq;
                self.by_seq.insert(event.seq, kept(event));
            }
        }
    }

    /// Forgets what the stream no longer keeps.
    pub(crate) fn trim(&mut self, first: Seq) {
        while let Some(entry) = self.by_seq.first_entry().filter(|entry| *entry.key() < first) {
            let draft = entry.remove().draft;
            self.newest.remove(&(draft.topic, draft.audience));
        }
    }

    /// The newest events after `seq`, in seq order.
    pub(crate) fn after(&self, seq: Seq) -> impl Iterator<Item = &Event> {
        self.by_seq.range(seq + 1..).map(|(_, event)| event)
    }
}

/// An event that owns its bytes, unless they are many.
fn apart(event: &Event) -> Event {
    let mut event = event.clone();
    let (Payload::Json(bytes) | Payload::Binary { bytes, .. }) = &mut event.draft.payload;
    for bytes in [Some(bytes), event.draft.headers.as_mut()].into_iter().flatten() {
        if bytes.len() <= COPIED_BYTES_MAX {
            *bytes = Bytes::copy_from_slice(bytes);
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use protocol::Draft;

    use super::*;

    #[test]
    fn what_is_kept_of_a_page_does_not_keep_the_page() {
        let block = Bytes::from(vec![b'1'; 64 << 10]);
        let large = Bytes::from(vec![b'2'; 64 << 10]);
        let event = |seq, payload, headers| {
            let topic = Topic::parse(&format!("t.{}", seq % 2)).unwrap();
            Event { seq, time_ms: 0, draft: Draft { headers, ..Draft::new(topic, payload) } }
        };
        let binary = Payload::Binary { content_type: "a/b".into(), bytes: block.slice(9..99) };
        let batch = Batch::new(vec![
            event(1, Payload::Json(large.slice(..)), None),
            event(2, binary, Some(block.slice(100..200))),
            event(3, Payload::Json(large.slice(1..)), None),
        ])
        .unwrap();
        let mut view = View::new(3);
        view.insert_of_page(&batch, 0);
        assert_eq!(view.after(0).cloned().collect::<Vec<_>>(), batch.after(1));
        drop(batch);
        assert!(block.is_unique());
        // What is large is not copied, and what is not wanted any more is let go.
        assert!(!large.is_unique());
        view.trim(4);
        assert!(large.is_unique() && view.newest.is_empty());
    }
}

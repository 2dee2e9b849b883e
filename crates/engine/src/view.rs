use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use protocol::{Audience, Event, Seq, Topic};

use crate::broker::Batch;

/// A stream's compacted view: the newest event of each topic and audience, in seq order.
///
/// It holds only what the stream keeps, so retention bounds it.
pub(crate) struct View {
    /// It is complete for the events after this seq.
    since: Seq,
    newest: HashMap<(Topic, Audience), Seq>,
    by_seq: BTreeMap<Seq, Arc<Batch>>,
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

    /// The view was completed backwards to `since`.
    pub(crate) fn extend_to(&mut self, since: Seq) {
        self.since = self.since.min(since);
    }

    /// Takes the events after `after` of a batch, which may be older than what it knows.
    pub(crate) fn insert(&mut self, batch: &Arc<Batch>, after: Seq) {
        for event in batch.after(after) {
            let key = (event.topic().clone(), event.draft.audience.clone());
            let newest = self.newest.entry(key).or_insert(0);
            if *newest < event.seq {
                self.by_seq.remove(newest);
                *newest = event.seq;
                self.by_seq.insert(event.seq, batch.clone());
            }
        }
    }

    /// Forgets what the stream no longer keeps.
    pub(crate) fn trim(&mut self, first: Seq) {
        while let Some(entry) = self.by_seq.first_entry().filter(|entry| *entry.key() < first) {
            let (seq, batch) = entry.remove_entry();
            if let Some(event) = event_in(&batch, seq) {
                let key = (event.topic().clone(), event.draft.audience.clone());
                self.newest.remove(&key);
            }
        }
    }

    /// The newest events after `seq`, in seq order.
    pub(crate) fn after(&self, seq: Seq) -> impl Iterator<Item = &Event> {
        self.by_seq.range(seq + 1..).filter_map(|(seq, batch)| event_in(batch, *seq))
    }
}

fn event_in(batch: &Batch, seq: Seq) -> Option<&Event> {
    batch.after(seq - 1).first()
}

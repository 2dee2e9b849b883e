use std::sync::Arc;

use engine::Batch;
use protocol::{Draft, Event};

/// Most events of a batch: the grain in which memory is freed and pages are cut.
pub(crate) const BATCH_EVENTS_MAX: usize = 64;
/// Most bytes of a batch that has more than one event.
pub(crate) const BATCH_BYTES_MAX: usize = 64 << 10;

/// Contiguous events that will be one batch.
pub(crate) struct Chunk {
    events: Vec<Event>,
    bytes: usize,
}

impl Chunk {
    /// Room for as many of `left` drafts as a batch holds, so that a full one is not reallocated.
    pub(crate) fn new(left: usize) -> Self {
        Self { events: Vec::with_capacity(left.min(BATCH_EVENTS_MAX)), bytes: 0 }
    }

    pub(crate) fn has_room(&self, draft: &Draft) -> bool {
        self.events.is_empty()
            || (self.events.len() < BATCH_EVENTS_MAX
                && self.bytes + draft.bytes() <= BATCH_BYTES_MAX)
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.bytes += event.draft.bytes();
        self.events.push(event);
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// The batch, where there is an event.
    pub(crate) fn into_batch(self) -> Option<Arc<Batch>> {
        Batch::new(self.events).map(Arc::new)
    }
}

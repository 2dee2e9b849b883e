use std::sync::Arc;

use engine::{Batch, Selector};
use protocol::Seq;

use super::{LOCKED_CLONES_MAX, Stream};

impl Stream {
    /// The place before the last `count` events that are selected, and whether the search ended at
    /// its bound.
    pub(super) fn before_last(&self, selector: &Selector, count: u32) -> (Seq, bool) {
        let (after, truncated) = self.search_back(selector, count);
        // Retention may have overtaken the search: the place is where the rest begins.
        (after.max(self.state.lock().log.first() - 1), truncated)
    }

    /// Looks at events from the newest to the oldest; the stream is not locked meanwhile.
    fn search_back(&self, selector: &Selector, count: u32) -> (Seq, bool) {
        let (mut found, mut scanned) = (0, 0);
        let mut piece = Vec::with_capacity(LOCKED_CLONES_MAX);
        let (mut first, head) = self.piece_before(Seq::MAX, &mut piece);
        let mut after = head;
        while found < count {
            let Some(oldest) = piece.last().map(|batch| batch.first()) else { break };
            for event in piece.iter().flat_map(|batch| batch.events().iter().rev()) {
                if event.seq < first {
                    return (after, false);
                }
                if scanned == self.locate_scan_max {
                    return (after, true);
                }
                scanned += 1;
                if selector.selects(event) {
                    (found, after) = (found + 1, event.seq - 1);
                    if found == count {
                        return (after, false);
                    }
                }
            }
            (first, _) = self.piece_before(oldest, &mut piece);
        }
        (after, false)
    }

    /// The place before the first kept event at or after a time, in ms since 1970.
    pub(super) fn before_time(&self, time_ms: u64) -> Seq {
        let state = self.state.lock();
        state.log.since(time_ms).map_or(state.log.last(), |event| event.seq - 1)
    }

    /// Fills `piece` with batches that end before `before`, newest first, and tells the first kept
    /// and the last seq.
    fn piece_before(&self, before: Seq, piece: &mut Vec<Arc<Batch>>) -> (Seq, Seq) {
        piece.clear();
        let state = self.state.lock();
        piece.extend(state.log.before(before).take(LOCKED_CLONES_MAX).cloned());
        (state.log.first(), state.log.last())
    }
}

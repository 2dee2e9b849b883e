use protocol::{Error, Seq};

use super::pages::RETRY_MS;
use super::{Now, Request, Worker};
use crate::broker::{Page, Segment};
use crate::streams::StreamIndex;
use crate::view::View;

/// The compacted view is being completed by older events: everything after `from` is wanted,
/// everything up to `at` was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backfill {
    from: Seq,
    at: Seq,
    /// Where the view was complete from already.
    until: Seq,
}

impl Backfill {
    /// Takes what a page shows; whether the view is complete now.
    fn take(&mut self, page: &Page, view: &mut View) -> bool {
        // What is not kept any more needs no page.
        self.at = self.at.max(page.first.saturating_sub(1));
        for segment in &page.segments {
            if let Segment::Batch(batch) = segment {
                view.insert_of_page(batch, self.at);
            }
            self.at = self.at.max(segment.last());
        }
        // What the page leaves out is older than something that follows.
        self.at = self.at.max(page.scanned_to);
        // An empty page alone proves nothing: it may have been asked for earlier, and read before
        // there was what the view lacks.
        self.at >= self.until
    }
}

impl Worker {
    /// Whether the stream's view is complete for what follows `after`; if not, that is seen to and
    /// readers look again when it is done.
    pub(super) fn has_view(&mut self, at: StreamIndex, after: Seq) -> bool {
        let Some(stream) = self.streams.get_mut(at.get()) else { return false };
        let (read, expired) = (stream.read, stream.expired());
        if let Some(view) = &mut stream.view {
            view.trim(expired);
        }
        let since = stream.view.get_or_insert_with(|| View::new(read)).since();
        if since <= after {
            return true;
        }
        // One that is under way and reaches less far is followed by another.
        if stream.backfill.is_none() {
            stream.backfill = Some(Backfill { from: after, at: after, until: since });
            self.page_for_backfill(at, after);
        }
        false
    }

    /// Asks for the newest events with which the view is completed next.
    fn page_for_backfill(&mut self, stream: StreamIndex, after: Seq) {
        self.counters.pages += 1;
        let bytes_max = self.limits.page_bytes;
        self.requests.push_back(Request::ReadNewest { stream, after, bytes_max });
    }

    /// The broker answered [`Request::ReadNewest`].
    pub fn handle_newest(
        &mut self,
        now: Now,
        at: StreamIndex,
        after: Seq,
        result: Result<Page, Error>,
    ) {
        self.now = now;
        let Some(stream) = self.streams.get_mut(at.get()) else { return };
        let (Some(backfill), Some(view)) = (&mut stream.backfill, &mut stream.view) else {
            // The worker skipped ahead meanwhile: who still waits begins it again.
            return self.look_again_at_view(at);
        };
        if backfill.at != after {
            // An earlier backfill asked for it, which came to nothing.
            return;
        }
        let epoch = &stream.epoch;
        let Some(page) = result.ok().filter(|page| page.epoch == *epoch) else {
            // The readers ask again after a while, and with them the backfill begins again.
            stream.backfill = None;
            return self.retry_view(at);
        };
        if backfill.take(&page, view) {
            view.extend_to(backfill.from);
            stream.backfill = None;
            return self.look_again_at_view(at);
        }
        let next = backfill.at;
        self.page_for_backfill(at, next);
    }

    fn look_again_at_view(&mut self, at: StreamIndex) {
        for place in self.waiting_for_view(at) {
            self.look_again(place);
        }
    }

    fn retry_view(&mut self, at: StreamIndex) {
        for place in self.waiting_for_view(at) {
            self.schedule_read(place, self.now.ms + RETRY_MS);
        }
    }

    fn waiting_for_view(&self, at: StreamIndex) -> Vec<u32> {
        let waits = |session: &crate::session::Session| {
            session.readers.iter().any(|reader| reader.stream == at && !reader.is_live)
        };
        self.sessions
            .iter()
            .filter(|(_, session)| waits(session))
            .map(|(place, _)| place as u32)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;

    use bytes::Bytes;
    use protocol::{Draft, Epoch, Event, Payload, Topic};

    use super::*;
    use crate::broker::Batch;

    fn page(first: Seq, seqs: Range<Seq>) -> Page {
        let event = |seq| {
            let topic = Topic::parse(&format!("t.{seq}")).unwrap();
            let draft = Draft::new(topic, Payload::Json(Bytes::from_static(b"1")));
            Event { seq, time_ms: 0, draft }
        };
        let batch = Batch::new(seqs.map(event).collect());
        let segments = batch.map(|batch| Segment::Batch(Arc::new(batch))).into_iter().collect();
        Page::new(Epoch::from_bits(1), first, segments)
    }

    fn seqs(view: &View) -> Vec<Seq> {
        view.after(0).map(|event| event.seq).collect()
    }

    #[test]
    fn a_page_from_before_the_missing_events_does_not_complete_the_view() {
        let mut view = View::new(5);
        let mut backfill = Backfill { from: 0, at: 0, until: 5 };
        assert!(!backfill.take(&page(1, 1..1), &mut view));
        assert!(!backfill.take(&page(1, 1..3), &mut view));
        assert!(backfill.take(&page(2, 3..7), &mut view));
        assert_eq!(seqs(&view), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_page_that_leaves_out_what_is_older_goes_as_far_as_it_says() {
        let mut view = View::new(50);
        let mut backfill = Backfill { from: 0, at: 0, until: 50 };
        let newest = |seqs, scanned_to| Page { scanned_to, ..page(1, seqs) };
        assert!(!backfill.take(&newest(7..8, 30), &mut view));
        assert_eq!(backfill.at, 30);
        assert!(backfill.take(&newest(1..1, 60), &mut view));
        assert_eq!(seqs(&view), [7]);
    }

    #[test]
    fn nothing_is_missing_of_what_is_not_kept() {
        let mut view = View::new(5);
        let mut backfill = Backfill { from: 0, at: 0, until: 5 };
        assert!(!backfill.take(&page(3, 1..5), &mut view));
        assert!(backfill.take(&page(6, 6..6), &mut view));
        assert_eq!(seqs(&view), [3, 4]);
    }
}

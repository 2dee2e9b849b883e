use std::collections::VecDeque;

use protocol::{Event, Mode, Seq, Topic};
use smallvec::SmallVec;

use crate::broker::{Hole, Page, Segment};
use crate::index::Index;
use crate::outbox::WRITE_BYTES;
use crate::session::Session;
use crate::streams::StreamIndex;

/// Most events that are looked at before another client has its turn.
const LOOK_MAX: usize = 1024;

/// Events to send, and how far the reader has come with them.
pub(super) struct Chosen<'e> {
    pub(super) events: SmallVec<[&'e Event; 64]>,
    pub(super) scanned_to: Seq,
}

/// What a reader finds behind its cursor.
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for one step")]
pub(super) enum Ahead<'e> {
    Events(Chosen<'e>),
    Hole(Hole),
    /// What was there is not kept any more; reading goes on after this seq.
    Lost(Seq),
}

/// Remembers who owns the events of the last topic, as neighbours often share it.
pub(super) struct Memory {
    topic: Option<Topic>,
    owner: Option<Mode>,
    /// Whether the owner depends on more than the topic: on data.
    is_filtered: bool,
}

impl Memory {
    pub(super) fn of(session: &Session, index: &Index) -> Self {
        let mut subscriptions = session.subscriptions.iter().filter_map(|key| index.get(*key));
        let is_filtered = subscriptions.any(|subscription| subscription.filter().is_some());
        Self { topic: None, owner: None, is_filtered }
    }

    pub(super) fn owner(
        &mut self,
        session: &Session,
        index: &Index,
        at: StreamIndex,
        stream_mode: Mode,
        event: &Event,
    ) -> Option<Mode> {
        let is_plain = session
            .rare
            .as_ref()
            .is_none_or(|rare| rare.beginnings.is_empty() && rare.endings.is_empty());
        let is_known = self.topic.as_ref().is_some_and(|topic| topic == event.topic());
        if self.is_filtered || !(is_plain && is_known) {
            self.owner = session.owner(index, at, stream_mode, event);
            self.topic = Some(event.topic().clone());
        }
        self.owner
    }
}

/// What follows `after`, up to `until`: on a page, or in what the worker read last.
pub(super) fn look_ahead<'e>(
    page: Option<&'e Page>,
    recent: &'e VecDeque<Segment>,
    after: Seq,
    until: Seq,
    wanted: impl FnMut(&Event) -> bool,
) -> Ahead<'e> {
    let next = after + 1;
    match page {
        // What lies behind `until` may still be had from the tail.
        Some(page) if page.first > next => Ahead::Lost(page.first.min(until + 1)),
        Some(page) => {
            let at = page.segments.partition_point(|segment| segment.last() < next);
            ahead_in(page.segments.iter().skip(at), after, until, wanted)
        }
        None => {
            let at = recent.partition_point(|segment| segment.last() < next);
            ahead_in(recent.iter().skip(at), after, until, wanted)
        }
    }
}

fn ahead_in<'e>(
    mut segments: impl Iterator<Item = &'e Segment> + Clone,
    after: Seq,
    until: Seq,
    wanted: impl FnMut(&Event) -> bool,
) -> Ahead<'e> {
    if let Some(Segment::Hole(hole)) = segments.clone().next() {
        return Ahead::Hole(Hole {
            from: hole.from.max(after + 1),
            to: hole.to.min(until),
            ..*hole
        });
    }
    let mut last = after;
    let batches = segments.by_ref().map_while(|segment| match segment {
        Segment::Batch(batch) => Some(batch.after(after)),
        Segment::Hole(_) => None,
    });
    let events = batches.flatten().inspect(|event| last = event.seq);
    let mut chosen = choose(events, until, wanted);
    // Where the events ended before `until`, the reader has come as far as they reached.
    chosen.scanned_to = chosen.scanned_to.min(last.max(after));
    Ahead::Events(chosen)
}

/// Chooses what is wanted, until it fills a write; the reader has then come as far as the last
/// event that was looked at, or to `until` where nothing is left.
pub(super) fn choose<'e>(
    events: impl Iterator<Item = &'e Event>,
    until: Seq,
    mut wanted: impl FnMut(&Event) -> bool,
) -> Chosen<'e> {
    let mut chosen = Chosen { events: SmallVec::new(), scanned_to: until };
    let mut bytes = 0;
    for (looked, event) in events.enumerate() {
        if event.seq > until {
            break;
        }
        if wanted(event) {
            bytes += event.draft.bytes();
            chosen.events.push(event);
        }
        if bytes >= WRITE_BYTES || looked >= LOOK_MAX {
            chosen.scanned_to = event.seq;
            break;
        }
    }
    chosen
}

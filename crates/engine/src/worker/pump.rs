use std::rc::Rc;

use protocol::{Audience, Event, Seq};
use smallvec::SmallVec;

use super::matching::{self, MatchSet, Target};
use super::{ClientKey, Now, StreamState, Worker};
use crate::broker::Segment;
use crate::render::{Renderer as _, Rendering};
use crate::run::Run;
use crate::streams::StreamIndex;
use crate::tail::Pull;

/// About how much of a stream is taken at once, so that what it becomes is written before more is
/// taken.
const BURST_BYTES: usize = 64 << 10;

/// Kept between bursts for its allocations.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) matching: matching::Scratch,
    plans: Vec<Plan>,
    parts: Vec<Part>,
    building: Vec<Building>,
}

/// Consecutive events of a burst that go to the same readers.
struct Plan {
    set: Rc<MatchSet>,
    /// Places in the burst.
    from: usize,
    to: usize,
}

/// A part of a run that goes to a group of a plan.
struct Part {
    plan: usize,
    group: usize,
    /// Among the building runs.
    run: usize,
    start: u32,
    end: u32,
    first: Seq,
    events: u32,
}

/// A run of this burst.
struct Building {
    rendering: Rendering,
    run: Rc<Run>,
}

impl Worker {
    /// A stream has something new. Takes one burst of it; whether there is more.
    ///
    /// The driver lets clients write between two bursts.
    pub fn handle_stream(&mut self, now: Now, at: StreamIndex) -> bool {
        self.now = now;
        self.pump_burst(at)
    }

    /// Reads a stream up to its head.
    pub(super) fn pump(&mut self, at: StreamIndex) {
        while self.pump_burst(at) {}
    }

    fn pump_burst(&mut self, at: StreamIndex) -> bool {
        let Some(stream) = self.streams.get_mut(at.get()).filter(|stream| stream.is_watched) else {
            return false;
        };
        let pull = stream.tail.pull_some(self.id, Some(&stream.epoch), stream.read, BURST_BYTES);
        if pull.epoch != stream.epoch {
            self.begin_epoch(at, pull);
            return true;
        }
        stream.first = pull.first;
        if let Some(view) = &mut stream.view {
            view.trim(pull.first);
        }
        if pull.head <= stream.read {
            return false;
        }
        let next = stream.read + 1;
        if pull.segments.first().is_none_or(|segment| segment.first() > next) {
            let head = pull.head;
            self.skip_to(at, pull);
            return self.streams.get(at.get()).is_some_and(|stream| stream.read < head);
        }
        let (head, is_stale) = (pull.head, pull.expired > next);
        self.counters.bursts += 1;
        for segments in pull.segments.chunk_by(|a, b| is_batch(a) && is_batch(b)) {
            if segments.first().is_some_and(is_batch) && !is_stale {
                self.burst(at, segments);
            } else {
                // A hole, or a segment of which the beginning is too old: readers tell a gap.
                self.stop_live_readers(at);
                self.advance(at, segments);
            }
        }
        self.streams.get(at.get()).is_some_and(|stream| stream.read < head)
    }

    /// Contiguous events reach the live readers that they are for.
    fn burst(&mut self, at: StreamIndex, segments: &[Segment]) {
        let read = self.streams.get(at.get()).map_or(0, |stream| stream.read);
        let batches = segments.iter().filter_map(|segment| match segment {
            Segment::Batch(batch) => Some(batch.after(read)),
            Segment::Hole(_) => None,
        });
        let events: SmallVec<[&Event; 64]> = batches.flatten().collect();
        self.counters.events_read += events.len() as u64;
        let mut scratch = std::mem::take(&mut self.scratch);
        self.plan(at, &events, &mut scratch);
        self.render(at, &events, &mut scratch);
        self.distribute(at, &events, &scratch);
        self.keep_runs(at, &mut scratch);
        scratch.plans.clear();
        scratch.parts.clear();
        self.scratch = scratch;
        self.advance(at, segments);
    }

    /// Finds out who gets what, joining neighbours that go to the same readers.
    fn plan(&mut self, at: StreamIndex, events: &[&Event], scratch: &mut Scratch) {
        for (place, event) in events.iter().enumerate() {
            let set = match event.draft.audience {
                Audience::Everyone => self.matches(at, event, &mut scratch.matching),
                _ => Rc::new(self.match_audience(at, event)),
            };
            match scratch.plans.last_mut() {
                Some(plan) if Rc::ptr_eq(&plan.set, &set) => plan.to = place + 1,
                _ => scratch.plans.push(Plan { set, from: place, to: place + 1 }),
            }
        }
    }

    /// Renders each event once per rendering that someone needs it in.
    fn render(&mut self, at: StreamIndex, events: &[&Event], scratch: &mut Scratch) {
        let Some(stream) = self.streams.get(at.get()) else { return };
        let Some(named) = stream.named(&self.table, at) else { return };
        let Scratch { plans, parts, building, .. } = scratch;
        for (plan_at, plan) in plans.iter().enumerate() {
            for (group_at, group) in plan.set.groups.iter().enumerate() {
                let mut part: Option<Part> = None;
                for event in events.get(plan.from..plan.to).unwrap_or_default() {
                    let run_at = run_for(building, group.rendering, event.seq);
                    let Some(run) = building.get_mut(run_at).and_then(|b| Rc::get_mut(&mut b.run))
                    else {
                        continue;
                    };
                    let span = run.push(event.seq, |out| {
                        self.renderer.event(group.rendering, &named, event, out);
                    });
                    self.counters.renderings += 1;
                    match &mut part {
                        Some(part) if part.run == run_at => {
                            (part.end, part.events) = (span.end, part.events + 1);
                        }
                        _ => parts.extend(part.replace(Part {
                            plan: plan_at,
                            group: group_at,
                            run: run_at,
                            start: span.start,
                            end: span.end,
                            first: event.seq,
                            events: 1,
                        })),
                    }
                }
                parts.extend(part);
            }
        }
    }

    /// Puts the parts into the writes of live readers; those that cannot take more fall behind.
    fn distribute(&mut self, at: StreamIndex, events: &[&Event], scratch: &Scratch) {
        for part in &scratch.parts {
            let group =
                scratch.plans.get(part.plan).and_then(|plan| plan.set.groups.get(part.group));
            let building = scratch.building.get(part.run);
            let (Some(group), Some(building)) = (group, building) else { continue };
            for target in &group.targets {
                self.give(at, *target, part, &building.run);
            }
        }
        for plan in &scratch.plans {
            let first = events.get(plan.from).map_or(0, |event| event.seq);
            for target in &plan.set.others {
                self.fall_behind(*target, first - 1);
            }
        }
    }

    /// The step that every delivery takes: no allocation, no lock, no atomic.
    fn give(&mut self, at: StreamIndex, target: Target, part: &Part, run: &Rc<Run>) {
        let Some(session) = self.sessions.get_mut(target.place as usize) else { return };
        let has_room = session.has_room();
        let Some(reader) = session.readers.get_mut(target.reader as usize) else { return };
        debug_assert_eq!(reader.stream, at);
        if !reader.is_live {
            return;
        }
        if !has_room || session.is_closing {
            (reader.is_live, reader.cursor) = (false, part.first - 1);
            session.is_behind = !session.is_closing;
            self.counters.stalls += 1;
            return;
        }
        let outbox = session.outbox.get_or_insert_with(|| self.outboxes.pop().unwrap_or_default());
        outbox.push_shared(run, part.start, part.end);
        session.counts.events_out += u64::from(part.events);
        self.counters.deliveries += u64::from(part.events);
        if !session.is_queued {
            session.is_queued = true;
            self.ready.push_back(target.place);
        }
    }

    /// A live reader has something to read after `cursor`, when its time comes.
    fn fall_behind(&mut self, target: Target, cursor: Seq) {
        let Some(session) = self.sessions.get_mut(target.place as usize) else { return };
        let Some(reader) = session.readers.get_mut(target.reader as usize) else { return };
        if !std::mem::take(&mut reader.is_live) {
            return;
        }
        reader.cursor = cursor;
        self.look_again(target.place);
    }

    /// Lets those that fell a little behind find what was rendered in this burst.
    fn keep_runs(&mut self, at: StreamIndex, scratch: &mut Scratch) {
        let Some(stream) = self.streams.get_mut(at.get()) else { return };
        for Building { rendering, run } in scratch.building.drain(..) {
            stream.runs.entry(rendering).or_default().insert(run);
        }
    }

    /// The worker has read these segments.
    fn advance(&mut self, at: StreamIndex, segments: &[Segment]) {
        let Some(stream) = self.streams.get_mut(at.get()) else { return };
        for segment in segments {
            if let (Some(view), Segment::Batch(batch)) = (&mut stream.view, segment) {
                view.insert(batch, stream.read);
            }
            stream.read = stream.read.max(segment.last());
        }
        stream.remember(segments.to_vec(), self.limits.recent_bytes_max);
    }

    /// The tail does not reach back to where the worker is: its readers read pages, like any that
    /// fell behind, and the worker goes on at the head.
    fn skip_to(&mut self, at: StreamIndex, pull: Pull) {
        self.stop_live_readers(at);
        let Some(stream) = self.streams.get_mut(at.get()) else { return };
        stream.forget_recent();
        let since = pull.segments.first().map_or(pull.head, |segment| segment.first() - 1);
        (stream.first, stream.read) = (pull.first, since);
        (stream.view, stream.backfill) = (None, None);
        self.advance(at, &pull.segments);
    }

    /// Continuity was lost: every reader begins again, after a gap.
    fn begin_epoch(&mut self, at: StreamIndex, pull: Pull) {
        self.pages.forget(at);
        self.index.forget_verdicts(at);
        let Some(stream) = self.streams.get_mut(at.get()) else { return };
        stream.forget_recent();
        (stream.view, stream.backfill) = (None, None);
        let since = pull.segments.first().map_or(pull.head, |segment| segment.first() - 1);
        (stream.epoch, stream.first, stream.read) = (pull.epoch, pull.first, since);
        let places: Vec<u32> = self.readers_of(at);
        for place in places {
            let Some(session) = self.sessions.get_mut(place as usize) else { continue };
            for reader in session.readers.iter_mut().filter(|reader| reader.stream == at) {
                (reader.is_live, reader.is_reset) = (false, true);
                reader.cursor = pull.first.saturating_sub(1);
            }
            if let Some(rare) = &mut session.rare {
                rare.beginnings.retain(|beginning| beginning.stream != at);
                rare.endings.retain(|ending| ending.stream != at);
                rare.gaps.retain(|gap| gap.stream != at);
                for replay in rare.replays.iter_mut().filter(|replay| replay.stream == at) {
                    // What it was to bring is gone; only its end is told.
                    (replay.is_reset, replay.cursor) = (false, replay.until);
                }
            }
            self.look_again(place);
        }
        self.advance(at, &pull.segments);
    }

    fn stop_live_readers(&mut self, at: StreamIndex) {
        let read = self.streams.get(at.get()).map_or(0, |stream| stream.read);
        for place in self.readers_of(at) {
            let count = self.sessions.get(place as usize).map_or(0, |s| s.readers.len() as u32);
            for reader in 0..count {
                let session = self.sessions.get(place as usize);
                let found = session.and_then(|session| session.readers.get(reader as usize));
                if found.is_some_and(|reader| reader.stream == at) {
                    self.fall_behind(Target { place, reader }, read);
                }
            }
        }
    }

    fn readers_of(&self, at: StreamIndex) -> Vec<u32> {
        let reads = |key: &ClientKey| {
            let session = self.sessions.get(key.place as usize);
            session.is_some_and(|session| session.readers.iter().any(|r| r.stream == at))
        };
        self.clients().filter(reads).map(|key| key.place).collect()
    }
}

impl StreamState {
    /// Keeps segments at hand, up to a bound in bytes.
    pub(super) fn remember(&mut self, segments: Vec<Segment>, bytes_max: usize) {
        for segment in segments {
            self.recent_bytes += segment.bytes();
            self.recent.push_back(segment);
        }
        while self.recent_bytes > bytes_max && self.recent.len() > 1 {
            if let Some(oldest) = self.recent.pop_front() {
                self.recent_bytes -= oldest.bytes();
            }
        }
    }
}

fn is_batch(segment: &Segment) -> bool {
    matches!(segment, Segment::Batch(_))
}

/// The run that takes the next event of a rendering.
fn run_for(building: &mut Vec<Building>, rendering: Rendering, seq: Seq) -> usize {
    let found = building.iter().rposition(|building| building.rendering == rendering);
    match found {
        Some(at) if building.get(at).is_some_and(|building| !building.run.is_full()) => at,
        _ => {
            building.push(Building { rendering, run: Rc::new(Run::new(seq)) });
            building.len() - 1
        }
    }
}

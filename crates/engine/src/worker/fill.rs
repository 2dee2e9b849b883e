use protocol::{Event, Seq};

use super::ahead::{Ahead, Memory, choose, look_ahead};
use super::deliver::{Before, Courier};
use super::{StreamState, Worker};
use crate::broker::{Hole, Page};
use crate::render::{Renderer as _, Stream};
use crate::session::Reader;
use crate::streams::StreamIndex;

/// How far ahead a timer is set at most: it outlives its session.
const TIMER_MS_MAX: u64 = 60_000;

/// What one step of a reader came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It went on; there may be more.
    Progress,
    /// It looked at much and found nothing: others have their turn first.
    Yields,
    /// It has to wait for its time, or for an answer.
    Waits,
    /// It is live.
    Live,
}

/// How far a reader came.
enum Sent {
    /// Everything for it up to this seq is sent; whether there was anything.
    UpTo(Seq, bool),
    Hole(Hole),
    /// What was there is not kept any more; reading goes on at this seq.
    Lost(Seq),
}

impl Worker {
    /// Lets the readers of a client that are behind read on, by the priority of their streams,
    /// until its write is full.
    pub(super) fn fill(&mut self, place: u32) {
        let mut reader = 0;
        while let Some(session) = self.sessions.get_mut(place as usize) {
            if !session.is_behind || session.is_closing || !session.has_room() {
                return;
            }
            if reader >= session.readers.len() {
                session.is_behind = false;
                return self.settle(place);
            }
            match self.step(place, reader) {
                Step::Progress => {}
                Step::Yields => return self.queue(place),
                Step::Waits | Step::Live => reader += 1,
            }
        }
    }

    fn step(&mut self, place: u32, at_reader: usize) -> Step {
        let Some(session) = self.sessions.get_mut(place as usize) else { return Step::Live };
        let Some(reader) = session.readers.get(at_reader).cloned() else { return Step::Live };
        if reader.is_reset {
            self.tell_epoch(place, reader.stream);
            return Step::Progress;
        }
        if let Some(replay) = session.replay(reader.stream).cloned() {
            return self.step_replay(place, &replay);
        }
        if reader.is_live {
            return Step::Live;
        }
        let Some(stream) = self.streams.get(reader.stream.get()) else { return Step::Live };
        if reader.cursor >= stream.read {
            self.go_live(place, at_reader);
            return Step::Live;
        }
        if reader.due_ms > self.now.ms {
            self.wait_until_due(place, at_reader);
            return Step::Waits;
        }
        self.read(place, at_reader, &reader)
    }

    /// Sets a timer for the reader, unless one is set: it is asked to read on far more often than
    /// its time comes.
    fn wait_until_due(&mut self, place: u32, at_reader: usize) {
        let now_ms = self.now.ms;
        let session = self.sessions.get_mut(place as usize);
        let reader = session.and_then(|session| session.readers.get_mut(at_reader));
        let Some(reader) = reader.filter(|reader| reader.timer_ms <= now_ms) else { return };
        let at_ms = reader.due_ms.min(now_ms + TIMER_MS_MAX);
        reader.timer_ms = at_ms;
        self.schedule_read(place, at_ms);
    }

    /// Everything for the reader is sent: new events reach it in the burst in which they come.
    fn go_live(&mut self, place: u32, at_reader: usize) {
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        let Some(reader) = session.readers.get_mut(at_reader) else { return };
        reader.is_live = true;
    }

    /// Forgets where subscriptions began and ended, once every reader has passed it.
    fn settle(&mut self, place: u32) {
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        let Some(mut rare) = session.rare.take() else { return };
        let streams = &self.streams;
        let passed = |stream: StreamIndex, seq: Seq| {
            let read = streams.get(stream.get()).map_or(0, |stream| stream.read);
            let mut readers = session.readers.iter().filter(|reader| reader.stream == stream);
            readers.all(|reader| reader.position(read) >= seq)
        };
        rare.beginnings.retain(|beginning| !passed(beginning.stream, beginning.after));
        rare.gaps.retain(|gap| !passed(gap.stream, gap.to));
        let ended = rare.endings.len();
        rare.endings.retain(|ending| !passed(ending.stream, ending.until));
        let has_changed = rare.endings.len() < ended;
        let is_needed = !(rare.groups.is_empty()
            && rare.device.is_none()
            && rare.remembering.is_none()
            && rare.beginnings.is_empty()
            && rare.endings.is_empty()
            && rare.replays.is_empty()
            && rare.gaps.is_empty()
            && !rare.awaits_answer()
            && rare.waiting.is_empty());
        session.rare = is_needed.then_some(rare);
        if has_changed {
            self.drop_idle_readers(place);
        }
    }

    /// Reads on from the reader's cursor and sends what is for it.
    fn read(&mut self, place: u32, at_reader: usize, reader: &Reader) -> Step {
        let (at, after) = (reader.stream, reader.cursor);
        let mut page = None;
        let expired = self.streams.get(at.get()).map_or(0, StreamState::expired);
        if !reader.mode.latest && after + 1 < expired {
            self.lose(place, at, after, expired);
            return Step::Progress;
        }
        if reader.mode.latest {
            if !self.has_view(at, after) {
                return Step::Waits;
            }
        } else if self.is_below_recent(at, after) {
            page = self.page(place, at, after);
            if page.is_none() {
                return Step::Waits;
            }
        }
        let until = self.until(place, at_reader);
        match self.send_ahead(place, reader, until, page.as_deref()) {
            Some(Sent::UpTo(reached, has_found)) => {
                self.reach(place, at_reader, reached);
                self.rest(place, at_reader, until);
                if has_found { Step::Progress } else { Step::Yields }
            }
            Some(Sent::Hole(hole)) => {
                self.reach(place, at_reader, hole.to);
                self.tell_lost(place, at, hole);
                Step::Progress
            }
            Some(Sent::Lost(first)) => {
                self.lose(place, at, after, first);
                Step::Progress
            }
            None => Step::Live,
        }
    }

    /// Where the read that is under way ends, or one that begins now.
    fn until(&mut self, place: u32, at_reader: usize) -> Seq {
        let session = self.sessions.get_mut(place as usize);
        let reader = session.and_then(|session| session.readers.get_mut(at_reader));
        let Some(reader) = reader else { return 0 };
        let read = self.streams.get(reader.stream.get()).map_or(0, |stream| stream.read);
        if reader.mode.interval_ms == 0 || reader.until <= reader.cursor {
            reader.until = read;
        }
        reader.until
    }

    /// A reader with an interval that has read all it wanted rests.
    fn rest(&mut self, place: u32, at_reader: usize, until: Seq) {
        let now_ms = self.now.ms;
        let session = self.sessions.get_mut(place as usize);
        let reader = session.and_then(|session| session.readers.get_mut(at_reader));
        if let Some(reader) = reader.filter(|reader| reader.cursor >= until) {
            reader.due_ms = now_ms + u64::from(reader.mode.interval_ms);
        }
    }

    /// Sends what is ahead of a reader, up to `until`, on a page or at hand.
    fn send_ahead(
        &mut self,
        place: u32,
        reader: &Reader,
        until: Seq,
        page: Option<&Page>,
    ) -> Option<Sent> {
        let (at, mode, after) = (reader.stream, reader.mode, reader.cursor);
        let positions = self.positions_before(place, reader);
        let spec = self.table.spec(at)?;
        let StreamState { recent, view, runs, epoch, .. } = self.streams.get_mut(at.get())?;
        let session = self.sessions.get_mut(place as usize)?;
        let mut memory = Memory::of(session, &self.index);
        let owns = |event: &Event| {
            memory.owner(session, &self.index, at, spec.mode, event) == Some(mode)
                && session.sees(&event.draft.audience)
        };
        let ahead = if mode.latest {
            Ahead::Events(choose(view.as_ref()?.after(after), until, owns))
        } else {
            look_ahead(page, recent, after, until, owns)
        };
        let chosen = match ahead {
            Ahead::Events(chosen) => chosen,
            Ahead::Hole(hole) => return Some(Sent::Hole(hole)),
            Ahead::Lost(first) => return Some(Sent::Lost(first)),
        };
        let mut courier = Courier {
            session,
            runs,
            renderer: &mut self.renderer,
            stream: Stream { name: &spec.name, epoch },
            outboxes: &mut self.outboxes,
            counters: &mut self.counters,
        };
        if mode.batch {
            courier.deliver_batch(&chosen.events);
        } else {
            courier.deliver(&chosen.events, positions);
        }
        Some(Sent::UpTo(chosen.scanned_to, !chosen.events.is_empty()))
    }

    fn reach(&mut self, place: u32, at_reader: usize, cursor: Seq) {
        let session = self.sessions.get_mut(place as usize);
        if let Some(reader) = session.and_then(|session| session.readers.get_mut(at_reader)) {
            reader.cursor = cursor;
        }
    }

    /// The session's positions, where its rendering names them before each event.
    fn positions_before(&self, place: u32, reader: &Reader) -> Option<Before> {
        let session = self.sessions.get(place as usize)?;
        if !self.renderer.names_positions(session.rendering) {
            return None;
        }
        let read = self.streams.get(reader.stream.get())?.read;
        let others = session
            .readers
            .iter()
            .filter(|other| other.stream == reader.stream && other.mode != reader.mode);
        let others = others.map(|other| other.position(read)).min().unwrap_or(Seq::MAX);
        Some(Before { positions: self.positions(session), others })
    }

    /// Whether what follows `after` is not at hand, but on a page of the broker.
    pub(super) fn is_below_recent(&self, at: StreamIndex, after: Seq) -> bool {
        self.streams.get(at.get()).is_some_and(|stream| after + 1 < stream.recent_first())
    }
}

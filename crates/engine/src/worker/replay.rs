use protocol::{Event, GapReason, Message, Seq};

use super::ahead::{Ahead, choose, look_ahead};
use super::fill::Step;
use super::{StreamState, Worker};
use crate::broker::{Hole, Page};
use crate::session::Replay;

/// What a replay finds behind its cursor.
enum Found {
    /// Events, and how far they reach.
    Events(Vec<Event>, Seq),
    Nothing(Step),
}

impl Worker {
    /// Sends the next part of a replay.
    pub(super) fn step_replay(&mut self, place: u32, replay: &Replay) -> Step {
        if replay.is_reset {
            let first = self.streams.get(replay.stream.get()).map_or(1, |stream| stream.first);
            self.tell_gap(place, replay.stream, 1, first.saturating_sub(1), GapReason::Epoch);
            self.set_replay(place, replay, |replay| replay.is_reset = false);
            return Step::Progress;
        }
        let mut events = Vec::new();
        let mut cursor = replay.until;
        if replay.cursor < replay.until {
            match self.replay_ahead(place, replay) {
                Found::Events(found, reached) => (events, cursor) = (found, reached),
                Found::Nothing(step) => return step,
            }
        }
        let done = cursor >= replay.until;
        self.set_replay(place, replay, |replay| replay.cursor = cursor);
        if done && let Some(session) = self.sessions.get_mut(place as usize) {
            let gone = |other: &Replay| {
                other.subscription == replay.subscription && other.stream == replay.stream
            };
            session.rare_mut().replays.retain(|other| !gone(other));
        }
        if (done || !events.is_empty())
            && let Some(spec) = self.table.spec(replay.stream)
        {
            let (subscription, stream) = (replay.id, spec.name.clone());
            self.counters.deliveries += events.len() as u64;
            self.tell(place, &Message::Replay { subscription, stream, events, done });
        }
        Step::Progress
    }

    /// The events of a replay that come next and how far they reach.
    fn replay_ahead(&mut self, place: u32, replay: &Replay) -> Found {
        let (at, after) = (replay.stream, replay.cursor);
        let mut page = None;
        let expired = self.streams.get(at.get()).map_or(0, StreamState::expired);
        if !replay.is_latest && after + 1 < expired {
            let reason = GapReason::Retention;
            return self.lose_replay(
                place,
                replay,
                Hole { from: after + 1, to: expired - 1, reason },
            );
        }
        if replay.is_latest {
            if !self.has_view(at, after) {
                return Found::Nothing(Step::Waits);
            }
        } else if self.is_below_recent(at, after) {
            page = self.page(place, at, after);
            if page.is_none() {
                return Found::Nothing(Step::Waits);
            }
        }
        match self.look_ahead_of(place, replay, page.as_deref()) {
            Some(Ok((events, reached))) => Found::Events(events, reached),
            Some(Err(lost)) => self.lose_replay(place, replay, lost),
            None => Found::Nothing(Step::Live),
        }
    }

    fn lose_replay(&mut self, place: u32, replay: &Replay, lost: Hole) -> Found {
        let to = lost.to.min(replay.until);
        self.set_replay(place, replay, |replay| replay.cursor = to);
        self.tell_gap(place, replay.stream, lost.from, to, lost.reason);
        Found::Nothing(Step::Progress)
    }

    fn look_ahead_of(
        &self,
        place: u32,
        replay: &Replay,
        page: Option<&Page>,
    ) -> Option<Result<(Vec<Event>, Seq), Hole>> {
        let (after, until) = (replay.cursor, replay.until);
        let session = self.sessions.get(place as usize)?;
        let stream = self.streams.get(replay.stream.get())?;
        let wanted =
            |event: &Event| session.sees(&event.draft.audience) && replay.wants(&self.index, event);
        let ahead = if replay.is_latest {
            Ahead::Events(choose(stream.view.as_ref()?.after(after), until, wanted))
        } else {
            look_ahead(page, &stream.recent, after, until, wanted)
        };
        Some(match ahead {
            Ahead::Events(chosen) => {
                Ok((chosen.events.into_iter().cloned().collect(), chosen.scanned_to))
            }
            Ahead::Hole(hole) => Err(hole),
            Ahead::Lost(first) => {
                Err(Hole { from: after + 1, to: first - 1, reason: GapReason::Retention })
            }
        })
    }

    fn set_replay(&mut self, place: u32, which: &Replay, change: impl FnOnce(&mut Replay)) {
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        let mut replays = session.rare.iter_mut().flat_map(|rare| &mut rare.replays);
        let found = replays.find(|replay| {
            replay.subscription == which.subscription && replay.stream == which.stream
        });
        if let Some(replay) = found {
            change(replay);
        }
    }
}

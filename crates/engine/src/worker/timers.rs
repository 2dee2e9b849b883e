use std::cmp::Reverse;

use protocol::{Message, Position};

use super::{ClientKey, Now, Request, StreamState, Worker};
use crate::render::Renderer as _;
use crate::session::Session;
use crate::streams::StreamIndex;

/// How often what nobody uses is dropped.
const SWEEP_MS: u64 = 1_000;
/// Sweeps that a stream without readers is still followed, so that clients that come back at once
/// find its newest events.
const IDLE_SWEEPS_MAX: u32 = 30;

/// Something that is due at a time; the earliest is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    at_ms: Reverse<u64>,
    what: What,
    client: ClientKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A reader with an interval may read again.
    Read,
    Heartbeat,
}

impl Worker {
    /// When [`Worker::handle_timer`] should be called next, in ms of [`Now::ms`].
    pub fn next_timer(&self) -> Option<u64> {
        let sweep = (!self.sessions.is_empty() || self.streams.iter().any(|s| s.is_watched))
            .then_some(self.sweep_at_ms);
        let timer = self.timers.peek().map(|timer| timer.at_ms.0);
        let expiry = self.expiries.look_at(self.now);
        sweep.into_iter().chain(timer).chain(expiry).min()
    }

    /// Does what is due.
    pub fn handle_timer(&mut self, now: Now) {
        self.now = now;
        while let Some(timer) = self.timers.peek().copied() {
            if timer.at_ms.0 > now.ms {
                break;
            }
            self.timers.pop();
            if self.session(timer.client).is_none() {
                continue;
            }
            match timer.what {
                What::Read => self.look_again(timer.client.place),
                What::Heartbeat => self.heartbeat(timer.client),
            }
        }
        self.expire();
        if now.ms >= self.sweep_at_ms {
            self.sweep_at_ms = now.ms + SWEEP_MS;
            self.sweep();
        }
    }

    pub(super) fn schedule_heartbeat(&mut self, client: ClientKey, heartbeat_ms: u32) {
        let at_ms = Reverse(self.now.ms + u64::from(heartbeat_ms.max(1)));
        self.timers.push(Timer { at_ms, what: What::Heartbeat, client });
    }

    pub(super) fn schedule_read(&mut self, place: u32, at_ms: u64) {
        if let Some(client) = self.key_of(place) {
            self.timers.push(Timer { at_ms: Reverse(at_ms), what: What::Read, client });
        }
    }

    fn heartbeat(&mut self, key: ClientKey) {
        let Some(session) = self.session(key).filter(|session| !session.is_closing) else { return };
        let heartbeat_ms = session.heartbeat_ms;
        self.restore_left(key);
        let Some(session) = self.session(key) else { return };
        if !session.is_blocked {
            self.mark(key.place);
        }
        self.requests.push_back(Request::Heartbeat { client: key });
        self.schedule_heartbeat(key, heartbeat_ms);
    }

    /// Tells a client the positions that moved since it was last told.
    fn mark(&mut self, place: u32) {
        let Some(session) = self.sessions.get(place as usize) else { return };
        let mut moved: Vec<Position> = self.positions_with(session, |moved| moved).collect();
        if moved.is_empty() {
            return;
        }
        // Such a client resumes from the last positions that it was told, so they must be all.
        if self.renderer.names_positions(session.rendering) {
            moved = self.positions(session);
        }
        if let Some(session) = self.sessions.get_mut(place as usize) {
            for reader in &mut session.readers {
                let name = self.table.spec(reader.stream).map(|spec| &spec.name);
                if let Some(told) = moved.iter().find(|position| Some(&position.stream) == name) {
                    reader.marked = told.seq;
                }
            }
        }
        self.tell(place, &Message::Mark(moved));
    }

    /// Where a session is in each of its streams: everything for it up to there is sent.
    pub(super) fn positions(&self, session: &Session) -> Vec<Position> {
        self.positions_with(session, |_| true).collect()
    }

    /// Positions of the streams for which `choose`, told whether a position moved, says so.
    /// A stream whose replay is not done has no position that a client could resume from.
    fn positions_with<'a>(
        &'a self,
        session: &'a Session,
        choose: impl Fn(bool) -> bool + 'a,
    ) -> impl Iterator<Item = Position> + 'a {
        let firsts = session.readers.iter().enumerate().filter(|(place, reader)| {
            let before = session.readers.iter().take(*place);
            !before.into_iter().any(|other| other.stream == reader.stream)
        });
        firsts.filter_map(move |(_, first)| {
            let at = first.stream;
            let stream = self.streams.get(at.get())?;
            let readers = || session.readers.iter().filter(move |reader| reader.stream == at);
            let seq = readers().map(|reader| reader.position(stream.read)).min()?;
            let moved = readers().any(|reader| reader.marked != seq);
            let is_settled =
                readers().all(|reader| !reader.is_reset) && session.replay(at).is_none();
            if !is_settled || !choose(moved) {
                return None;
            }
            let name = self.table.spec(at)?.name.clone();
            Some(Position { stream: name, epoch: stream.epoch.clone(), seq })
        })
    }

    fn sweep(&mut self) {
        for at in self.table.indexes() {
            let Some(stream) = self.streams.get_mut(at.get()) else { continue };
            stream.runs.retain(|_, log| log.sweep());
            if !stream.is_watched || stream.readers > 0 {
                stream.idle_sweeps = 0;
                continue;
            }
            stream.idle_sweeps += 1;
            if stream.idle_sweeps > IDLE_SWEEPS_MAX {
                stream.unwatch(self.id);
            }
        }
    }

    /// Follows a stream from now on, and reads what is new.
    pub(super) fn watch(&mut self, at: StreamIndex) {
        let Some(stream) = self.streams.get_mut(at.get()) else { return };
        if !stream.is_watched {
            stream.is_watched = true;
            // Its epoch may have changed unseen.
            self.pages.forget(at);
            stream.tail.watch(self.id, stream.wake.clone());
            // All of the tail: clients that come back will ask for it.
            let pull = stream.tail.pull(self.id, None, 0);
            (stream.epoch, stream.first, stream.read) = (pull.epoch, pull.first, pull.head);
            stream.remember(pull.segments, self.limits.recent_bytes_max);
        }
        self.pump(at);
    }
}

impl StreamState {
    fn unwatch(&mut self, worker: u64) {
        self.tail.unwatch(worker);
        self.is_watched = false;
        self.forget_recent();
        self.matches.clear();
        self.matches_entries = 0;
        (self.view, self.backfill) = (None, None);
    }
}

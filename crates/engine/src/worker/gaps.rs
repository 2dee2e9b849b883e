use protocol::{Gap, GapReason, Message, Seq};
use smallvec::SmallVec;

use super::Worker;
use crate::broker::Hole;
use crate::session::ToldGap;
use crate::streams::StreamIndex;

impl Worker {
    /// Tells that the stream's epoch is another one now; its readers begin with what is kept.
    pub(super) fn tell_epoch(&mut self, place: u32, at: StreamIndex) {
        let Some(first) = self.streams.get(at.get()).map(|stream| stream.first) else { return };
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        for reader in session.readers.iter_mut().filter(|reader| reader.stream == at) {
            (reader.is_reset, reader.is_live) = (false, false);
            reader.cursor = first.saturating_sub(1);
            // The gap names it.
            (reader.marked, reader.until) = (reader.cursor, 0);
        }
        self.tell_gap(place, at, 1, first.saturating_sub(1), GapReason::Epoch);
    }

    pub(super) fn tell_gap(
        &mut self,
        place: u32,
        at: StreamIndex,
        from: Seq,
        to: Seq,
        reason: GapReason,
    ) {
        let (Some(spec), Some(stream)) = (self.table.spec(at), self.streams.get(at.get())) else {
            return;
        };
        let (stream, epoch) = (spec.name.clone(), stream.epoch.clone());
        self.counters.gaps += 1;
        self.tell(place, &Message::Gap(Gap { stream, epoch, from, to, reason }));
    }

    /// What followed the cursors between `after` and `first` is not kept any more.
    pub(super) fn lose(&mut self, place: u32, at: StreamIndex, after: Seq, first: Seq) {
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        let mut lost: Option<Seq> = None;
        let is_lost = |cursor: Seq| cursor >= after && cursor + 1 < first;
        let readers = session.readers.iter_mut();
        for reader in readers.filter(|r| r.stream == at && !r.is_live && is_lost(r.cursor)) {
            if !reader.mode.latest {
                lost = Some(lost.map_or(reader.cursor, |lost| lost.min(reader.cursor)));
            }
            reader.cursor = first - 1;
        }
        let replays = session.rare.iter_mut().flat_map(|rare| &mut rare.replays);
        for replay in replays.filter(|replay| replay.stream == at && is_lost(replay.cursor)) {
            lost = Some(lost.map_or(replay.cursor, |lost| lost.min(replay.cursor)));
            replay.cursor = (first - 1).min(replay.until);
        }
        if let Some(lost) = lost {
            let reason = GapReason::Retention;
            self.tell_lost(place, at, Hole { from: lost + 1, to: first - 1, reason });
        }
    }

    /// Tells what a reader lost, but for what another reader of the stream was told before: a gap
    /// is the client's.
    pub(super) fn tell_lost(&mut self, place: u32, at: StreamIndex, lost: Hole) {
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        let mut untold: SmallVec<[(Seq, Seq); 2]> = SmallVec::new();
        let mut from = lost.from;
        let told = session.rare.iter().flat_map(|rare| &rare.gaps);
        for told in told.filter(|told| told.stream == at && told.to >= lost.from) {
            if told.from > from {
                untold.push((from, lost.to.min(told.from - 1)));
            }
            from = from.max(told.to + 1);
            if from > lost.to {
                break;
            }
        }
        if from <= lost.to {
            untold.push((from, lost.to));
        }
        if session.readers.iter().filter(|reader| reader.stream == at).count() > 1 {
            session.rare_mut().remember_gap(ToldGap { stream: at, from: lost.from, to: lost.to });
        }
        for (from, to) in untold {
            self.tell_gap(place, at, from, to, lost.reason);
        }
    }
}

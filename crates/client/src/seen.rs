use std::collections::BTreeSet;

use protocol::{Epoch, Seq};

/// Most events that are remembered singly, above what is known to be complete. Beyond that the
/// lowest are forgotten, and may come again after a reconnection.
const ABOVE_MAX: usize = 65_536;

/// What one subscription has received of one stream.
///
/// The server names no position with an event, so what an event says about completeness depends
/// on how the client reads:
///
/// - Where all subscriptions of the client have one delivery mode, the server reads each stream
///   for it with one reader, events come in seq order, and each one means that everything before
///   it has come.
/// - Where modes are mixed, a stream's readers go at their own pace: an event may come before
///   others with lower seqs. Then only marks say what is complete. Events above the mark are
///   remembered singly, because they come again when the client resumes at the mark.
/// - While a replay is under way, its own order counts.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The epoch in which seqs count; `None` until the server names it.
    pub(crate) epoch: Option<Epoch>,
    /// Everything up to here has come, or will not.
    after: Seq,
    /// What else has come.
    above: BTreeSet<Seq>,
    replay: Replay,
}

/// History apart from the live order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replay {
    /// None, or it is complete.
    None,
    /// It may come; where it begins is known to be `after`, or not known.
    Expected { begin_is_known: bool, until: Seq },
    /// It has come up to `after`.
    Begun { until: Seq },
}

impl Seen {
    /// Live events follow behind `after`.
    pub(crate) fn from(epoch: Option<Epoch>, after: Seq) -> Self {
        Self { epoch, after, above: BTreeSet::new(), replay: Replay::None }
    }

    /// A replay may come first, from behind `begin` where that is known, up to `until`.
    pub(crate) fn with_replay(epoch: Epoch, begin: Option<Seq>, until: Seq) -> Self {
        let begin_is_known = begin.is_some();
        let after = begin.map_or(until, |begin| begin.min(until));
        let replay = Replay::Expected { begin_is_known, until };
        Self { epoch: Some(epoch), after, above: BTreeSet::new(), replay }
    }

    /// Where to resume so that nothing is missed.
    pub(crate) fn resume_after(&self) -> Seq {
        self.after
    }

    /// Takes note of a live event; whether it is new.
    pub(crate) fn take_live(&mut self, seq: Seq) -> bool {
        // Live events of a subscription follow the end of its replay.
        self.end_replay();
        if seq <= self.after || !self.above.insert(seq) {
            return false;
        }
        if self.above.len() > ABOVE_MAX {
            self.above.pop_first();
        }
        true
    }

    /// Takes note of a replayed event. It is always new: a replay comes once, on the connection
    /// that the subscription began on.
    pub(crate) fn take_replayed(&mut self, seq: Seq) {
        match self.replay {
            Replay::Expected { until, .. } => self.replay = Replay::Begun { until },
            Replay::None => self.replay = Replay::Begun { until: self.after },
            Replay::Begun { .. } => {}
        }
        self.after = seq;
    }

    /// The replay is complete, if there was one.
    pub(crate) fn end_replay(&mut self) {
        match std::mem::replace(&mut self.replay, Replay::None) {
            Replay::None => {}
            Replay::Expected { until, .. } | Replay::Begun { until } => self.complete(until),
        }
    }

    /// Everything up to `seq` has come: told by a mark, or by an event where there is one order.
    pub(crate) fn complete(&mut self, seq: Seq) {
        self.after = self.after.max(seq);
        while self.above.first().is_some_and(|first| *first <= self.after) {
            self.above.pop_first();
        }
    }

    /// An event of another subscription says that everything up to `seq` has come, except for a
    /// replay that is under way.
    pub(crate) fn complete_unless_replaying(&mut self, seq: Seq) {
        if self.replay == Replay::None {
            self.complete(seq);
        }
    }

    /// Events `from..=to` will not come; whether that is news.
    pub(crate) fn gap(&mut self, from: Seq, to: Seq, in_order: bool) -> bool {
        if to <= self.after {
            return false;
        }
        // A gap is true whoever reads. It moves the position where it touches it, or where gaps
        // come in seq order like events.
        if from <= self.after.saturating_add(1) || (in_order && self.replay == Replay::None) {
            self.complete(to);
        }
        true
    }

    /// The server names the stream's epoch: where it is another one, everything begins anew,
    /// behind `after`.
    pub(crate) fn in_epoch(&mut self, epoch: &Epoch, after: Seq) {
        match &self.epoch {
            Some(known) if known == epoch => {}
            Some(_) => *self = Self::from(Some(epoch.clone()), after),
            None => self.epoch = Some(epoch.clone()),
        }
    }

    /// The connection is lost, and with it what had not come of a replay: what is behind `after`
    /// will come live. Whether some is lost, because nobody knows where it began.
    pub(crate) fn connection_lost(&mut self) -> bool {
        let replay = std::mem::replace(&mut self.replay, Replay::None);
        matches!(replay, Replay::Expected { begin_is_known: false, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch() -> Epoch {
        Epoch::parse("e").unwrap()
    }

    #[test]
    fn in_one_order_an_event_completes_what_is_before_it() {
        let mut seen = Seen::from(None, 5);
        assert!(!seen.take_live(5));
        assert!(seen.take_live(9));
        seen.complete(9);
        assert_eq!(seen.resume_after(), 9);
        assert!(!seen.take_live(8));
    }

    #[test]
    fn in_mixed_order_events_above_the_mark_are_known_singly() {
        let mut seen = Seen::from(None, 5);
        assert!(seen.take_live(9));
        assert!(seen.take_live(7));
        assert_eq!(seen.resume_after(), 5);
        assert!(!seen.take_live(9), "it came again");
        seen.complete(8);
        assert_eq!(seen.resume_after(), 8);
        assert!(!seen.take_live(7));
        assert!(!seen.take_live(9));
        assert!(seen.take_live(10));
    }

    #[test]
    fn memory_of_single_events_is_bounded() {
        let mut seen = Seen::from(None, 0);
        for seq in 1..=ABOVE_MAX as Seq + 10 {
            assert!(seen.take_live(seq));
        }
        assert_eq!(seen.above.len(), ABOVE_MAX);
        assert!(seen.take_live(1), "forgotten, so it comes twice rather than never");
    }

    #[test]
    fn a_replay_resumes_where_it_was() {
        let mut seen = Seen::with_replay(epoch(), None, 100);
        seen.take_replayed(91);
        seen.complete_unless_replaying(120);
        assert_eq!(seen.resume_after(), 91);
        assert!(!seen.connection_lost());
        assert!(seen.take_live(92), "the rest comes live");
    }

    #[test]
    fn a_replay_ends_where_the_live_order_begins() {
        let mut seen = Seen::with_replay(epoch(), Some(3), 100);
        assert_eq!(seen.resume_after(), 3);
        seen.take_replayed(50);
        seen.end_replay();
        assert_eq!(seen.resume_after(), 100);
        assert!(seen.take_live(101));
    }

    #[test]
    fn a_replay_that_had_not_begun_is_lost_unless_its_begin_is_known() {
        assert!(Seen::with_replay(epoch(), None, 100).connection_lost());
        assert!(!Seen::with_replay(epoch(), Some(90), 100).connection_lost());
        let mut seen = Seen::with_replay(epoch(), None, 100);
        seen.end_replay();
        assert!(!seen.connection_lost());
    }

    #[test]
    fn a_gap_moves_the_position_that_it_touches() {
        let mut seen = Seen::from(None, 5);
        assert!(!seen.gap(1, 5, false));
        assert!(seen.gap(8, 9, false));
        assert_eq!(seen.resume_after(), 5);
        assert!(seen.gap(6, 9, false));
        assert_eq!(seen.resume_after(), 9);
        assert!(seen.gap(15, 20, true));
        assert_eq!(seen.resume_after(), 20);
    }
}

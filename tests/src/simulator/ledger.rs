use std::collections::{BTreeMap, HashMap};

use engine::{Cursor, Device, Hole};
use protocol::{Epoch, Event, Seq};

use super::clock::Tick;

/// All that a stream ever was, which no checker has to ask the broker for.
#[derive(Default)]
pub struct StreamLedger {
    /// In order; the last one is current.
    pub epochs: Vec<EpochLedger>,
    /// What each device had acknowledged after each acknowledgement that was stored, in order.
    pub cursors: Vec<(Tick, Device, Cursor)>,
    /// Which cursor each device was given when it asked for it, in order.
    pub loads: Vec<(Tick, Device, Cursor)>,
}

/// What happened in one epoch.
pub struct EpochLedger {
    /// Its name.
    pub epoch: Epoch,
    /// When it began.
    pub began: Tick,
    /// Every event that had a place in it, however short.
    pub events: BTreeMap<Seq, Recorded>,
    /// First kept seq since when; grows.
    pub firsts: Vec<(Tick, Seq)>,
    /// Events before this seq are too old since when; grows.
    pub expired: Vec<(Tick, Seq)>,
    /// Last seq since when; grows.
    pub heads: Vec<(Tick, Seq)>,
    /// Ranges that cannot be read since when.
    pub holes: Vec<(Tick, Hole)>,
}

/// An event and when it was appended.
#[derive(Clone)]
pub struct Recorded {
    /// The event.
    pub event: Event,
    /// When it was appended.
    pub at: Tick,
    /// When a newer event of the same topic and audience was, if ever; known when all is over.
    pub replaced_at: Option<Tick>,
}

impl StreamLedger {
    /// The epoch of that name.
    pub fn epoch(&self, epoch: &Epoch) -> Option<&EpochLedger> {
        self.epochs.iter().rev().find(|ledger| ledger.epoch == *epoch)
    }

    /// The current epoch.
    pub fn current(&self) -> &EpochLedger {
        self.epochs.last().unwrap()
    }

    /// Last seq at a time, in the epoch of that time.
    pub fn head_at(&self, tick: Tick) -> Seq {
        let begun = self.epochs.iter().rev().find(|ledger| ledger.began <= tick);
        begun.map_or(0, |ledger| ledger.head_at(tick))
    }

    /// The current epoch, to be written in.
    pub fn current_mut(&mut self) -> &mut EpochLedger {
        self.epochs.last_mut().unwrap()
    }
}

impl EpochLedger {
    /// An epoch in which nothing happened.
    pub fn new(epoch: Epoch, began: Tick, first: Seq, head: Seq) -> Self {
        let (events, holes) = (BTreeMap::new(), Vec::new());
        let (firsts, heads) = (vec![(began, first)], vec![(began, head)]);
        let expired = vec![(began, 0)];
        Self { epoch, began, events, firsts, expired, heads, holes }
    }

    /// All is over: finds out which events were replaced by which.
    pub fn close(&mut self) {
        let mut newer = HashMap::new();
        for recorded in self.events.values_mut().rev() {
            let draft = &recorded.event.draft;
            let kind = (draft.topic.clone(), draft.audience.clone());
            recorded.replaced_at = newer.insert(kind, recorded.at);
        }
    }

    /// First kept seq at a time.
    pub fn first_at(&self, tick: Tick) -> Seq {
        at(&self.firsts, tick)
    }

    /// Before which seq events were too old at a time.
    pub fn expired_at(&self, tick: Tick) -> Seq {
        at(&self.expired, tick)
    }

    /// Last seq at a time.
    pub fn head_at(&self, tick: Tick) -> Seq {
        at(&self.heads, tick)
    }

    /// Whether `seq` could not be read at a time because it was damaged.
    pub fn is_hole_at(&self, seq: Seq, tick: Tick) -> bool {
        let covers = |hole: &Hole| hole.from <= seq && seq <= hole.to;
        self.holes.iter().any(|(since, hole)| *since <= tick && covers(hole))
    }

    /// Events behind `after` up to `to`.
    pub fn range(&self, after: Seq, to: Seq) -> impl Iterator<Item = &Recorded> {
        let range = (after < to).then(|| self.events.range(after + 1..=to));
        range.into_iter().flatten().map(|(_, recorded)| recorded)
    }
}

fn at(changes: &[(Tick, Seq)], tick: Tick) -> Seq {
    let behind = changes.partition_point(|(since, _)| *since <= tick);
    changes[behind.max(1) - 1].1
}

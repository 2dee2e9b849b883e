use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use protocol::{Epoch, Seq};

use crate::broker::Segment;
use crate::streams::StreamIndex;

/// Most epochs that are over of which is known what was too old.
const OVER_MAX: usize = 16;

/// Wakes a worker that has interest in a stream. Must not block.
pub trait Wake: Send + Sync {
    /// The stream has something that the worker has not pulled.
    fn wake(&self, stream: StreamIndex);
}

/// The newest events of a stream, in memory, bounded in bytes. The broker pushes, workers pull.
///
/// A worker takes all that is new under one brief lock; nothing is sent to it, so nothing
/// overflows: one that falls behind the tail reads pages from the broker.
pub struct Tail {
    stream: StreamIndex,
    bytes_max: usize,
    state: Mutex<State>,
}

struct State {
    epoch: Epoch,
    /// First kept seq of the stream, which may lie below the tail.
    first: Seq,
    /// Events before this seq are too old.
    expired: Seq,
    /// Epochs that are over, newest last, and what was too old of each: a worker that is late may
    /// still be in one of them.
    over: VecDeque<(Epoch, Seq)>,
    /// Last seq of the stream.
    head: Seq,
    segments: VecDeque<Segment>,
    bytes: usize,
    watchers: Vec<Watcher>,
}

struct Watcher {
    id: u64,
    wake: Arc<dyn Wake>,
    /// Set between a wake-up and the next pull, so that a burst wakes a worker once.
    is_woken: bool,
}

/// What a worker took.
#[derive(Debug)]
pub struct Pull {
    /// The stream's epoch.
    pub epoch: Epoch,
    /// First kept seq.
    pub first: Seq,
    /// Events before this seq are too old to be delivered.
    pub expired: Seq,
    /// Last seq.
    pub head: Seq,
    /// Contiguous segments up to `head`. They begin at or before the asked place, or later where
    /// the tail does not reach so far back.
    pub segments: Vec<Segment>,
}

impl Tail {
    /// An empty tail of a stream whose last seq is `head`.
    pub fn new(stream: StreamIndex, epoch: Epoch, first: Seq, head: Seq, bytes_max: usize) -> Self {
        let (segments, watchers) = (VecDeque::new(), Vec::new());
        let (expired, over) = (0, VecDeque::new());
        let state = State { epoch, first, expired, over, head, segments, bytes: 0, watchers };
        Self { stream, bytes_max, state: Mutex::new(state) }
    }

    /// Appends a segment, which must begin behind the head; the oldest are dropped beyond the
    /// bound. Wakes the workers that watch.
    pub fn push(&self, segment: Segment) {
        self.push_all([segment]);
    }

    /// Appends segments that came together, and wakes the workers once for all of them: they read
    /// them as one burst, and each client gets them as one write.
    pub fn push_all(&self, segments: impl IntoIterator<Item = Segment>) {
        let mut state = self.state.lock();
        for segment in segments {
            debug_assert_eq!(segment.first(), state.head + 1);
            state.head = segment.last();
            state.bytes += segment.bytes();
            state.segments.push_back(segment);
        }
        while state.bytes > self.bytes_max && state.segments.len() > 1 {
            if let Some(oldest) = state.segments.pop_front() {
                state.bytes -= oldest.bytes();
            }
        }
        self.wake(&mut state);
    }

    /// Retention moved: `first` is the first kept seq now.
    pub fn trim(&self, first: Seq) {
        let mut state = self.state.lock();
        state.first = first.max(state.first);
        while state.segments.front().is_some_and(|oldest| oldest.last() < first) {
            if let Some(oldest) = state.segments.pop_front() {
                state.bytes -= oldest.bytes();
            }
        }
    }

    /// Events before `first`, which retention took, are too old to be delivered even by workers
    /// that still have them at hand. What the bounds by count and bytes took may be.
    pub fn expire(&self, first: Seq) {
        let mut state = self.state.lock();
        state.expired = first.max(state.expired);
    }

    /// Events of this epoch before this seq are too old to be delivered.
    pub fn expired(&self, epoch: &Epoch) -> Seq {
        let state = self.state.lock();
        if state.epoch == *epoch {
            return state.expired;
        }
        state.over.iter().rev().find(|(over, _)| over == epoch).map_or(0, |(_, seq)| *seq)
    }

    /// Continuity was lost: begins again in a new epoch.
    pub fn reset(&self, epoch: Epoch, first: Seq, head: Seq) {
        let mut state = self.state.lock();
        let before = std::mem::replace(&mut state.epoch, epoch);
        let expired = std::mem::take(&mut state.expired);
        if expired > 0 {
            if state.over.len() >= OVER_MAX {
                state.over.pop_front();
            }
            state.over.push_back((before, expired));
        }
        (state.first, state.head, state.bytes) = (first, head, 0);
        state.segments.clear();
        self.wake(&mut state);
    }

    /// Watches the tail: `wake` is called when there is something new, at most once until the
    /// next [`Tail::pull`] under the same `id`.
    pub fn watch(&self, id: u64, wake: Arc<dyn Wake>) {
        let mut state = self.state.lock();
        state.watchers.retain(|watcher| watcher.id != id);
        state.watchers.push(Watcher { id, wake, is_woken: false });
    }

    /// Ends [`Tail::watch`].
    pub fn unwatch(&self, id: u64) {
        self.state.lock().watchers.retain(|watcher| watcher.id != id);
    }

    /// Takes everything after `after`, or all of the tail where `after` belongs to another epoch.
    pub fn pull(&self, id: u64, epoch: Option<&Epoch>, after: Seq) -> Pull {
        self.pull_some(id, epoch, after, usize::MAX)
    }

    /// Like [`Tail::pull`], but takes no more segments once they hold `bytes_max` bytes. There is
    /// more where they end before the head.
    pub fn pull_some(&self, id: u64, epoch: Option<&Epoch>, after: Seq, bytes_max: usize) -> Pull {
        let mut state = self.state.lock();
        if let Some(watcher) = state.watchers.iter_mut().find(|watcher| watcher.id == id) {
            watcher.is_woken = false;
        }
        let after = if epoch == Some(&state.epoch) { after } else { 0 };
        let from = state.segments.partition_point(|segment| segment.last() <= after);
        let mut bytes = 0;
        let fits = |segment: &&Segment| {
            let is_within = bytes < bytes_max;
            bytes += segment.bytes();
            is_within
        };
        Pull {
            epoch: state.epoch.clone(),
            first: state.first,
            expired: state.expired,
            head: state.head,
            segments: state.segments.range(from..).take_while(fits).cloned().collect(),
        }
    }

    fn wake(&self, state: &mut State) {
        for watcher in state.watchers.iter_mut().filter(|watcher| !watcher.is_woken) {
            watcher.is_woken = true;
            watcher.wake.wake(self.stream);
        }
    }
}

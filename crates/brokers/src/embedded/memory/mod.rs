use std::sync::Arc;

use engine::{
    Locate, Located, Page, Retention, Segment, Selector, StreamIndex, StreamSpec, StreamState, Tail,
};
use parking_lot::Mutex;
use protocol::{Appended, Draft, Durability, Epoch, Error, Event, Seq, StreamName};
use smallvec::SmallVec;

use super::chunk::Chunk;
use super::cursors::Cursors;
use super::fingerprint::{Claim, Key};
use super::ids::{IdWindow, Known};
use super::options::Options;
use super::outcome::{Outcome, Outcomes};
use crate::clock::Now;

/// The events of a stream, and what retention leaves of them.
mod log;
/// Finding where a subscription's history begins.
mod locate;

use log::{Dropped, Log};

/// Most drafts that are appended under one lock, so that a long array lets others through.
const LOCKED_DRAFTS_MAX: usize = 1024;
/// Most batches that are cloned under one lock; counting a reference that another core counted
/// last takes up to 85 ns.
const LOCKED_CLONES_MAX: usize = 64;
/// Most batches or ids that are forgotten under one lock because of their age.
const LOCKED_DROPS_MAX: usize = 1024;

/// A stream in memory.
///
/// One mutex is all there is between publishers and readers: an append stamps, files and announces
/// its events under it and is done. Nothing that takes long happens under it: ids are hashed
/// before, memory is freed and answers are given after, and scans take it in pieces.
pub(super) struct Stream {
    name: StreamName,
    epoch: Epoch,
    retention: Retention,
    locate_scan_max: usize,
    key: Key,
    tail: Arc<Tail>,
    state: Mutex<State>,
    /// How far devices have acknowledged it.
    pub(super) cursors: Cursors,
}

struct State {
    log: Log,
    ids: IdWindow,
    /// The time of the last event, which the next may not precede.
    time_ms: u64,
    /// Latest steady time seen; readings of several threads get here out of order.
    steady_ms: u64,
}

type Segments = SmallVec<[Segment; 1]>;

impl Stream {
    pub(super) fn new(at: StreamIndex, spec: &StreamSpec, options: &Options) -> Self {
        let random = &options.random;
        let epoch = Epoch::from_bits(random());
        let ids = IdWindow::new(options.id_window_ms, options.id_window_count);
        Self {
            name: spec.name.clone(),
            tail: Arc::new(Tail::new(at, epoch.clone(), 1, 0, options.tail_bytes_max)),
            epoch,
            retention: spec.retention,
            locate_scan_max: options.locate_scan_max,
            key: Key([random(), random()]),
            state: Mutex::new(State { log: Log::new(), ids, time_ms: 0, steady_ms: 0 }),
            cursors: Cursors::new(options.cursor_age_ms, options.cursor_count),
        }
    }

    pub(super) fn append(&self, drafts: Vec<Draft>, now: Now) -> Vec<Result<Appended, Error>> {
        // Hashed before the lock is taken.
        let claims: Vec<Claim> =
            drafts.iter().filter_map(|draft| Claim::of(draft, self.key)).collect();
        let mut claims = claims.into_iter();
        let mut outcomes = Outcomes::with_capacity(drafts.len());
        let mut drafts = drafts.into_iter();
        while drafts.len() > 0 {
            let mut dropped = Dropped::new();
            let mut state = self.state.lock();
            let some = drafts.by_ref().take(LOCKED_DRAFTS_MAX);
            self.append_locked(&mut state, some, &mut claims, now, &mut outcomes);
            self.retain_locked(&mut state, now, &mut dropped);
            // The lock goes before `dropped`, which frees memory.
            drop(state);
        }
        let answer = |outcome: Outcome| outcome.answer(&self.name, &self.epoch, Durability::Memory);
        outcomes.into_iter().map(answer).collect()
    }

    fn append_locked(
        &self,
        state: &mut State,
        drafts: impl ExactSizeIterator<Item = Draft>,
        claims: &mut impl Iterator<Item = Claim>,
        now: Now,
        outcomes: &mut Outcomes,
    ) {
        state.see(now);
        // Never goes back within a stream, whatever the clock does.
        let time_ms = state.time_ms.max(now.wall_ms);
        let at_ms = state.steady_ms;
        let mut left = drafts.len();
        let mut chunk = Chunk::new(left);
        let mut segments = Segments::new();
        for draft in drafts {
            let claim = draft.id.as_ref().and_then(|_| claims.next());
            match claim.as_ref().map_or(Known::Nothing, |claim| state.ids.find(claim, at_ms)) {
                Known::Same(seq) => outcomes.push(Outcome::Duplicate(seq)),
                Known::Other => outcomes.push(Outcome::Conflict),
                Known::Nothing => {
                    if !chunk.has_room(&draft) {
                        let full = std::mem::replace(&mut chunk, Chunk::new(left));
                        segments.extend(state.file(full));
                    }
                    let seq = state.log.last() + chunk.len() as u64 + 1;
                    outcomes.push(Outcome::Appended(seq));
                    if let Some(claim) = claim {
                        state.ids.insert(claim, seq, at_ms);
                    }
                    chunk.push(Event { seq, time_ms, draft });
                }
            }
            left -= 1;
        }
        segments.extend(state.file(chunk));
        // Announced under the lock under which they were filed: the tail's order is the log's.
        if !segments.is_empty() {
            self.tail.push_all(segments);
        }
    }

    /// Applies every bound; whether there is more to do than may be done at once.
    fn retain_locked(&self, state: &mut State, now: Now, dropped: &mut Dropped) -> bool {
        state.see(now);
        let (now_ms, first) = (state.steady_ms, state.log.first());
        let expired = state.log.expired();
        let more = state.log.retain(&self.retention, now_ms, LOCKED_DROPS_MAX, dropped);
        if state.log.first() > first {
            self.tail.trim(state.log.first());
        }
        if state.log.expired() > expired {
            self.tail.expire(state.log.expired());
        }
        state.ids.expire(now_ms, LOCKED_DROPS_MAX) || more
    }

    /// Events after `after`. Of the first segment only what [`Page::first`] allows is kept still.
    pub(super) fn read(&self, after: Seq, bytes_max: usize) -> Page {
        let (mut segments, mut bytes, mut first) = (Vec::new(), 0, None);
        let mut after = after;
        loop {
            segments.reserve(LOCKED_CLONES_MAX);
            let state = self.state.lock();
            // Meanwhile retention may have gone past what was read: a page has no holes.
            if first.is_some() && state.log.first() > after + 1 {
                break;
            }
            first = first.or(Some(state.log.first()));
            let mut is_full = true;
            for (at, batch) in state.log.after(after).enumerate() {
                is_full = !segments.is_empty() && bytes + batch.bytes() > bytes_max;
                if is_full || at == LOCKED_CLONES_MAX {
                    break;
                }
                (bytes, after) = (bytes + batch.bytes(), batch.last());
                segments.push(Segment::Batch(batch.clone()));
            }
            if is_full || after >= state.log.last() {
                break;
            }
        }
        Page::new(self.epoch.clone(), first.unwrap_or(1), segments)
    }

    pub(super) fn locate(&self, selector: &Selector, what: Locate) -> Located {
        let (after, truncated) = match what {
            Locate::Last(count) => self.before_last(selector, count),
            Locate::Since(time_ms) => (self.before_time(time_ms), false),
        };
        Located { epoch: self.epoch.clone(), after, truncated }
    }

    pub(super) fn tail(&self) -> Arc<Tail> {
        self.tail.clone()
    }

    pub(super) fn state(&self) -> StreamState {
        let state = self.state.lock();
        StreamState {
            stream: self.name.clone(),
            epoch: self.epoch.clone(),
            first: state.log.first(),
            last: state.log.last(),
            bytes: state.log.bytes(),
            durability: Durability::Memory,
        }
    }

    /// Lets time take hold.
    pub(super) fn maintain(&self, now: Now) {
        loop {
            let mut dropped = Dropped::new();
            if !self.retain_locked(&mut self.state.lock(), now, &mut dropped) {
                return;
            }
        }
    }
}

impl State {
    fn see(&mut self, now: Now) {
        self.steady_ms = self.steady_ms.max(now.steady_ms);
    }

    /// Files events as one batch.
    fn file(&mut self, chunk: Chunk) -> Option<Segment> {
        let batch = chunk.into_batch()?;
        self.time_ms = batch.events().last().map_or(self.time_ms, |event| event.time_ms);
        self.log.push(batch.clone(), self.steady_ms);
        Some(Segment::Batch(batch))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use engine::Batch;
    use protocol::{Mode, Pattern, Payload, Topic};

    use super::*;

    fn stream() -> Stream {
        let spec = StreamSpec {
            name: StreamName::parse("s").unwrap(),
            topics: vec![Pattern::parse(">").unwrap()],
            retention: Retention::default(),
            durability: Durability::Memory,
            priority: 0,
            mode: Mode::EVERY,
        };
        Stream::new(StreamIndex(0), &spec, &Options::default())
    }

    fn draft(bytes: &Bytes) -> Draft {
        Draft::new(Topic::parse("a").unwrap(), Payload::Json(bytes.clone()))
    }

    fn batches(stream: &Stream) -> Vec<Arc<Batch>> {
        let batch = |segment| match segment {
            Segment::Batch(batch) => batch,
            Segment::Hole(hole) => panic!("{hole:?}"),
        };
        stream.read(0, usize::MAX).segments.into_iter().map(batch).collect()
    }

    #[test]
    fn batches_are_a_grain() {
        let stream = stream();
        let (small, large) = (Bytes::from_static(b"1"), Bytes::from(vec![b'1'; 40_000]));
        let array = [vec![&small; 130], vec![&large; 3], vec![&small; 2]].concat();
        stream.append(array.into_iter().map(draft).collect(), Now::default());
        let sizes: Vec<usize> = batches(&stream).iter().map(|b| b.events().len()).collect();
        assert_eq!(sizes, [64, 64, 3, 1, 3]);
        let huge = Bytes::from(vec![b'1'; 100_000]);
        stream.append(vec![draft(&small), draft(&huge), draft(&small)], Now::default());
        let sizes: Vec<usize> = batches(&stream).iter().map(|b| b.events().len()).collect();
        assert_eq!(sizes, [64, 64, 3, 1, 3, 1, 1, 1]);
    }

    #[test]
    fn what_was_published_is_moved_and_shared_never_copied() {
        let stream = stream();
        let payload = Bytes::from(vec![b'1'; 100]);
        stream.append(vec![draft(&payload); 3], Now::default());
        let in_log = batches(&stream);
        assert!(in_log.iter().flat_map(|batch| batch.events()).all(|event| {
            matches!(&event.draft.payload, Payload::Json(bytes) if bytes.as_ptr() == payload.as_ptr())
        }));
        for (segment, in_log) in stream.tail.pull(0, None, 0).segments.iter().zip(in_log) {
            assert!(matches!(segment, Segment::Batch(batch) if Arc::ptr_eq(batch, &in_log)));
        }
    }

    #[test]
    fn arrays_longer_than_one_lock_takes_stay_in_order() {
        let stream = stream();
        let drafts = vec![draft(&Bytes::new()); LOCKED_DRAFTS_MAX * 2 + 1];
        let answers = stream.append(drafts, Now::default());
        let seqs: Vec<Seq> = answers.into_iter().map(|answer| answer.unwrap().seq).collect();
        assert_eq!(seqs, (1..=LOCKED_DRAFTS_MAX as Seq * 2 + 1).collect::<Vec<Seq>>());
    }
}

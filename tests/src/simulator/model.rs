use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use engine::{
    Batch, Cursor, Device, Hole, Locate, Located, Page, Segment, Selector, StreamIndex,
    StreamState, StreamTable, Tail,
};
use protocol::{
    Appended, Draft, Durability, Epoch, Error, ErrorCode, Event, GapReason, Publisher, Seq,
};

use super::clock::Clock;
use super::ledger::{EpochLedger, Recorded, StreamLedger};
use super::store::{Keep, Luck};

/// Streams as a broker should keep them, in memory; what goes wrong with them is told to it.
pub struct Model {
    clock: Arc<Clock>,
    table: Arc<StreamTable>,
    tails: Vec<Arc<Tail>>,
    streams: Mutex<Vec<Kept>>,
}

/// What a stream keeps.
struct Kept {
    epoch: Epoch,
    first: Seq,
    last: Seq,
    time_ms: u64,
    segments: VecDeque<Segment>,
    ids: HashMap<(Publisher, Arc<str>), (Draft, Seq)>,
    cursors: HashMap<Device, Cursor>,
    ledger: StreamLedger,
}

impl Model {
    /// Streams of `table` that hold nothing; tails are `tail_bytes_max` long, epochs come from
    /// `bits`.
    pub fn new(
        clock: Arc<Clock>,
        table: Arc<StreamTable>,
        tail_bytes_max: usize,
        mut bits: impl FnMut() -> u64,
    ) -> Self {
        let streams: Vec<Kept> = table.indexes().map(|_| Kept::new(bits())).collect();
        let tail = |(kept, at): (&Kept, StreamIndex)| {
            Arc::new(Tail::new(at, kept.epoch.clone(), 1, 0, tail_bytes_max))
        };
        let tails = streams.iter().zip(table.indexes()).map(tail).collect();
        Self { clock, table, tails, streams: Mutex::new(streams) }
    }

    /// What a tail gets reaches the ledger and the store first.
    fn push(&self, kept: &mut Kept, at: StreamIndex, segment: Segment) {
        kept.last = segment.last();
        let tick = self.clock.tick();
        let ledger = kept.ledger.current_mut();
        ledger.heads.push((tick, kept.last));
        match &segment {
            Segment::Batch(batch) => {
                for event in batch.events() {
                    let recorded = Recorded { event: event.clone(), at: tick, replaced_at: None };
                    ledger.events.insert(event.seq, recorded);
                }
            }
            Segment::Hole(hole) => ledger.holes.push((tick, *hole)),
        }
        kept.segments.push_back(segment.clone());
        self.tails[at.get()].push(segment);
    }

    fn retain(&self, kept: &mut Kept, at: StreamIndex, count: u64) {
        let first = (kept.last + 1).saturating_sub(count).max(kept.first);
        if first == kept.first {
            return;
        }
        kept.first = first;
        kept.ledger.current_mut().firsts.push((self.clock.tick(), first));
        while kept.segments.front().is_some_and(|oldest| oldest.last() < first) {
            kept.segments.pop_front();
        }
        self.tails[at.get()].trim(first);
    }

    /// Retention takes all but the newest `count` events.
    pub fn shorten(&self, at: StreamIndex, count: u64) {
        self.retain(&mut self.streams.lock().unwrap()[at.get()], at, count);
    }

    /// All but the newest `count` events are too old.
    pub fn expire(&self, at: StreamIndex, count: u64) {
        let mut streams = self.streams.lock().unwrap();
        let kept = &mut streams[at.get()];
        self.retain(kept, at, count);
        kept.ledger.current_mut().expired.push((self.clock.tick(), kept.first));
        self.tails[at.get()].expire(kept.first);
    }

    /// Appends a hole instead of events: a part of the log that was lost before it was read.
    pub fn skip(&self, at: StreamIndex, count: u64) {
        let mut streams = self.streams.lock().unwrap();
        let kept = &mut streams[at.get()];
        let (from, to) = (kept.last + 1, kept.last + count);
        self.push(kept, at, Segment::Hole(Hole { from, to, reason: GapReason::Corruption }));
    }

    /// Damages one of the kept segments.
    pub fn damage(&self, at: StreamIndex, which: usize) {
        let mut streams = self.streams.lock().unwrap();
        let kept = &mut streams[at.get()];
        if kept.segments.is_empty() {
            return;
        }
        let place = which % kept.segments.len();
        let segment = &mut kept.segments[place];
        let (from, to) = (segment.first(), segment.last());
        let hole = Hole { from, to, reason: GapReason::Corruption };
        *segment = Segment::Hole(hole);
        kept.ledger.current_mut().holes.push((self.clock.tick(), hole));
    }

    /// Continuity is lost: of what is kept only what came up to `kept_to` is left, in an epoch
    /// made of `bits`.
    pub fn restart(&self, at: StreamIndex, kept_to: Option<Seq>, bits: u64) {
        let mut streams = self.streams.lock().unwrap();
        let kept = &mut streams[at.get()];
        let bound = kept_to.unwrap_or(0);
        while kept.segments.back().is_some_and(|newest| newest.last() > bound) {
            kept.segments.pop_back();
        }
        kept.last = kept.segments.back().map_or(0, Segment::last);
        if kept.segments.is_empty() {
            kept.first = 1;
        }
        kept.ids.clear();
        kept.epoch = Epoch::from_bits(bits);
        let mut ledger =
            EpochLedger::new(kept.epoch.clone(), self.clock.tick(), kept.first, kept.last);
        let old = kept.ledger.current();
        let events = old.range(kept.first - 1, kept.last);
        ledger.events = events.map(|recorded| (recorded.event.seq, recorded.clone())).collect();
        ledger.holes = old.holes.iter().filter(|(_, hole)| hole.to <= kept.last).copied().collect();
        kept.ledger.epochs.push(ledger);
        self.tails[at.get()].reset(kept.epoch.clone(), kept.first, kept.last);
    }
}

impl Kept {
    fn new(bits: u64) -> Self {
        let epoch = Epoch::from_bits(bits);
        let epochs = vec![EpochLedger::new(epoch.clone(), 0, 1, 0)];
        let ledger = StreamLedger { epochs, cursors: Vec::new(), loads: Vec::new() };
        let (segments, ids, cursors) = (VecDeque::new(), HashMap::new(), HashMap::new());
        Self { epoch, first: 1, last: 0, time_ms: 0, segments, ids, cursors, ledger }
    }

    /// The outcome of an earlier append under the same id.
    fn known(&self, draft: &Draft) -> Option<Result<Seq, Error>> {
        let key = (draft.publisher.clone(), draft.id.clone()?);
        let (before, seq) = self.ids.get(&key)?;
        let conflict = || Error::new(ErrorCode::IdConflict, "the id was used for other content");
        Some(if before == draft { Ok(*seq) } else { Err(conflict()) })
    }

    fn events(&self) -> Vec<&Event> {
        let batches = self.segments.iter().filter_map(|segment| match segment {
            Segment::Batch(batch) => Some(batch.after(self.first - 1)),
            Segment::Hole(_) => None,
        });
        batches.flatten().collect()
    }
}

impl Keep for Model {
    fn append(
        &self,
        at: StreamIndex,
        drafts: Vec<Draft>,
        luck: Luck,
    ) -> Vec<Result<Appended, Error>> {
        let mut streams = self.streams.lock().unwrap();
        let kept = &mut streams[at.get()];
        let spec = self.table.spec(at).unwrap();
        let time_ms = self.clock.now().wall_ms;
        kept.time_ms = kept.time_ms.max(time_ms);
        let mut events = Vec::new();
        let mut results = Vec::new();
        for draft in drafts {
            let next = kept.last + events.len() as u64 + 1;
            let (seq, duplicate) = match kept.known(&draft) {
                Some(Err(error)) => {
                    results.push(Err(error));
                    continue;
                }
                Some(Ok(seq)) => (seq, true),
                None => {
                    if let Some(id) = &draft.id {
                        kept.ids
                            .insert((draft.publisher.clone(), id.clone()), (draft.clone(), next));
                    }
                    events.push(Event { seq: next, time_ms: kept.time_ms, draft });
                    (next, false)
                }
            };
            let (stream, epoch) = (spec.name.clone(), kept.epoch.clone());
            let durability = Durability::Memory;
            results.push(Ok(Appended { stream, epoch, seq, duplicate, durability }));
        }
        if luck != Luck::Forgotten
            && let Some(batch) = Batch::new(events)
        {
            self.push(kept, at, Segment::Batch(Arc::new(batch)));
            self.retain(kept, at, spec.retention.count);
        }
        results
    }

    fn read(&self, at: StreamIndex, after: Seq, bytes_max: usize) -> Result<Page, Error> {
        let streams = self.streams.lock().unwrap();
        let kept = &streams[at.get()];
        let mut bytes = 0;
        let behind = kept.segments.iter().skip_while(|segment| segment.last() <= after);
        let fits = |segment: &&Segment| {
            let is_within = bytes < bytes_max;
            bytes += segment.bytes();
            is_within
        };
        let segments = behind.take_while(fits).cloned().collect();
        Ok(Page::new(kept.epoch.clone(), kept.first, segments))
    }

    fn locate(&self, at: StreamIndex, selector: &Selector, what: Locate) -> Result<Located, Error> {
        let streams = self.streams.lock().unwrap();
        let kept = &streams[at.get()];
        let kept_events = kept.events();
        let after = match what {
            Locate::Since(ms) => {
                kept_events.iter().find(|event| event.time_ms >= ms).map(|event| event.seq - 1)
            }
            Locate::Last(count) => {
                let matching = kept_events.iter().rev().filter(|event| selector.selects(event));
                // With fewer than were asked for, everything that is kept was looked at.
                let found: Vec<Seq> =
                    matching.take(count as usize).map(|event| event.seq - 1).collect();
                let is_enough = found.len() == count as usize && count > 0;
                if count == 0 {
                    None
                } else {
                    is_enough.then(|| found[found.len() - 1]).or(Some(kept.first - 1))
                }
            }
        };
        let (epoch, after) = (kept.epoch.clone(), after.unwrap_or(kept.last));
        Ok(Located { epoch, after, truncated: false })
    }

    fn acknowledge(
        &self,
        at: StreamIndex,
        device: Device,
        (epoch, seq): (Epoch, Seq),
        luck: Luck,
    ) -> Result<Cursor, Error> {
        let mut streams = self.streams.lock().unwrap();
        let kept = &mut streams[at.get()];
        if kept.epoch != epoch || seq > kept.last {
            return Err(Error::bad_request("nobody can have that"));
        }
        let at_ms = self.clock.now().wall_ms;
        let cursor = Cursor { epoch, seq, at_ms };
        let held = kept.cursors.entry(device.clone()).or_insert_with(|| cursor.clone());
        let goes_back = luck == Luck::Backwards;
        if held.epoch != cursor.epoch || held.seq < cursor.seq || goes_back {
            *held = cursor;
        }
        let cursor = held.clone();
        kept.ledger.cursors.push((self.clock.tick(), device, cursor.clone()));
        Ok(cursor)
    }

    fn cursor(&self, at: StreamIndex, device: &Device) -> Result<Option<Cursor>, Error> {
        let mut streams = self.streams.lock().unwrap();
        let kept = &mut streams[at.get()];
        let Some(cursor) = kept.cursors.get(device).cloned() else { return Ok(None) };
        kept.ledger.loads.push((self.clock.tick(), device.clone(), cursor.clone()));
        Ok(Some(cursor))
    }

    fn tail(&self, at: StreamIndex) -> Option<Arc<Tail>> {
        self.tails.get(at.get()).cloned()
    }

    fn state(&self, stream: StreamIndex) -> Option<StreamState> {
        let streams = self.streams.lock().unwrap();
        let (kept, spec) = (streams.get(stream.get())?, self.table.spec(stream)?);
        let bytes = kept.events().iter().map(|event| event.draft.bytes() as u64).sum();
        Some(StreamState {
            stream: spec.name.clone(),
            epoch: kept.epoch.clone(),
            first: kept.first,
            last: kept.last,
            bytes,
            durability: Durability::Memory,
        })
    }

    fn with_ledger(&self, at: usize, look: &mut dyn FnMut(&mut StreamLedger)) {
        look(&mut self.streams.lock().unwrap()[at].ledger);
    }
}

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use engine::{
    Answer, Batch, Broker, Cursor, CursorQuery, Device, Hole, Locate, Located, Page, Segment,
    Selector, StreamIndex, StreamState, StreamTable, Tail,
};
use protocol::{
    Appended, Draft, Durability, Epoch, Error, ErrorCode, Event, GapReason, Publisher, Seq,
};

use super::clock::Clock;
use super::ledger::{EpochLedger, Recorded, StreamLedger};

/// A model broker. It answers nothing by itself: what it is asked lies in [`Store::take_asks`]
/// until the world carries it out.
pub struct Store {
    clock: Arc<Clock>,
    table: Arc<StreamTable>,
    tails: Vec<Arc<Tail>>,
    asks: Mutex<Vec<Ask>>,
    streams: Mutex<Vec<Kept>>,
}

/// What a broker is asked.
pub enum Ask {
    /// [`Broker::append`].
    Append(StreamIndex, Vec<Draft>, Answer<Vec<Result<Appended, Error>>>),
    /// [`Broker::read`].
    Read(StreamIndex, Seq, usize, Answer<Result<Page, Error>>),
    /// [`Broker::locate`].
    Locate(StreamIndex, Selector, Locate, Answer<Result<Located, Error>>),
    /// [`Broker::acknowledge`].
    Acknowledge(StreamIndex, Device, (Epoch, Seq), Answer<Result<Cursor, Error>>),
    /// [`Broker::cursor`].
    Cursor(StreamIndex, Device, Answer<Result<Option<Cursor>, Error>>),
}

/// How an ask goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Luck {
    /// As it should.
    Good,
    /// The broker cannot be reached.
    Refused,
    /// It is carried out, but the answer is lost: the outcome is unknown to who asked.
    Unknown,
    /// It is acknowledged and not carried out: no honest broker does that.
    Forgotten,
    /// A cursor is set back: nor does it that.
    Backwards,
}

/// An answer that was found and not given yet.
pub type Found = Box<dyn FnOnce() + Send>;

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

impl Store {
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
        let (asks, streams) = (Mutex::default(), Mutex::new(streams));
        Self { clock, table, tails, asks, streams }
    }

    /// What it was asked since the last call, in order.
    pub fn take_asks(&self) -> Vec<Ask> {
        std::mem::take(&mut self.asks.lock().unwrap())
    }

    /// Carries out an ask at this moment; the answer can be given later.
    pub fn carry_out(&self, ask: Ask, luck: Luck) -> Found {
        let broken = || Error::new(ErrorCode::BrokerUnavailable, "the broker is away");
        let is_refused = luck == Luck::Refused;
        match ask {
            Ask::Append(at, drafts, answer) => {
                let count = drafts.len();
                let refused = || (0..count).map(|_| Err(broken())).collect();
                if is_refused {
                    let results = refused();
                    return Box::new(move || answer(results));
                }
                let results = self.apply(at, drafts, luck == Luck::Forgotten);
                let results = if luck == Luck::Unknown { refused() } else { results };
                Box::new(move || answer(results))
            }
            Ask::Read(at, after, bytes_max, answer) => {
                let page =
                    if is_refused { Err(broken()) } else { Ok(self.page(at, after, bytes_max)) };
                Box::new(move || answer(page))
            }
            Ask::Acknowledge(at, device, place, answer) => {
                let stored = if is_refused {
                    Err(broken())
                } else {
                    self.store_cursor(at, device, place, luck)
                };
                let stored = if luck == Luck::Unknown { Err(broken()) } else { stored };
                Box::new(move || answer(stored))
            }
            Ask::Cursor(at, device, answer) => {
                let found = if is_refused { Err(broken()) } else { Ok(self.load(at, &device)) };
                Box::new(move || answer(found))
            }
            Ask::Locate(at, selector, what, answer) => {
                let found =
                    if is_refused { Err(broken()) } else { Ok(self.find(at, &selector, what)) };
                Box::new(move || answer(found))
            }
        }
    }

    fn store_cursor(
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

    fn load(&self, at: StreamIndex, device: &Device) -> Option<Cursor> {
        let mut streams = self.streams.lock().unwrap();
        let kept = &mut streams[at.get()];
        let cursor = kept.cursors.get(device)?.clone();
        kept.ledger.loads.push((self.clock.tick(), device.clone(), cursor.clone()));
        Some(cursor)
    }

    fn apply(
        &self,
        at: StreamIndex,
        drafts: Vec<Draft>,
        is_forgotten: bool,
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
        if !is_forgotten && let Some(batch) = Batch::new(events) {
            self.push(kept, at, Segment::Batch(Arc::new(batch)));
            self.retain(kept, at, spec.retention.count);
        }
        results
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

    fn page(&self, at: StreamIndex, after: Seq, bytes_max: usize) -> Page {
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
        Page::new(kept.epoch.clone(), kept.first, segments)
    }

    fn find(&self, at: StreamIndex, selector: &Selector, what: Locate) -> Located {
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
        Located { epoch: kept.epoch.clone(), after: after.unwrap_or(kept.last), truncated: false }
    }

    /// Looks at what happened so far.
    pub fn with_ledger<T>(&self, at: usize, look: impl FnOnce(&StreamLedger) -> T) -> T {
        look(&self.streams.lock().unwrap()[at].ledger)
    }

    /// What happened, when nothing more will.
    pub fn take_ledgers(&self) -> Vec<StreamLedger> {
        let mut streams = self.streams.lock().unwrap();
        let epochs = streams.iter_mut().flat_map(|kept| &mut kept.ledger.epochs);
        epochs.for_each(EpochLedger::close);
        streams.iter_mut().map(|kept| std::mem::take(&mut kept.ledger)).collect()
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

impl Broker for Store {
    fn append(
        &self,
        stream: StreamIndex,
        drafts: Vec<Draft>,
        answer: Answer<Vec<Result<Appended, Error>>>,
    ) {
        self.asks.lock().unwrap().push(Ask::Append(stream, drafts, answer));
    }

    fn read(
        &self,
        stream: StreamIndex,
        after: Seq,
        bytes_max: usize,
        answer: Answer<Result<Page, Error>>,
    ) {
        self.asks.lock().unwrap().push(Ask::Read(stream, after, bytes_max, answer));
    }

    fn locate(
        &self,
        stream: StreamIndex,
        selector: Selector,
        what: Locate,
        answer: Answer<Result<Located, Error>>,
    ) {
        self.asks.lock().unwrap().push(Ask::Locate(stream, selector, what, answer));
    }

    fn acknowledge(
        &self,
        stream: StreamIndex,
        device: Device,
        epoch: Epoch,
        seq: Seq,
        answer: Answer<Result<Cursor, Error>>,
    ) {
        self.asks.lock().unwrap().push(Ask::Acknowledge(stream, device, (epoch, seq), answer));
    }

    fn cursor(
        &self,
        stream: StreamIndex,
        device: Device,
        answer: Answer<Result<Option<Cursor>, Error>>,
    ) {
        self.asks.lock().unwrap().push(Ask::Cursor(stream, device, answer));
    }

    fn cursors(
        &self,
        _: StreamIndex,
        _: CursorQuery,
        _: Answer<Result<Vec<(Device, Cursor)>, Error>>,
    ) {
        unreachable!("workers list no cursors")
    }

    fn tail(&self, stream: StreamIndex) -> Option<Arc<Tail>> {
        self.tails.get(stream.get()).cloned()
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

    fn maintain(&self) {}
}

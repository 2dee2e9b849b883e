use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brokers::embedded::durable::{Failure, MemoryDisk};
use brokers::{Embedded, Options};
use engine::{
    Answer, Broker, Cursor, Device, Hole, Locate, Located, Page, Segment, Selector, StreamIndex,
    StreamState, StreamTable, Tail,
};
use protocol::{Appended, Draft, Durability, Epoch, Error, Event, Seq};

use super::clock::{Clock, Tick};
use super::ledger::{EpochLedger, Recorded, StreamLedger};
use super::random::Random;
use super::store::{Keep, Luck};

/// How long a broker may take to answer: what is asked is done in a moment, or never.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
const PAGE_BYTES: usize = 1 << 20;

/// The durable streams of this repository, on a disk that loses what was not synced.
pub struct Machine {
    clock: Arc<Clock>,
    table: Arc<StreamTable>,
    tail_bytes_max: usize,
    random: Arc<Mutex<Random>>,
    running: Mutex<Running>,
    ledgers: Mutex<Vec<StreamLedger>>,
}

struct Running {
    disk: MemoryDisk,
    /// How often the machine was started.
    boots: u64,
    broker: Embedded,
}

/// The world's clock, as brokers read it.
struct Clocks(Arc<Clock>);

impl brokers::Clock for Clocks {
    fn now(&self) -> brokers::Now {
        let now = self.0.now();
        brokers::Now { wall_ms: now.wall_ms, steady_ms: now.ms }
    }
}

/// What ended the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was killed.
    Killed,
    /// Power failed.
    Power,
    /// Power failed, and the machine does not say so: no honest machine does that.
    SilentPower,
}

/// Asks a broker and waits for its answer.
fn ask<T: Send + 'static>(ask: impl FnOnce(Answer<T>)) -> T {
    let (answer, answered) = channel();
    ask(Box::new(move |found| answer.send(found).unwrap()));
    answered.recv_timeout(ANSWER_WITHIN).expect("a broker answers")
}

impl Machine {
    /// A machine that keeps the streams of `table` on an empty disk.
    pub fn new(
        clock: Arc<Clock>,
        table: Arc<StreamTable>,
        tail_bytes_max: usize,
        seed: u64,
    ) -> Self {
        let random = Arc::new(Mutex::new(Random::new(seed)));
        let disk = MemoryDisk::default();
        let broker = open(&clock, &table, tail_bytes_max, &random, &disk, 0);
        let begin = |at| {
            let epoch = broker.state(at).unwrap().epoch;
            let epochs = vec![EpochLedger::new(epoch, 0, 1, 0)];
            StreamLedger { epochs, ..StreamLedger::default() }
        };
        let ledgers = Mutex::new(table.indexes().map(begin).collect());
        let running = Mutex::new(Running { disk, boots: 0, broker });
        Self { clock, table, tail_bytes_max, random, running, ledgers }
    }

    /// Lets so many more bytes fit on the disk; `None` is no bound.
    pub fn set_room(&self, room: Option<u64>) {
        self.running.lock().unwrap().disk.set_room(room);
    }

    /// Lets every sync fail, until the process begins again.
    pub fn break_syncs(&self) {
        self.running.lock().unwrap().disk.fail(Some(Failure::Sync));
    }

    /// The process ends and begins again.
    ///
    /// # Panics
    /// Where what was acknowledged or delivered is not there, in an epoch that did not change.
    pub fn restart(&self, end: End) {
        let mut running = self.running.lock().unwrap();
        // What the old process still does reaches a disk that is not there any more.
        let disk = running.disk.copy();
        if end == End::Killed {
            disk.fail(None);
        } else {
            let mut random = self.random.lock().unwrap();
            disk.lose_power(|| random.below(256) as u8);
        }
        disk.set_room(None);
        running.boots += u64::from(end == End::Power);
        let Self { clock, table, tail_bytes_max, random, .. } = self;
        let broker = open(clock, table, *tail_bytes_max, random, &disk, running.boots);
        for at in table.indexes() {
            self.look_again(&broker, at, end);
        }
        (running.disk, running.broker) = (disk, broker);
    }

    /// Compares what a broker found with what was there before.
    fn look_again(&self, broker: &Embedded, at: StreamIndex, end: End) {
        let state = broker.state(at).unwrap();
        let durability = self.table.spec(at).unwrap().durability;
        let tick = self.clock.tick();
        let mut ledgers = self.ledgers.lock().unwrap();
        let ledger = &mut ledgers[at.get()];
        let (found, holes) = read_all(broker, at);
        if state.epoch == ledger.current().epoch {
            let known = ledger.current_mut();
            let head = known.head_at(Tick::MAX);
            let missing = holes.iter().find(|hole| !known.has_hole(hole));
            assert!(missing.is_none(), "I1: {missing:?} in {at:?}, and nothing was damaged");
            assert!(state.last >= head, "I1: {at:?} ends at {} instead of {head}", state.last);
            let kept = state.first.max(known.first_at(Tick::MAX)) - 1;
            for recorded in known.range(kept, head) {
                let event = &recorded.event;
                let is_there = found.binary_search_by_key(&event.seq, |event| event.seq).is_ok();
                assert!(
                    is_there || known.is_hole_at(event.seq, tick),
                    "I1: {at:?} lost {} in its epoch",
                    event.seq
                );
            }
            known.take_in(found, tick);
            known.heads.push((tick, state.last));
            known.move_first(state.first, tick);
            return;
        }
        let may_be_lost = end != End::Killed && durability == Durability::Buffered;
        assert!(may_be_lost, "I10: the epoch of {at:?} changed, which lost nothing");
        assert!(ledger.epoch(&state.epoch).is_none(), "I10: {at:?} had this epoch before");
        let mut next = EpochLedger::new(state.epoch.clone(), tick, state.first, state.last);
        // Who publishes once more is told where it stood, also of what is not kept any more.
        let forgotten = ledger.current().events.range(..state.first);
        next.events = forgotten.map(|(seq, recorded)| (*seq, recorded.clone())).collect();
        next.take_in(found, tick);
        next.holes = holes.into_iter().map(|hole| (tick, hole)).collect();
        ledger.epochs.push(next);
    }

    /// Notes what an ask changed, in the moment in which it did.
    fn observe(&self, broker: &Embedded, at: StreamIndex) {
        let state = broker.state(at).unwrap();
        let tail = broker.tail(at).unwrap();
        let tick = self.clock.tick();
        let mut ledgers = self.ledgers.lock().unwrap();
        let known = ledgers[at.get()].current_mut();
        let head = known.head_at(Tick::MAX);
        // Nobody watches under this id. What retention took at once nobody reads.
        let pull = tail.pull(u64::MAX, Some(&state.epoch), head);
        for segment in pull.segments {
            if let Segment::Batch(batch) = segment {
                known.take_in(batch.after(head).to_vec(), tick);
            }
        }
        let page = ask(|answer| broker.read(at, head, PAGE_BYTES, answer)).unwrap();
        let segments = page.segments.into_iter();
        let events = segments.flat_map(|segment| events_of(&segment));
        known.take_in(events.filter(|event| event.seq > head), tick);
        if state.last > head {
            known.heads.push((tick, state.last));
        }
        known.move_first(state.first, tick);
        let expired = tail.expired(&state.epoch);
        if expired > known.expired_at(Tick::MAX) {
            known.expired.push((tick, expired));
        }
    }

    /// I5: an id that is there is not taken for new.
    fn take_appended(
        &self,
        at: StreamIndex,
        drafts: &[Draft],
        results: &[Result<Appended, Error>],
    ) {
        let tick = self.clock.tick();
        let mut ledgers = self.ledgers.lock().unwrap();
        let known = ledgers[at.get()].current_mut();
        for (draft, result) in drafts.iter().zip(results) {
            let Ok(Appended { seq, duplicate: false, .. }) = result else { continue };
            // What this epoch began without may have been lost with its id.
            let events = known.events.range(known.firsts[0].1..);
            let mut events = events.map(|(_, recorded)| &recorded.event.draft);
            let is_same =
                |other: &Draft| (&other.id, &other.publisher) == (&draft.id, &draft.publisher);
            let is_known = draft.id.is_some() && events.any(is_same);
            assert!(!is_known, "I5: {:?} was accepted twice in {at:?}", draft.id);
            let event = Event { seq: *seq, time_ms: 0, draft: draft.clone() };
            known.take_in([event], tick);
        }
    }
}

fn open(
    clock: &Arc<Clock>,
    table: &StreamTable,
    tail_bytes_max: usize,
    random: &Arc<Mutex<Random>>,
    disk: &MemoryDisk,
    boots: u64,
) -> Embedded {
    let random = random.clone();
    let options = Options {
        clock: Arc::new(Clocks(clock.clone())),
        random: Arc::new(move || random.lock().unwrap().bits()),
        tail_bytes_max,
        boot: Arc::new(move || boots.to_string()),
        ..Options::default()
    };
    Embedded::on_disk(table, Arc::new(disk.clone()), &options).expect("a disk can be opened again")
}

fn events_of(segment: &Segment) -> Vec<Event> {
    match segment {
        Segment::Batch(batch) => batch.events().to_vec(),
        Segment::Hole(_) => Vec::new(),
    }
}

/// Every kept seq, as event or hole.
fn read_all(broker: &Embedded, at: StreamIndex) -> (Vec<Event>, Vec<Hole>) {
    let (mut events, mut holes, mut after) = (Vec::new(), Vec::new(), 0);
    loop {
        let page = ask(|answer| broker.read(at, after, PAGE_BYTES, answer)).unwrap();
        for segment in &page.segments {
            events.extend(events_of(segment).into_iter().filter(|event| event.seq > after));
            if let Segment::Hole(hole) = segment {
                holes.push(*hole);
            }
        }
        let Some(last) = page.segments.last() else { return (events, holes) };
        after = last.last();
    }
}

impl EpochLedger {
    /// Events that are there; when each appeared first stays.
    fn take_in(&mut self, events: impl IntoIterator<Item = Event>, at: Tick) {
        for event in events {
            let seq = event.seq;
            let known = self.events.entry(seq);
            let recorded =
                known.or_insert(Recorded { event: event.clone(), at, replaced_at: None });
            // Its time is known once it is read.
            recorded.event.time_ms = recorded.event.time_ms.max(event.time_ms);
            assert_eq!(recorded.event, event, "I2: {seq} is another event than before");
        }
    }

    /// Whether each seq of a hole was known to be missing.
    fn has_hole(&self, hole: &Hole) -> bool {
        (hole.from..=hole.to).all(|seq| self.is_hole_at(seq, Tick::MAX))
    }

    fn move_first(&mut self, first: Seq, at: Tick) {
        if first > self.first_at(Tick::MAX) {
            self.firsts.push((at, first));
        }
    }
}

impl Keep for Machine {
    fn append(
        &self,
        at: StreamIndex,
        drafts: Vec<Draft>,
        luck: Luck,
    ) -> Vec<Result<Appended, Error>> {
        let running = self.running.lock().unwrap();
        let broker = &running.broker;
        if luck == Luck::Forgotten {
            let state = broker.state(at).unwrap();
            let forget = |after| Appended {
                stream: state.stream.clone(),
                epoch: state.epoch.clone(),
                seq: state.last + after,
                duplicate: false,
                durability: state.durability,
            };
            return (1..=drafts.len() as u64).map(|after| Ok(forget(after))).collect();
        }
        let asked = drafts.clone();
        let results = ask(|answer| broker.append(at, asked, answer));
        self.take_appended(at, &drafts, &results);
        self.observe(broker, at);
        results
    }

    fn read(&self, at: StreamIndex, after: Seq, bytes_max: usize) -> Result<Page, Error> {
        let running = self.running.lock().unwrap();
        ask(|answer| running.broker.read(at, after, bytes_max, answer))
    }

    fn read_newest(&self, at: StreamIndex, after: Seq, bytes_max: usize) -> Result<Page, Error> {
        let running = self.running.lock().unwrap();
        ask(|answer| running.broker.read_newest(at, after, bytes_max, answer))
    }

    fn locate(&self, at: StreamIndex, selector: &Selector, what: Locate) -> Result<Located, Error> {
        let running = self.running.lock().unwrap();
        ask(|answer| running.broker.locate(at, selector.clone(), what, answer))
    }

    fn acknowledge(
        &self,
        at: StreamIndex,
        device: Device,
        (epoch, seq): (Epoch, Seq),
        _: Luck,
    ) -> Result<Cursor, Error> {
        let running = self.running.lock().unwrap();
        let (of, broker) = (device.clone(), &running.broker);
        let cursor = ask(|answer| broker.acknowledge(at, of, epoch, seq, answer))?;
        let tick = self.clock.tick();
        self.ledgers.lock().unwrap()[at.get()].cursors.push((tick, device, cursor.clone()));
        Ok(cursor)
    }

    fn cursor(&self, at: StreamIndex, device: &Device) -> Result<Option<Cursor>, Error> {
        let running = self.running.lock().unwrap();
        let found = ask(|answer| running.broker.cursor(at, device.clone(), answer))?;
        if let Some(cursor) = &found {
            let load = (self.clock.tick(), device.clone(), cursor.clone());
            self.ledgers.lock().unwrap()[at.get()].loads.push(load);
        }
        Ok(found)
    }

    fn tail(&self, at: StreamIndex) -> Option<Arc<Tail>> {
        self.running.lock().unwrap().broker.tail(at)
    }

    fn state(&self, at: StreamIndex) -> Option<StreamState> {
        self.running.lock().unwrap().broker.state(at)
    }

    fn with_ledger(&self, at: usize, look: &mut dyn FnMut(&mut StreamLedger)) {
        look(&mut self.ledgers.lock().unwrap()[at]);
    }
}

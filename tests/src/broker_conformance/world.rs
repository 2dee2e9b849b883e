use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use brokers::ManualClock;
use bytes::Bytes;
use engine::{
    Answer, Broker, Cursor, Device, Locate, Located, Page, Retention, Segment, Selector,
    StreamIndex, StreamSpec, StreamState, StreamTable, Tail, Wake,
};
use protocol::{
    Appended, Draft, Durability, Epoch, Error, Event, Mode, Pattern, Payload, Seq, StreamName,
    Topic,
};

/// The stream that captures everything else.
pub const MAIN: StreamIndex = StreamIndex(0);
/// The stream that captures `other.>`.
pub const OTHER: StreamIndex = StreamIndex(1);
/// How long a broker may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a broker is to be made with.
#[derive(Clone)]
pub struct Setup {
    /// Of both streams.
    pub retention: Retention,
    /// The time, for brokers that can be told it.
    pub clock: Arc<ManualClock>,
    /// Most bytes of a tail.
    pub tail_bytes_max: usize,
    /// How long an idempotency id is remembered, in ms.
    pub id_window_ms: u64,
    /// Most idempotency ids that a stream remembers.
    pub id_window_count: usize,
    /// Most events that a search looks at.
    pub locate_scan_max: usize,
    /// What acknowledgements of both streams are to claim.
    pub durability: Durability,
    /// How long a cursor is kept that nobody uses, in ms.
    pub cursor_age_ms: u64,
    /// Most devices of which a stream keeps the cursor.
    pub cursor_count: usize,
}

impl Setup {
    /// The streams [`MAIN`] and [`OTHER`].
    pub fn table(&self) -> StreamTable {
        let spec = |name, pattern| StreamSpec {
            name: StreamName::parse(name).unwrap(),
            topics: vec![Pattern::parse(pattern).unwrap()],
            retention: self.retention,
            durability: self.durability,
            priority: 0,
            mode: Mode::EVERY,
        };
        StreamTable::new(vec![spec("main", ">"), spec("other", "other.>")])
    }
}

/// Makes the broker that is tried, with [`Setup::table`] as its streams.
pub type Make<'a> = dyn Fn(Setup) -> Harness + 'a;

/// A broker that can be restarted.
pub struct Harness {
    broker: Option<Arc<dyn Broker>>,
    start: Box<dyn Fn() -> Arc<dyn Broker> + Send + Sync>,
    durability: Durability,
    skips: bool,
}

impl Harness {
    /// `start` makes the broker, over again what it keeps where it keeps anything; `durability`
    /// is what its acknowledgements must claim.
    pub fn new(
        durability: Durability,
        start: impl Fn() -> Arc<dyn Broker> + Send + Sync + 'static,
    ) -> Self {
        Self { broker: Some(start()), start: Box::new(start), durability, skips: false }
    }

    /// Searches pass over what they know to hold nothing: they may find more than their bound
    /// lets them look at.
    #[must_use]
    pub fn that_skips(mut self) -> Self {
        self.skips = true;
        self
    }

    /// What acknowledgements must claim.
    pub fn durability(&self) -> Durability {
        self.durability
    }
}

/// A broker and its time, with answers waited for.
pub struct World {
    harness: Harness,
    /// The broker's clock.
    pub clock: Arc<ManualClock>,
}

impl World {
    /// A world in which retention takes nothing.
    pub fn new(make: &Make) -> Self {
        Self::with(make, |_| {})
    }

    /// A world that is set up otherwise.
    pub fn with(make: &Make, change: impl FnOnce(&mut Setup)) -> Self {
        let clock = Arc::new(ManualClock::new(1_000_000));
        let mut setup = Setup {
            retention: Retention { count: 1 << 40, age_ms: 1 << 40, bytes: 1 << 40 },
            clock: clock.clone(),
            tail_bytes_max: 1 << 20,
            id_window_ms: 600_000,
            id_window_count: 1000,
            locate_scan_max: 10_000,
            durability: Durability::Memory,
            cursor_age_ms: 600_000,
            cursor_count: 1000,
        };
        change(&mut setup);
        Self { harness: make(setup), clock }
    }

    /// The broker.
    pub fn broker(&self) -> &Arc<dyn Broker> {
        self.harness.broker.as_ref().unwrap()
    }

    /// Ends the broker and starts it again.
    pub fn restart(&mut self) {
        self.harness.broker = None;
        self.harness.broker = Some((self.harness.start)());
    }

    /// What acknowledgements must claim.
    pub fn durability(&self) -> Durability {
        self.harness.durability
    }

    /// Whether searches may find more than their bound lets them look at.
    pub fn skips(&self) -> bool {
        self.harness.skips
    }

    /// Lets retention by age take hold, and waits for it.
    pub fn maintain(&self) {
        self.broker().maintain();
        for stream in [MAIN, OTHER] {
            self.append(stream, Vec::new());
        }
    }

    /// Appends to a stream and waits for the answer.
    pub fn append(&self, stream: StreamIndex, drafts: Vec<Draft>) -> Vec<Result<Appended, Error>> {
        append(&**self.broker(), stream, drafts)
    }

    /// Appends to [`MAIN`], which must succeed; the seqs.
    pub fn publish(&self, drafts: Vec<Draft>) -> Vec<Seq> {
        let count = drafts.len();
        let answers = self.append(MAIN, drafts);
        assert_eq!(answers.len(), count, "one answer for each draft");
        answers.into_iter().map(|answer| answer.unwrap().seq).collect()
    }

    /// Appends `count` events to [`MAIN`], in arrays of different sizes. In a stream to which
    /// nothing else was appended, an event's data is its seq.
    pub fn fill(&self, count: u64) {
        let mut seq = self.state().last;
        let end = seq + count;
        for size in [1, 2, 1, 70, 7].into_iter().cycle() {
            let size = size.min(end - seq);
            if size == 0 {
                return;
            }
            self.publish((seq + 1..=seq + size).map(|seq| draft("a.b", seq.to_string())).collect());
            seq += size;
        }
    }

    /// One page of [`MAIN`].
    pub fn page(&self, after: Seq, bytes_max: usize) -> Page {
        read(&**self.broker(), MAIN, after, bytes_max)
    }

    /// Every kept event of [`MAIN`] after `after`, by pages of about `bytes_max`.
    pub fn events(&self, mut after: Seq, bytes_max: usize) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let page = self.page(after, bytes_max);
            let Some(last) = page.segments.last() else { return events };
            let expected = page.first.max(after + 1);
            after = last.last();
            let new = events_of(&page.segments, expected);
            assert_eq!(new.first().map(|event| event.seq), Some(expected), "a page begins late");
            events.extend(new);
        }
    }

    /// The state of [`MAIN`].
    pub fn state(&self) -> StreamState {
        self.broker().state(MAIN).unwrap()
    }

    /// The tail of [`MAIN`].
    pub fn tail(&self) -> Arc<Tail> {
        self.broker().tail(MAIN).unwrap()
    }

    /// Searches [`MAIN`].
    pub fn locate(&self, selector: Selector, what: Locate) -> Located {
        ask(|answer| self.broker().locate(MAIN, selector, what, answer)).unwrap()
    }
}

/// Appends and waits for the answer.
pub fn append(
    broker: &dyn Broker,
    stream: StreamIndex,
    drafts: Vec<Draft>,
) -> Vec<Result<Appended, Error>> {
    ask(|answer| broker.append(stream, drafts, answer))
}

/// Acknowledges and waits for the answer.
pub fn acknowledge(
    broker: &dyn Broker,
    stream: StreamIndex,
    device: &Device,
    epoch: &Epoch,
    seq: Seq,
) -> Result<Cursor, Error> {
    ask(|answer| broker.acknowledge(stream, device.clone(), epoch.clone(), seq, answer))
}

/// Loads a cursor and waits for it.
pub fn cursor(broker: &dyn Broker, stream: StreamIndex, device: &Device) -> Option<Cursor> {
    ask(|answer| broker.cursor(stream, device.clone(), answer)).unwrap()
}

/// Reads and waits for the page.
pub fn read(broker: &dyn Broker, stream: StreamIndex, after: Seq, bytes_max: usize) -> Page {
    ask(|answer| broker.read(stream, after, bytes_max, answer)).unwrap()
}

/// Waits for an answer.
pub fn ask<T: Send + 'static>(question: impl FnOnce(Answer<T>)) -> T {
    let (sender, receiver) = channel();
    question(Box::new(move |answer| sender.send(answer).unwrap()));
    receiver.recv_timeout(PATIENCE).expect("the broker did not answer")
}

/// The events of contiguous segments from seq `first` on; there may be no hole among them.
pub fn events_of(segments: &[Segment], first: Seq) -> Vec<Event> {
    for pair in segments.windows(2) {
        assert_eq!(pair[0].last() + 1, pair[1].first(), "segments are not contiguous");
    }
    let mut events = Vec::new();
    for segment in segments {
        let Segment::Batch(batch) = segment else { panic!("a hole: {segment:?}") };
        events.extend(batch.events().iter().filter(|event| event.seq >= first).cloned());
    }
    for pair in events.windows(2) {
        assert_eq!(pair[0].seq + 1, pair[1].seq, "seqs are not contiguous");
    }
    events
}

/// A draft for everyone with JSON data.
pub fn draft(topic: &str, data: impl Into<Bytes>) -> Draft {
    Draft::new(Topic::parse(topic).unwrap(), Payload::Json(data.into()))
}

/// A draft with an idempotency id.
pub fn draft_with_id(id: &str, data: &'static str) -> Draft {
    Draft { id: Some(id.into()), ..draft("a.b", data) }
}

/// An event's data as text.
pub fn data(event: &Event) -> &str {
    let (Payload::Json(bytes) | Payload::Binary { bytes, .. }) = &event.draft.payload;
    std::str::from_utf8(bytes).unwrap()
}

/// The operator's selector.
pub fn select(topics: &[&str], except: &[&str]) -> Selector {
    let parse = |texts: &[&str]| texts.iter().map(|text| Pattern::parse(text).unwrap()).collect();
    Selector { topics: parse(topics), except: parse(except), filter: None, viewer: None }
}

/// Wakes whoever waits for the other end, and counts how often.
pub struct Bell {
    sender: Sender<StreamIndex>,
    rings: AtomicU64,
}

impl Bell {
    /// A bell, and where it is heard.
    pub fn new() -> (Arc<Self>, Receiver<StreamIndex>) {
        let (sender, receiver) = channel();
        (Arc::new(Self { sender, rings: AtomicU64::new(0) }), receiver)
    }

    /// How often it has rung.
    pub fn rings(&self) -> u64 {
        self.rings.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(&self, stream: StreamIndex) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        // Nobody may be listening any more.
        let _ = self.sender.send(stream);
    }
}

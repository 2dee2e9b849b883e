//! What a delivery costs, counted and not timed: allocations, renderings, bytes held.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::IoSlice;
use std::sync::Arc;

use allocation_counter::measure;
use bytes::Bytes;
use engine::{
    Answer, Batch, Broker, ClientKey, Connect, Grants, Limits, Locate, Located, Now, Page,
    Renderer, Rendering, Retention, Segment, Selector, SessionTokens, Stream, StreamIndex,
    StreamSpec, StreamState, StreamTable, Tail, Wake, Worker,
};
use protocol::filter::{Comparison, Condition, Number, Pointer, Scalar, Test};
use protocol::{
    Appended, ClientId, Command, Conversation, Draft, Durability, Epoch, Error, Event, Filter,
    Frame, FrameKind, Gap, Message, Misspelled, Mode, Pattern, Payload, Position, Request, Seq,
    Start, StreamName, Subscribe, Topic,
};

const STREAM: StreamIndex = StreamIndex(0);

/// A broker that only has a tail.
struct OnlyTail(Arc<Tail>);

impl Broker for OnlyTail {
    fn append(&self, _: StreamIndex, _: Vec<Draft>, _: Answer<Vec<Result<Appended, Error>>>) {}
    fn read(&self, _: StreamIndex, _: Seq, _: usize, _: Answer<Result<Page, Error>>) {}
    fn locate(&self, _: StreamIndex, _: Selector, _: Locate, _: Answer<Result<Located, Error>>) {}

    fn acknowledge(
        &self,
        _: StreamIndex,
        _: engine::Device,
        _: protocol::Epoch,
        _: Seq,
        _: Answer<Result<engine::Cursor, Error>>,
    ) {
        unreachable!("nobody acknowledges here")
    }

    fn cursor(
        &self,
        _: StreamIndex,
        _: engine::Device,
        _: Answer<Result<Option<engine::Cursor>, Error>>,
    ) {
        unreachable!("nobody asks for cursors here")
    }

    fn cursors(
        &self,
        _: StreamIndex,
        _: engine::CursorQuery,
        _: Answer<Result<Vec<(engine::Device, engine::Cursor)>, Error>>,
    ) {
        unreachable!("nobody asks for cursors here")
    }

    fn tail(&self, _: StreamIndex) -> Option<Arc<Tail>> {
        Some(self.0.clone())
    }
    fn state(&self, _: StreamIndex) -> Option<StreamState> {
        None
    }
    fn maintain(&self) {}
}

struct Asleep;

impl Wake for Asleep {
    fn wake(&self, _: StreamIndex) {}
}

/// Writes the data and nothing else.
struct Bare;

impl Renderer for Bare {
    fn event(&mut self, _: Rendering, _: &Stream<'_>, event: &Event, out: &mut Vec<u8>) {
        if let Payload::Json(data) = &event.draft.payload {
            out.extend_from_slice(data);
        }
    }
    fn gap(&mut self, _: Rendering, _: &Gap, _: &mut Vec<u8>) {}
    fn batch_item(&mut self, _: Rendering, _: &Stream<'_>, _: &Event, _: &mut Vec<u8>) -> bool {
        true
    }
    fn batch(&mut self, _: Rendering, _: &Stream<'_>, items: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(items);
    }
    fn message(
        &mut self,
        _: Rendering,
        _: &mut dyn Conversation,
        _: u64,
        _: &Message,
        _: &mut Vec<u8>,
    ) {
    }
    fn names_positions(&self, _: Rendering) -> bool {
        false
    }
    fn positions(&mut self, _: Rendering, _: &[Position], _: &mut Vec<u8>) {}
}

struct Silent;

impl Conversation for Silent {
    fn decode(&mut self, _: Frame<'_>) -> Result<protocol::Requests, Misspelled> {
        Ok(std::iter::once(Request { id: None, command: Command::Ping }).collect())
    }
    fn encode(&mut self, _: u64, _: &Message, _: &mut Vec<u8>) -> Option<FrameKind> {
        None
    }
}

struct NoTokens;

impl SessionTokens for NoTokens {
    fn seal(&self, _: ClientId) -> String {
        String::new()
    }
    fn open(&self, _: &str) -> Option<ClientId> {
        None
    }
}

/// A worker with so many clients on one topic.
struct World {
    worker: Worker,
    tail: Arc<Tail>,
    clients: Vec<ClientKey>,
    seq: Seq,
}

impl World {
    fn new(clients: usize) -> Self {
        let tail = Arc::new(Tail::new(STREAM, Epoch::from_bits(1), 1, 0, 64 << 10));
        let spec = StreamSpec {
            name: StreamName::parse("s").unwrap(),
            topics: vec![Pattern::parse(">").unwrap()],
            retention: Retention::default(),
            durability: Durability::Memory,
            priority: 0,
            mode: Mode::EVERY,
        };
        let limits = Limits { recent_bytes_max: 64 << 10, ..Limits::default() };
        let worker = Worker::new(
            1,
            Arc::new(StreamTable::new(vec![spec])),
            &OnlyTail(tail.clone()),
            Arc::new(Asleep),
            Box::new(Bare),
            Box::new(NoTokens),
            limits,
        );
        let mut world = Self { worker, tail, clients: Vec::new(), seq: 0 };
        for id in 0..clients {
            world.connect(id as u128);
        }
        world
    }

    fn connect(&mut self, id: u128) {
        self.connect_to(id, "a.b", None);
    }

    fn connect_to(&mut self, id: u128, topic: &str, filter: Option<&Filter>) {
        let all = vec![Pattern::parse(">").unwrap()];
        let connect = Connect {
            client: ClientId(id),
            user: None,
            groups: Vec::new(),
            device: None,
            remember: None,
            grants: Arc::new(Grants { subscribe: all, ..Grants::default() }),
            expires_at_ms: None,
            must_authenticate: false,
            rendering: Rendering(0),
            conversation: Box::new(Silent),
            subscriptions: Vec::new(),
            heartbeat_ms: 30_000,
            subscriptions_max: 10,
            opening: Vec::new(),
            welcome: None,
        };
        let key = self.worker.connect(Now::default(), connect);
        let topics = vec![Pattern::parse(topic).unwrap()];
        let (except, start, mode) = (Vec::new(), Start::Now, Mode::EVERY);
        let filter = filter.cloned().map(Arc::new);
        let subscribe = Subscribe { topics, except, filter, start, mode };
        let command = Command::Subscribe(Box::new(subscribe));
        self.worker.handle_command(Now::default(), key, Request { id: None, command });
        self.clients.push(key);
        self.write_all();
    }

    /// So many events, one append each, as one burst.
    fn burst(&mut self, events: usize) {
        for _ in 0..events {
            self.seq += 1;
            let payload = Payload::Json(Bytes::from_static(b"{\"temperature\":21.5}"));
            let draft = Draft::new(Topic::parse("a.b").unwrap(), payload);
            let event = Event { seq: self.seq, time_ms: 0, draft };
            self.tail.push(Segment::Batch(Arc::new(Batch::new(vec![event]).unwrap())));
        }
        while self.worker.handle_stream(Now::default(), STREAM) {
            self.write_all();
        }
        self.write_all();
    }

    /// Every client takes all that there is, in one write each.
    fn write_all(&mut self) -> usize {
        let mut writes = 0;
        while let Some(key) = self.worker.poll_transmit() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.worker.gather(key, &mut slices);
            let bytes: usize = slices.iter().take(count).map(|slice| slice.len()).sum();
            self.worker.sent(key, bytes);
            writes += 1;
        }
        writes
    }

    /// Allocations of one burst, when everything has warmed up.
    fn allocations(&mut self, events: usize) -> u64 {
        for _ in 0..20 {
            self.burst(events);
        }
        let before = self.worker.counters().deliveries;
        let counted = measure(|| self.burst(events)).count_total;
        let deliveries = self.worker.counters().deliveries - before;
        assert_eq!(deliveries, (events * self.clients.len()) as u64);
        counted
    }
}

#[test]
fn a_delivery_allocates_nothing() {
    for events in [1, 32] {
        let few = World::new(10).allocations(events);
        let many = World::new(1_000).allocations(events);
        assert_eq!(few, many, "bursts of {events}: what 990 more clients allocate");
    }
}

#[test]
fn an_event_is_rendered_once_however_many_get_it() {
    let mut world = World::new(500);
    let before = world.worker.counters().renderings;
    world.burst(32);
    assert_eq!(world.worker.counters().renderings - before, 32);
}

#[test]
fn a_burst_leaves_each_client_as_one_write_of_one_slice() {
    let mut world = World::new(50);
    for _ in 0..32 {
        world.seq += 1;
        let payload = Payload::Json(Bytes::from_static(b"1"));
        let draft = Draft::new(Topic::parse("a.b").unwrap(), payload);
        let event = Event { seq: world.seq, time_ms: 0, draft };
        world.tail.push(Segment::Batch(Arc::new(Batch::new(vec![event]).unwrap())));
    }
    assert!(!world.worker.handle_stream(Now::default(), STREAM));
    let mut writes = 0;
    while let Some(key) = world.worker.poll_transmit() {
        let mut slices = [IoSlice::new(&[]); 16];
        assert_eq!(world.worker.gather(key, &mut slices), 1);
        let bytes = slices[0].len();
        assert_eq!(bytes, 32);
        world.worker.sent(key, bytes);
        writes += 1;
    }
    assert_eq!(writes, 50);
}

#[test]
fn an_idle_subscribed_session_holds_little() {
    let mut world = World::new(100);
    world.burst(4);
    let held = measure(|| {
        for id in 1_000..2_000 {
            world.connect(id);
        }
    });
    // Tables grow by doubling, so this is an upper bound on what a client needs.
    let per_client = held.bytes_current / 1_000;
    assert!(per_client < 800, "{per_client} bytes per session");
}

#[test]
fn a_stalled_client_holds_a_bounded_write_whatever_it_misses() {
    let mut world = World::new(2);
    let stalled = world.clients[0];
    world.worker.blocked(stalled);
    for _ in 0..200 {
        world.burst(64);
    }
    assert!(world.worker.pending_bytes(stalled) <= 2 * (64 << 10));
    let view = world.worker.view(stalled).unwrap();
    assert!(view.lag_events > 10_000, "{}", view.lag_events);
}

#[test]
fn a_match_costs_the_same_however_many_others_subscribe_elsewhere() {
    let visited = |others: u128| {
        let mut world = World::new(10);
        for other in 0..others {
            world.connect_to(1_000 + other, &format!("other.t{other}.>"), None);
        }
        let before = world.worker.nodes_visited();
        world.burst(1);
        world.worker.nodes_visited() - before
    };
    let (few, many) = (visited(1), visited(10_000));
    assert_eq!(few, many);
    assert!(few <= 3, "{few} nodes for two tokens");
}

/// A temperature that is at least so high.
fn warmer_than(celsius: &str) -> Filter {
    let value = Scalar::Number(Number::parse(celsius).unwrap());
    let test = Test::Compare(Comparison::Ge, value);
    Filter::new(Condition::Field(Pointer::parse("/temperature").unwrap(), test))
}

#[test]
fn an_event_is_judged_once_by_each_distinct_filter_however_many_have_it() {
    let mut world = World::new(10);
    for id in 100..400 {
        let bounds = ["21", "21.5", "22"];
        world.connect_to(id, "a.b", Some(&warmer_than(bounds[id as usize % bounds.len()])));
        world.connect_to(1_000 + id, "other.>", Some(&warmer_than("20")));
    }
    for id in 500..600 {
        world.connect_to(id, "a.>", Some(&warmer_than("2.15e1")));
    }
    let stalled = *world.clients.last().unwrap();
    world.worker.blocked(stalled);
    let judged = world.worker.filter_judgements();
    let delivered = world.worker.counters().deliveries;
    world.burst(32);
    assert_eq!(world.worker.counters().deliveries - delivered, 32 * (10 + 200 + 99));
    assert_eq!(world.worker.filter_judgements() - judged, 32 * 3);
    // One that comes later is told what was found.
    world.worker.handle_writable(Now::default(), stalled);
    world.write_all();
    assert_eq!(world.worker.counters().deliveries - delivered, 32 * (10 + 200 + 100));
    assert_eq!(world.worker.filter_judgements() - judged, 32 * 3);
}

#[test]
fn what_nobody_filters_is_not_judged() {
    let mut world = World::new(10);
    world.connect_to(100, "other.>", Some(&warmer_than("21")));
    // It takes everything anyway.
    let everything = world.clients[0];
    let (topics, filter) = (vec![Pattern::parse(">").unwrap()], Some(Arc::new(warmer_than("99"))));
    let (except, start, mode) = (Vec::new(), Start::Now, Mode::EVERY);
    let body = Box::new(Subscribe { topics, except, filter, start, mode });
    let command = Command::Subscribe(body);
    world.worker.handle_command(Now::default(), everything, Request { id: None, command });
    let before = world.worker.filter_judgements();
    world.burst(32);
    assert_eq!(world.worker.filter_judgements(), before);
}

#[test]
fn a_filtered_delivery_allocates_nothing() {
    let with_filters = |clients: u128| {
        let mut world = World::new(0);
        for id in 0..clients {
            world.connect_to(id, "a.b", Some(&warmer_than(if id % 2 == 0 { "20" } else { "21" })));
        }
        world
    };
    for events in [1, 32] {
        let few = with_filters(10).allocations(events);
        let many = with_filters(1_000).allocations(events);
        assert_eq!(few, many, "bursts of {events}: what 990 more clients allocate");
    }
}

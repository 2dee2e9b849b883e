//! A worker owns clients for life: their sessions, their readers and the index of what they
//! subscribe to. One thread drives it; nothing in it is shared or locked.

/// What goes in and comes out.
mod interface;
/// Clients come and go.
mod clients;
/// Which client has an id.
mod ids;
/// Commands of clients.
mod commands;
/// Who a client is, and until when.
mod authenticating;
/// Subscriptions begin.
mod subscribing;
/// Subscriptions end.
mod unsubscribing;
/// Subscriptions as one set of patterns.
mod including;
/// What a subscription with history waits for.
mod locating;
/// Who gets a new event.
mod matching;
/// Commands that go to what handles them.
mod calling;
/// Acknowledgements.
mod cursors;
/// New events go to live readers.
mod pump;
/// Readers that are behind catch up.
mod fill;
/// What cannot be had is told.
mod gaps;
/// What lies behind a cursor.
mod ahead;
/// Who watches a topic.
mod presence;
/// History that comes apart from the live order.
mod replay;
/// Chosen events become slices of a client's write.
mod deliver;
/// The compacted view is completed by what is older.
mod backfill;
/// Pages of the broker are asked for, shared and dropped.
mod pages;
/// What clients get back that cannot say where they were.
mod remembering;
/// How events look to clients that choose it.
mod looks;
/// What is known of a client's connection.
mod status;
/// What is due at a time.
mod timers;
/// Sessions are taken out and put back.
mod snapshot;

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use protocol::{Epoch, Seq, Topic};
use slab::Slab;

pub(crate) use authenticating::Expiry;
pub use authenticating::Identity;
pub use interface::{
    ClientKey, Connect, Counters, Limits, LocateTicket, Now, Request, SessionTokens, SessionView,
    Ticket,
};
pub use presence::Presence;
pub(crate) use remembering::Remembering;
pub use remembering::{Remember, Remembered};
pub use snapshot::Snapshot;

use crate::broker::{Broker, Segment};
use crate::index::Index;
use crate::isolated::Isolated;
use crate::outbox::Outbox;
use crate::render::{Renderer, Rendering, Stream};
use crate::run::RunLog;
use crate::session::Session;
use crate::streams::{StreamIndex, StreamTable};
use crate::tail::{Tail, Wake};
use crate::view::View;

use authenticating::Expiries;
use matching::Matches;
use pages::Pages;
use timers::Timer;

/// Outboxes that wait for another client.
const OUTBOX_POOL_MAX: usize = 1024;

/// The state machine of one thread.
pub struct Worker {
    id: u64,
    now: Now,
    limits: Limits,
    table: Arc<StreamTable>,
    streams: Vec<StreamState>,
    sessions: Slab<Session>,
    generation_last: u32,
    index: Index,
    by_client: ids::Ids,
    by_user: HashMap<Arc<str>, Vec<u32>>,
    by_group: HashMap<Arc<str>, Vec<u32>>,
    renderer: Isolated,
    tokens: Box<dyn SessionTokens>,
    pages: Pages,
    /// Clients that have something to send, or may have.
    ready: VecDeque<u32>,
    requests: VecDeque<Request>,
    timers: BinaryHeap<Timer>,
    /// By the wall clock.
    expiries: Expiries,
    sweep_at_ms: u64,
    locate_last: u64,
    #[expect(clippy::vec_box, reason = "sessions hold boxes, so that an idle one is small")]
    outboxes: Vec<Box<Outbox>>,
    /// Taken while a burst is planned, so that a burst allocates nothing.
    scratch: pump::Scratch,
    counters: Counters,
}

/// What a worker knows of a stream.
struct StreamState {
    tail: Arc<Tail>,
    /// Notices of the tail go here.
    wake: Arc<dyn Wake>,
    /// Set while the worker has interest: only then are the fields below kept up to date.
    is_watched: bool,
    epoch: Epoch,
    /// First kept seq.
    first: Seq,
    /// The worker has read the stream up to here.
    read: Seq,
    /// What it read last, bounded in bytes.
    recent: VecDeque<Segment>,
    recent_bytes: usize,
    /// Which sessions an event of a topic goes to.
    matches: HashMap<Topic, Matches>,
    matches_entries: usize,
    matches_generation: u64,
    runs: HashMap<Rendering, RunLog>,
    view: Option<View>,
    backfill: Option<backfill::Backfill>,
    /// Readers of this worker.
    readers: usize,
    idle_sweeps: u32,
}

impl Worker {
    /// Makes a worker of the streams of `table`, which `broker` keeps. `wakes` is told by any
    /// thread when a stream has something new.
    pub fn new(
        id: u64,
        table: Arc<StreamTable>,
        broker: &dyn Broker,
        wake: Arc<dyn Wake>,
        renderer: Box<dyn Renderer>,
        tokens: Box<dyn SessionTokens>,
        limits: Limits,
    ) -> Self {
        let streams = table
            .indexes()
            .filter_map(|at| broker.tail(at))
            .map(|tail| StreamState::new(tail, wake.clone()))
            .collect();
        Self {
            id,
            now: Now::default(),
            limits,
            table,
            streams,
            sessions: Slab::new(),
            generation_last: 0,
            index: Index::new(),
            by_client: ids::Ids::default(),
            by_user: HashMap::new(),
            by_group: HashMap::new(),
            renderer: Isolated(renderer),
            tokens,
            pages: Pages::default(),
            ready: VecDeque::new(),
            requests: VecDeque::new(),
            timers: BinaryHeap::new(),
            expiries: Expiries::default(),
            sweep_at_ms: 0,
            locate_last: 0,
            outboxes: Vec::new(),
            scratch: pump::Scratch::default(),
            counters: Counters::default(),
        }
    }

    /// What the worker wants from the outside, in order.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Nodes of the pattern tree that were looked at so far to find who gets an event.
    pub fn nodes_visited(&self) -> u64 {
        self.index.visited()
    }

    /// How often a filter judged an event so far: once for each distinct filter, however many
    /// clients have it.
    pub fn filter_judgements(&self) -> u64 {
        self.index.filters().judgements()
    }

    /// How many clients it owns.
    pub fn client_count(&self) -> usize {
        self.sessions.len()
    }

    /// Patterns that its clients subscribe to, nodes of the tree aside.
    pub fn stream_position(&self, stream: StreamIndex) -> Option<Seq> {
        self.streams.get(stream.get()).filter(|state| state.is_watched).map(|state| state.read)
    }

    fn key_of(&self, place: u32) -> Option<ClientKey> {
        let session = self.sessions.get(place as usize)?;
        Some(ClientKey { place, generation: session.generation })
    }

    fn session(&self, key: ClientKey) -> Option<&Session> {
        let session = self.sessions.get(key.place as usize)?;
        (session.generation == key.generation).then_some(session)
    }

    fn session_mut(&mut self, key: ClientKey) -> Option<&mut Session> {
        let session = self.sessions.get_mut(key.place as usize)?;
        (session.generation == key.generation).then_some(session)
    }

    /// Lets a client's readers look for what they may have been waiting for.
    fn look_again(&mut self, place: u32) {
        if let Some(session) = self.sessions.get_mut(place as usize) {
            session.is_behind = !session.readers.is_empty();
            self.queue(place);
        }
    }

    /// Puts a client in the ready queue.
    fn queue(&mut self, place: u32) {
        if let Some(session) = self.sessions.get_mut(place as usize)
            && !session.is_queued
        {
            session.is_queued = true;
            self.ready.push_back(place);
        }
    }
}

impl StreamState {
    fn new(tail: Arc<Tail>, wake: Arc<dyn Wake>) -> Self {
        // Nobody watches under this id: the pull only shows where the stream is.
        let pull = tail.pull(u64::MAX, None, Seq::MAX - 1);
        Self {
            tail,
            wake,
            is_watched: false,
            epoch: pull.epoch,
            first: pull.first,
            read: pull.head,
            recent: VecDeque::new(),
            recent_bytes: 0,
            matches: HashMap::new(),
            matches_entries: 0,
            matches_generation: 0,
            runs: HashMap::new(),
            view: None,
            backfill: None,
            readers: 0,
            idle_sweeps: 0,
        }
    }

    /// First seq that can be read from `recent`.
    fn recent_first(&self) -> Seq {
        self.recent.front().map_or(self.read + 1, Segment::first)
    }

    /// Events before this seq are too old to be delivered, though they may be at hand.
    fn expired(&self) -> Seq {
        self.tail.expired(&self.epoch).min(self.read + 1)
    }

    fn forget_recent(&mut self) {
        self.recent.clear();
        self.recent_bytes = 0;
        self.runs.clear();
    }

    /// Its name and epoch, for rendering.
    fn named<'a>(&'a self, table: &'a StreamTable, at: StreamIndex) -> Option<Stream<'a>> {
        Some(Stream { name: &table.spec(at)?.name, epoch: &self.epoch })
    }
}

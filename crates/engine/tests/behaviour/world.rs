use std::cell::{Cell, RefCell};
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use engine::{
    Answer, Batch, Broker, ClientKey, Connect, Grants, Hole, Limits, Locate, Located, Now, Page,
    Remember, Renderer, Rendering, Request, Retention, Segment, Selector, SessionTokens, Stream,
    StreamIndex, StreamSpec, StreamState, StreamTable, Tail, Wake, Worker,
};
use protocol::{
    Appended, ClientId, Command, Conversation, Draft, Durability, Epoch, Error, Event, Frame,
    FrameKind, Gap, GapReason, Message, Misspelled, Mode, Pattern, Payload, Position,
    Request as Asked, Requests, Seq, Start, StreamName, Subscribe, Topic, Unsubscribe,
};

pub(crate) const STREAM: StreamIndex = StreamIndex(0);

/// A broker that only has a tail: the test answers what the worker asks for.
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

/// What was said to a client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    Event(Seq),
    Message(Message),
}

type Log = Rc<RefCell<Vec<(Rendering, Said)>>>;

/// Notes what is said; every client has a rendering of its own.
struct Recorder {
    log: Log,
    /// The event that it cannot spell.
    broken: Rc<Cell<Seq>>,
    looks: Looks,
}

/// Looks that clients chose, from [`CHOSEN`] on, and how many have each.
type Looks = Rc<RefCell<Vec<(String, usize)>>>;

impl Recorder {
    fn note(&mut self, rendering: Rendering, said: Said) {
        self.log.borrow_mut().push((rendering, said));
    }
}

impl Renderer for Recorder {
    fn event(&mut self, rendering: Rendering, _: &Stream<'_>, event: &Event, out: &mut Vec<u8>) {
        out.push(b'e');
        assert_ne!(event.seq, self.broken.get(), "planted");
        self.note(rendering, Said::Event(event.seq));
    }
    fn gap(&mut self, rendering: Rendering, gap: &Gap, out: &mut Vec<u8>) {
        out.push(b'g');
        self.note(rendering, Said::Message(Message::Gap(gap.clone())));
    }
    fn batch_item(
        &mut self,
        rendering: Rendering,
        stream: &Stream<'_>,
        event: &Event,
        out: &mut Vec<u8>,
    ) -> bool {
        self.event(rendering, stream, event, out);
        true
    }
    fn batch(&mut self, _: Rendering, _: &Stream<'_>, items: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(items);
    }
    fn message(
        &mut self,
        rendering: Rendering,
        _: &mut dyn Conversation,
        _: u64,
        message: &Message,
        out: &mut Vec<u8>,
    ) {
        let bytes = match message {
            Message::Reply { result: Ok(protocol::Answer::History { events, .. }), .. } => {
                events.iter().map(|event| event.draft.bytes()).sum()
            }
            _ => 1,
        };
        out.resize(out.len() + bytes, b'm');
        let is_broken = matches!(message, Message::Reply { id: Some(UNSPEAKABLE), .. });
        assert!(!is_broken, "planted");
        self.note(rendering, Said::Message(message.clone()));
    }
    fn names_positions(&self, _: Rendering) -> bool {
        false
    }
    fn positions(&mut self, _: Rendering, _: &[Position], _: &mut Vec<u8>) {}
    fn vary(&mut self, _: Rendering, options: &str) -> Option<Rendering> {
        let mut looks = self.looks.borrow_mut();
        let free = looks.iter().position(|(known, _)| known == options);
        let free = free.or_else(|| looks.iter().position(|(_, users)| *users == 0));
        let at = free.unwrap_or(looks.len());
        if options == REFUSED {
            return None;
        }
        if at == looks.len() {
            looks.push((String::new(), 0));
        }
        looks[at] = (options.to_owned(), looks[at].1 + 1);
        Some(Rendering(CHOSEN + at as u16))
    }
    fn release(&mut self, rendering: Rendering) -> bool {
        let mut looks = self.looks.borrow_mut();
        let users = &mut looks[usize::from(rendering.0 - CHOSEN)].1;
        *users -= 1;
        *users == 0
    }
}

/// The id of a request whose answer cannot be spelled.
pub(crate) const UNSPEAKABLE: i64 = 666;
/// What cannot be read.
pub(crate) const UNREADABLE: Frame<'_> = Frame::Text("unreadable");

/// The first look that a client chooses has this rendering.
pub(crate) const CHOSEN: u16 = 1_000;
/// A look that there is no room for.
pub(crate) const REFUSED: &str = "refused";

/// Says nothing, and wants the look that its client last named.
#[derive(Default)]
struct Silent {
    look: Option<Arc<str>>,
}

impl Conversation for Silent {
    fn decode(&mut self, frame: Frame<'_>) -> Result<Requests, Misspelled> {
        assert_ne!(frame, UNREADABLE, "planted");
        if let Frame::Text(text) = frame {
            self.look = (!text.is_empty()).then(|| text.into());
        }
        Ok([Asked { id: None, command: Command::Ping }].into_iter().collect())
    }
    fn look(&self) -> Option<&Arc<str>> {
        self.look.as_ref()
    }
    fn restore_look(&mut self, options: &str) {
        self.look = Some(options.into());
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

/// A worker of one stream, and what it said.
pub(crate) struct World {
    pub(crate) worker: Worker,
    pub(crate) tail: Arc<Tail>,
    pub(crate) now: Now,
    /// The event that cannot be spelled.
    pub(crate) broken: Rc<Cell<Seq>>,
    looks: Looks,
    log: Log,
    clients: u16,
    seq: Seq,
}

impl World {
    pub(crate) fn new() -> Self {
        let tail = Arc::new(Tail::new(STREAM, epoch(), 1, 0, 64 << 10));
        let spec = StreamSpec {
            name: StreamName::parse("s").unwrap(),
            topics: vec![pattern(">")],
            retention: Retention::default(),
            durability: Durability::Memory,
            priority: 0,
            mode: Mode::EVERY,
        };
        let (log, broken) = (Log::default(), Rc::new(Cell::new(Seq::MAX)));
        let looks = Looks::default();
        let worker = Worker::new(
            1,
            Arc::new(StreamTable::new(vec![spec])),
            &OnlyTail(tail.clone()),
            Arc::new(Asleep),
            Box::new(Recorder { log: log.clone(), broken: broken.clone(), looks: looks.clone() }),
            Box::new(NoTokens),
            Limits { recent_bytes_max: 64 << 10, ..Limits::default() },
        );
        Self { worker, tail, now: Now::default(), broken, looks, log, clients: 0, seq: 0 }
    }

    /// A client that may hold so many patterns.
    pub(crate) fn connect(&mut self, subscriptions_max: u32) -> ClientKey {
        self.connect_as(subscriptions_max, None)
    }

    /// A client that is remembered, and may hold so many patterns.
    pub(crate) fn connect_as(
        &mut self,
        subscriptions_max: u32,
        remember: Option<Remember>,
    ) -> ClientKey {
        let connect = Connect {
            client: ClientId(u128::from(self.clients)),
            user: None,
            groups: Vec::new(),
            device: None,
            remember,
            grants: Arc::new(Grants {
                subscribe: vec![pattern(">")],
                publish: vec![pattern(">")],
                ..Grants::default()
            }),
            expires_at_ms: None,
            must_authenticate: false,
            rendering: Rendering(self.clients),
            conversation: Box::new(Silent::default()),
            subscriptions: Vec::new(),
            heartbeat_ms: u32::MAX,
            subscriptions_max,
            opening: Vec::new(),
            welcome: None,
        };
        self.clients += 1;
        self.worker.connect(self.now, connect)
    }

    pub(crate) fn send(&mut self, client: ClientKey, id: i64, command: Command) {
        self.worker.handle_command(self.now, client, Asked { id: Some(id), command });
    }

    pub(crate) fn subscribe(
        &mut self,
        client: ClientKey,
        topics: &[&str],
        mode: Mode,
        start: Start,
    ) {
        let topics = topics.iter().map(|text| pattern(text)).collect();
        let body = Subscribe { topics, except: Vec::new(), filter: None, start, mode };
        self.send(client, 1, Command::Subscribe(Box::new(body)));
    }

    pub(crate) fn unsubscribe(&mut self, client: ClientKey, topics: &[&str]) {
        let topics = topics.iter().map(|text| pattern(text)).collect();
        self.send(client, 2, Command::Unsubscribe(Unsubscribe::Topics(topics)));
    }

    /// Appends events, one segment each, and lets the worker read them.
    pub(crate) fn publish(&mut self, events: usize) {
        for _ in 0..events {
            self.seq += 1;
            self.tail.push(segment(self.seq..=self.seq));
        }
        self.look();
    }

    /// Appends a hole instead of events.
    pub(crate) fn lose(&mut self, events: u64) {
        let (from, to) = (self.seq + 1, self.seq + events);
        self.seq = to;
        self.tail.push(Segment::Hole(Hole { from, to, reason: GapReason::Corruption }));
        self.look();
    }

    /// Lets the worker read what is new and its clients write.
    pub(crate) fn look(&mut self) {
        while self.worker.handle_stream(self.now, STREAM) {}
        self.write_all();
    }

    /// Every client that can takes all that there is.
    pub(crate) fn write_all(&mut self) {
        while let Some(key) = self.worker.poll_transmit() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.worker.gather(key, &mut slices);
            let bytes = slices.iter().take(count).map(|slice| slice.len()).sum();
            self.worker.sent(key, bytes);
        }
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now.ms += ms;
        self.worker.handle_timer(self.now);
        self.write_all();
    }

    /// What the worker wants.
    pub(crate) fn requests(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.worker.poll_request()).collect()
    }

    /// Answers every page that the worker asks for, from `first` on.
    pub(crate) fn answer_pages(&mut self, first: Seq) {
        for request in self.requests() {
            let is_newest = matches!(request, Request::ReadNewest { .. });
            let (Request::Read { stream, after, .. } | Request::ReadNewest { stream, after, .. }) =
                request
            else {
                panic!("{request:?}")
            };
            let from = first.max(after + 1);
            let segments =
                if from > self.seq { Vec::new() } else { vec![segment(from..=self.seq)] };
            let page = Page::new(epoch(), first, segments);
            if is_newest {
                self.worker.handle_newest(self.now, stream, after, Ok(page));
            } else {
                self.worker.handle_page(self.now, stream, after, Ok(page));
            }
            self.write_all();
        }
    }

    /// What was said to the client that connected as this one, since it was last asked.
    pub(crate) fn said(&mut self, client: u16) -> Vec<Said> {
        let (said, rest) = std::mem::take(&mut *self.log.borrow_mut())
            .into_iter()
            .partition(|(rendering, _)| *rendering == Rendering(client));
        *self.log.borrow_mut() = rest;
        let said: Vec<(Rendering, Said)> = said;
        said.into_iter().map(|(_, said)| said).collect()
    }

    /// How many clients have each look that was chosen.
    pub(crate) fn users(&self) -> Vec<usize> {
        self.looks.borrow().iter().map(|(_, users)| *users).collect()
    }

    /// A client says how events are to look to it.
    pub(crate) fn choose(&mut self, client: ClientKey, look: &str) {
        self.worker.handle_frame(self.now, client, Frame::Text(look), None);
        self.write_all();
    }

    /// The gaps among what was said to it.
    pub(crate) fn gaps(&mut self, client: u16) -> Vec<Gap> {
        let gap = |said| match said {
            Said::Message(Message::Gap(gap)) => Some(gap),
            _ => None,
        };
        self.said(client).into_iter().filter_map(gap).collect()
    }
}

pub(crate) fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

pub(crate) fn epoch() -> Epoch {
    Epoch::from_bits(1)
}

/// A batch of events of these seqs.
pub(crate) fn segment(seqs: std::ops::RangeInclusive<Seq>) -> Segment {
    Segment::Batch(Arc::new(Batch::new(seqs.map(event).collect()).unwrap()))
}

pub(crate) fn event(seq: Seq) -> Event {
    let payload = Payload::Json(Bytes::from(format!("{{\"temperature\":21.5,\"n\":{seq}}}")));
    Event { seq, time_ms: 0, draft: Draft::new(Topic::parse("a.b").unwrap(), payload) }
}

/// The start after a position of the stream.
pub(crate) fn after(epoch: Epoch, seq: Seq) -> Start {
    Start::Positions(vec![Position { stream: StreamName::parse("s").unwrap(), epoch, seq }])
}

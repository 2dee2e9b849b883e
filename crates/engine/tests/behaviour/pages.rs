use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use engine::{
    Answer, Broker, Locate, Located, Page, Selector, StreamIndex, StreamState, Tail, history,
};
use protocol::{Answer as Answered, Appended, Draft, Durability, Error, History, Seq, StreamName};

use crate::world::{STREAM, epoch, pattern, segment};

/// A stream of so many events that answers at once, one event a page.
struct OneByOne {
    last: Seq,
    depth: AtomicUsize,
    deepest: AtomicUsize,
    pages: AtomicUsize,
}

impl OneByOne {
    fn new(last: Seq) -> Arc<Self> {
        let [depth, deepest, pages] = [(); 3].map(|()| AtomicUsize::new(0));
        Arc::new(Self { last, depth, deepest, pages })
    }
}

impl Broker for OneByOne {
    fn append(&self, _: StreamIndex, _: Vec<Draft>, _: Answer<Vec<Result<Appended, Error>>>) {}
    fn read(&self, _: StreamIndex, after: Seq, _: usize, answer: Answer<Result<Page, Error>>) {
        let depth = self.depth.fetch_add(1, Ordering::Relaxed) + 1;
        self.deepest.fetch_max(depth, Ordering::Relaxed);
        self.pages.fetch_add(1, Ordering::Relaxed);
        let segments =
            if after < self.last { vec![segment(after + 1..=after + 1)] } else { Vec::new() };
        answer(Ok(Page::new(epoch(), 1, segments)));
        self.depth.fetch_sub(1, Ordering::Relaxed);
    }
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
        None
    }
    fn state(&self, _: StreamIndex) -> Option<StreamState> {
        Some(StreamState {
            stream: StreamName::parse("s").unwrap(),
            epoch: epoch(),
            first: 1,
            last: self.last,
            bytes: 0,
            durability: Durability::Memory,
        })
    }
    fn maintain(&self) {}
}

/// How many events a history brings, how far it came and whether there is more.
fn read(broker: &Arc<OneByOne>, topic: &str, after: Seq) -> (usize, Seq, bool) {
    let (topics, topic) = (vec![pattern(topic)], pattern(topic));
    let selector = Selector { topics, except: Vec::new(), filter: None, viewer: None };
    let history = History { topic, stream: None, epoch: None, after, limit: 1_000 };
    let found = Arc::new(Mutex::new(None));
    let answer = found.clone();
    let answer = Box::new(move |result| *answer.lock().unwrap() = Some(result));
    history::read(broker.clone(), STREAM, selector, history, answer);
    match found.lock().unwrap().take() {
        Some(Ok(Answered::History { events, after, more, .. })) => (events.len(), after, more),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pages_that_come_at_once_do_not_nest() {
    let broker = OneByOne::new(40);
    assert_eq!(read(&broker, "a.b", 0), (40, 40, false));
    assert_eq!(broker.deepest.load(Ordering::Relaxed), 1);
}

#[test]
fn a_history_reads_so_many_pages_and_says_where_it_stopped() {
    let broker = OneByOne::new(150);
    let (mut after, mut more, mut asked) = (0, true, 0);
    while more {
        let reached;
        (_, reached, more) = read(&broker, "nothing.like.it", after);
        assert!(reached > after || !more, "it does not get past {after}");
        (after, asked) = (reached, asked + 1);
    }
    assert_eq!((after, asked), (150, 3));
}

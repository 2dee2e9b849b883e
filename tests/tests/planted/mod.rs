use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use brokers::{Clock, Embedded, ManualClock, Now, Options};
use engine::{
    Answer, Batch, Broker, Cursor, CursorQuery, Device, Locate, Located, Page, Segment, Selector,
    StreamIndex, StreamState, Tail,
};
use protocol::{Appended, Draft, Durability, Epoch, Error, Event, Publisher, Seq};
use tidings_tests::broker_conformance::{Harness, MAIN, OTHER, Setup};

macro_rules! bugs {
    ($($bug:ident in $module:literal)*) => {
        /// A promise that is broken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Bug { None, $($bug,)* }

        /// Every bug, and the module of the suite that has to see it.
        pub(crate) const BUGS: &[(Bug, &str)] = &[$((Bug::$bug, $module),)*];
    };
}

bugs! {
    SwapsAnswers in "order"
    RoundsDurabilityUp in "order"
    TurnsTimeBack in "order"
    SwapsTwoInPages in "order"
    DropsOneFromPages in "reading"
    StopsPagesOneShort in "reading"
    OverrunsBudget in "reading"
    SaysNothingOfRetention in "reading"
    LeavesOutWhatIsNewest in "reading"
    KeepsOneTooMany in "retention"
    NeverMaintains in "retention"
    AgesByTheWallClock in "retention"
    HoldsMemory in "retention"
    AcceptsDuplicates in "ids"
    OverlooksConflicts in "ids"
    MixesPublishers in "ids"
    ForgetsIdsEarly in "ids"
    ForgetsIdsWithEvents in "ids"
    AnswersBeforeTheTail in "tail"
    SwapsTwoInTheTail in "reading"
    FreezesTheTail in "tail"
    HasNoTailBound in "tail"
    ShowsEveryAudience in "locating"
    IgnoresExcept in "locating"
    HidesTruncation in "locating"
    LocatesOneLate in "locating"
    ForgetsAcknowledgements in "cursors"
    LetsCursorsGoBack in "cursors"
    TakesAcknowledgementsOfTheFuture in "cursors"
    TakesAcknowledgementsOfThePast in "cursors"
    MixesDevices in "cursors"
    ListsEveryUser in "cursors"
    KeepsCursorsForEver in "cursors"
    KeepsTooManyCursors in "cursors"
    ReusesEpochs in "lifetime"
    FindsUnknownStreams in "lifetime"
}

/// A sound broker behind a wrapper that has the bug.
pub(crate) fn make(bug: Bug, mut setup: Setup) -> Harness {
    let mut options = Options {
        clock: setup.clock.clone(),
        tail_bytes_max: setup.tail_bytes_max,
        id_window_ms: setup.id_window_ms,
        id_window_count: setup.id_window_count,
        locate_scan_max: setup.locate_scan_max,
        cursor_age_ms: setup.cursor_age_ms,
        cursor_count: setup.cursor_count,
        ..Options::default()
    };
    match bug {
        Bug::KeepsOneTooMany => setup.retention.count += 1,
        Bug::AgesByTheWallClock => options.clock = Arc::new(WallOnly(setup.clock.clone())),
        Bug::ForgetsIdsEarly => options.id_window_count -= 1,
        Bug::HasNoTailBound => options.tail_bytes_max = usize::MAX,
        Bug::KeepsCursorsForEver => options.cursor_age_ms = u64::MAX,
        Bug::KeepsTooManyCursors => options.cursor_count += 1,
        Bug::ReusesEpochs => options.random = Arc::new(|| 7),
        _ => {}
    }
    let table = setup.table();
    Harness::new(Durability::Memory, move || {
        Arc::new(Planted::new(bug, Embedded::new(&table, &options)))
    })
}

struct WallOnly(Arc<ManualClock>);

impl Clock for WallOnly {
    fn now(&self) -> Now {
        let now = self.0.now();
        Now { steady_ms: now.wall_ms, ..now }
    }
}

/// What each id was first used for.
type FirstDrafts = HashMap<(StreamIndex, Publisher, Arc<str>), Draft>;

struct Planted {
    bug: Bug,
    /// It answers before it returns, which the wrapper relies on.
    inner: Embedded,
    /// Tails that the wrapper fills itself, for bugs that are in the tail.
    tails: Option<[Arc<Tail>; 2]>,
    /// Taken while something is appended and while `tails` are filled.
    first_drafts: Mutex<FirstDrafts>,
    held: Mutex<Vec<Page>>,
    /// What was acknowledged last, for a bug.
    cursors: Mutex<HashMap<(StreamIndex, Device), Seq>>,
}

fn one_of_all(device: Device) -> Device {
    Device { name: "any".into(), ..device }
}

impl Planted {
    fn new(bug: Bug, inner: Embedded) -> Self {
        let has_tails = matches!(bug, Bug::AnswersBeforeTheTail | Bug::SwapsTwoInTheTail);
        let tail = |stream| {
            let epoch = inner.state(stream).unwrap().epoch;
            Arc::new(Tail::new(stream, epoch, 1, 0, 1 << 20))
        };
        let tails = has_tails.then(|| [tail(MAIN), tail(OTHER)]);
        Self {
            bug,
            inner,
            tails,
            first_drafts: Mutex::default(),
            held: Mutex::default(),
            cursors: Mutex::default(),
        }
    }

    fn stream(&self, stream: StreamIndex) -> StreamIndex {
        if self.bug == Bug::FindsUnknownStreams { MAIN } else { stream }
    }

    fn draft(&self, first_drafts: &mut FirstDrafts, stream: StreamIndex, draft: Draft) -> Draft {
        let Some(id) = draft.id.clone() else { return draft };
        match self.bug {
            Bug::AcceptsDuplicates => Draft { id: None, ..draft },
            Bug::MixesPublishers => Draft { publisher: Publisher::Admin, ..draft },
            Bug::OverlooksConflicts => {
                let key = (stream, draft.publisher.clone(), id);
                first_drafts.entry(key).or_insert(draft).clone()
            }
            _ => draft,
        }
    }

    fn result(&self, stream: StreamIndex, appended: &mut Appended) {
        if self.bug == Bug::RoundsDurabilityUp {
            appended.durability = Durability::Fsync;
        }
        let first = self.inner.state(stream).map_or(0, |state| state.first);
        if self.bug == Bug::ForgetsIdsWithEvents && appended.duplicate && appended.seq < first {
            appended.duplicate = false;
        }
    }

    /// Brings what is new in the broker's tail into the wrapper's.
    fn feed(&self, stream: StreamIndex) {
        let Some(tail) = self.tails.as_ref().and_then(|tails| tails.get(stream.get())) else {
            return;
        };
        let inner = self.inner.tail(stream).unwrap();
        let own = tail.pull(0, None, 0);
        let pull = inner.pull(0, Some(&own.epoch), own.head);
        for segment in pull.segments {
            tail.push(if self.bug == Bug::SwapsTwoInTheTail { swap_two(segment) } else { segment });
        }
        tail.trim(pull.first);
    }

    fn page(&self, mut page: Page) -> Page {
        match self.bug {
            Bug::TurnsTimeBack => page.segments = each(page.segments, turn_back),
            Bug::SwapsTwoInPages => page.segments = each(page.segments, |s| vec![swap_two(s)]),
            Bug::DropsOneFromPages => page.segments = each(page.segments, drop_one),
            Bug::StopsPagesOneShort => drop(page.segments.pop()),
            Bug::SaysNothingOfRetention => page.first = 1,
            Bug::HoldsMemory => self.held.lock().unwrap().push(page.clone()),
            _ => {}
        }
        page
    }
}

impl Broker for Planted {
    fn append(
        &self,
        stream: StreamIndex,
        drafts: Vec<Draft>,
        answer: Answer<Vec<Result<Appended, Error>>>,
    ) {
        let stream = self.stream(stream);
        let results = Arc::new(Mutex::new(Vec::new()));
        {
            let mut first_drafts = self.first_drafts.lock().unwrap();
            let drafts = drafts
                .into_iter()
                .map(|draft| self.draft(&mut first_drafts, stream, draft))
                .collect();
            if self.bug == Bug::AnswersBeforeTheTail {
                self.feed(stream);
            }
            let to = results.clone();
            self.inner.append(
                stream,
                drafts,
                Box::new(move |results| *to.lock().unwrap() = results),
            );
            if self.bug != Bug::AnswersBeforeTheTail {
                self.feed(stream);
            }
        }
        let mut results = std::mem::take(&mut *results.lock().unwrap());
        for appended in results.iter_mut().flatten() {
            self.result(stream, appended);
        }
        if self.bug == Bug::SwapsAnswers && results.len() > 1 {
            results.swap(0, 1);
        }
        answer(results);
    }

    fn read(
        &self,
        stream: StreamIndex,
        after: Seq,
        bytes_max: usize,
        answer: Answer<Result<Page, Error>>,
    ) {
        let bytes_max = if self.bug == Bug::OverrunsBudget { usize::MAX } else { bytes_max };
        let result = Arc::new(Mutex::new(None));
        let to = result.clone();
        let inner_answer = Box::new(move |page| *to.lock().unwrap() = Some(page));
        self.inner.read(self.stream(stream), after, bytes_max, inner_answer);
        let page = result.lock().unwrap().take().unwrap();
        answer(page.map(|page| self.page(page)));
    }

    fn read_newest(
        &self,
        stream: StreamIndex,
        after: Seq,
        bytes_max: usize,
        answer: Answer<Result<Page, Error>>,
    ) {
        if self.bug != Bug::LeavesOutWhatIsNewest {
            return self.read(stream, after, bytes_max, answer);
        }
        let short = |page: Page| Page { segments: each(page.segments, drop_last), ..page };
        let answer = Box::new(move |page: Result<Page, Error>| answer(page.map(short)));
        self.inner.read_newest(stream, after, bytes_max, answer);
    }

    fn locate(
        &self,
        stream: StreamIndex,
        mut selector: Selector,
        what: Locate,
        answer: Answer<Result<Located, Error>>,
    ) {
        match self.bug {
            Bug::ShowsEveryAudience => selector.viewer = None,
            Bug::IgnoresExcept => selector.except.clear(),
            _ => {}
        }
        let bug = self.bug;
        let change = move |mut located: Located| {
            match bug {
                Bug::HidesTruncation => located.truncated = false,
                Bug::LocatesOneLate => located.after += 1,
                _ => {}
            }
            located
        };
        let answer = Box::new(move |found: Result<Located, Error>| answer(found.map(change)));
        self.inner.locate(self.stream(stream), selector, what, answer);
    }

    fn acknowledge(
        &self,
        stream: StreamIndex,
        device: Device,
        epoch: Epoch,
        seq: Seq,
        answer: Answer<Result<Cursor, Error>>,
    ) {
        let stream = self.stream(stream);
        let state = || self.inner.state(stream).unwrap();
        match self.bug {
            Bug::ForgetsAcknowledgements => answer(Ok(Cursor { epoch, seq, at_ms: 0 })),
            Bug::LetsCursorsGoBack => {
                self.cursors.lock().unwrap().insert((stream, device.clone()), seq);
                let stored = move |stored: Result<Cursor, Error>| {
                    answer(stored.map(|cursor| Cursor { seq, ..cursor }));
                };
                self.inner.acknowledge(stream, device, epoch, seq, Box::new(stored));
            }
            Bug::TakesAcknowledgementsOfTheFuture => {
                let seq = seq.min(state().last);
                self.inner.acknowledge(stream, device, epoch, seq, answer);
            }
            Bug::TakesAcknowledgementsOfThePast => {
                self.inner.acknowledge(stream, device, state().epoch, seq, answer);
            }
            Bug::MixesDevices => {
                self.inner.acknowledge(stream, one_of_all(device), epoch, seq, answer);
            }
            _ => self.inner.acknowledge(stream, device, epoch, seq, answer),
        }
    }

    fn cursor(
        &self,
        stream: StreamIndex,
        device: Device,
        answer: Answer<Result<Option<Cursor>, Error>>,
    ) {
        let stream = self.stream(stream);
        let last = self.cursors.lock().unwrap().get(&(stream, device.clone())).copied();
        let device = if self.bug == Bug::MixesDevices { one_of_all(device) } else { device };
        let loaded = move |found: Result<Option<Cursor>, Error>| {
            let back = |cursor: Cursor| Cursor { seq: last.unwrap_or(cursor.seq), ..cursor };
            answer(found.map(|cursor| cursor.map(back)));
        };
        self.inner.cursor(stream, device, Box::new(loaded));
    }

    fn cursors(
        &self,
        stream: StreamIndex,
        mut query: CursorQuery,
        answer: Answer<Result<Vec<(Device, Cursor)>, Error>>,
    ) {
        if self.bug == Bug::ListsEveryUser {
            query.user = None;
        }
        self.inner.cursors(self.stream(stream), query, answer);
    }

    fn tail(&self, stream: StreamIndex) -> Option<Arc<Tail>> {
        let stream = self.stream(stream);
        if let Some(tails) = &self.tails {
            return tails.get(stream.get()).cloned();
        }
        let tail = self.inner.tail(stream)?;
        if self.bug != Bug::FreezesTheTail {
            return Some(tail);
        }
        let pull = tail.pull(0, None, 0);
        let head = pull.segments.first().map_or(pull.head, |segment| segment.first() - 1);
        let frozen = Tail::new(stream, pull.epoch, pull.first, head, usize::MAX);
        pull.segments.into_iter().for_each(|segment| frozen.push(segment));
        Some(Arc::new(frozen))
    }

    fn state(&self, stream: StreamIndex) -> Option<StreamState> {
        self.inner.state(self.stream(stream))
    }

    fn maintain(&self) {
        if self.bug != Bug::NeverMaintains {
            self.inner.maintain();
        }
    }
}

fn each(segments: Vec<Segment>, change: fn(Segment) -> Vec<Segment>) -> Vec<Segment> {
    segments.into_iter().flat_map(change).collect()
}

fn events(segment: Segment) -> Vec<Event> {
    let Segment::Batch(batch) = segment else { panic!("a hole") };
    batch.events().to_vec()
}

fn batch(events: Vec<Event>) -> Option<Segment> {
    Batch::new(events).map(|batch| Segment::Batch(Arc::new(batch)))
}

/// Exchanges what stands at the first two seqs.
fn swap_two(segment: Segment) -> Segment {
    let mut events = events(segment);
    if let [one, two, ..] = &mut events[..] {
        std::mem::swap(&mut one.draft, &mut two.draft);
    }
    batch(events).unwrap()
}

/// Leaves out the second event.
fn drop_one(segment: Segment) -> Vec<Segment> {
    let mut events = events(segment);
    let rest = events.split_off(events.len().min(2));
    events.truncate(1);
    [batch(events), batch(rest)].into_iter().flatten().collect()
}

fn drop_last(segment: Segment) -> Vec<Segment> {
    let mut events = events(segment);
    events.pop();
    batch(events).into_iter().collect()
}

/// Every other event is a little earlier than the one before it.
fn turn_back(segment: Segment) -> Vec<Segment> {
    let mut events = events(segment);
    events.iter_mut().for_each(|event| event.time_ms -= event.seq % 2);
    batch(events).into_iter().collect()
}

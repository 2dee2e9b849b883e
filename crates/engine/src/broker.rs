use std::sync::Arc;

use protocol::{Appended, Draft, Durability, Epoch, Error, Event, GapReason, Seq, StreamName};

use crate::cursors::{Cursor, CursorQuery, Device};
use crate::selector::Selector;
use crate::streams::StreamIndex;
use crate::tail::Tail;

/// How a broker answers: it calls this once, from any thread, perhaps before the call that asked
/// returns. It must not block.
pub type Answer<T> = Box<dyn FnOnce(T) + Send>;

/// Where events are appended, ordered and kept.
///
/// Per stream a broker promises one total order, an epoch, every seq accounted for as event or
/// hole, and a new epoch whenever it cannot prove that it continues what it acknowledged or
/// delivered. Streams are named by their place in the table that the broker was made with.
pub trait Broker: Send + Sync {
    /// Appends drafts to a stream, in order, and answers for each of them once it has reached the
    /// stream's durability. Accepted events reach the stream's tail before the answer is given.
    fn append(
        &self,
        stream: StreamIndex,
        drafts: Vec<Draft>,
        answer: Answer<Vec<Result<Appended, Error>>>,
    );

    /// Reads kept events after `after`, up to about `bytes_max` bytes but at least one segment.
    fn read(
        &self,
        stream: StreamIndex,
        after: Seq,
        bytes_max: usize,
        answer: Answer<Result<Page, Error>>,
    );

    /// Like [`Broker::read`], for who wants only what is selected: what cannot be may be left out,
    /// and need not be read. [`Page::scanned_to`] says how far the page goes.
    fn read_selected(
        &self,
        stream: StreamIndex,
        after: Seq,
        selector: Selector,
        bytes_max: usize,
        answer: Answer<Result<Page, Error>>,
    ) {
        drop(selector);
        self.read(stream, after, bytes_max, answer);
    }

    /// Like [`Broker::read`], for who wants only the newest event of each topic and audience: others
    /// may be left out, and need not be read. [`Page::scanned_to`] says how far the page goes.
    fn read_newest(
        &self,
        stream: StreamIndex,
        after: Seq,
        bytes_max: usize,
        answer: Answer<Result<Page, Error>>,
    ) {
        self.read(stream, after, bytes_max, answer);
    }

    /// Finds the place before the first event that a subscription with history wants.
    fn locate(
        &self,
        stream: StreamIndex,
        selector: Selector,
        what: Locate,
        answer: Answer<Result<Located, Error>>,
    );

    /// Stores that a device has everything of a stream up to `seq`, and answers once that is as
    /// durable as the stream, with the device's cursor: within an epoch it only grows.
    ///
    /// An error where the stream has another epoch by now, or no such event yet.
    fn acknowledge(
        &self,
        stream: StreamIndex,
        device: Device,
        epoch: Epoch,
        seq: Seq,
        answer: Answer<Result<Cursor, Error>>,
    );

    /// The cursor of a device, which may be of an earlier epoch; none where the device never
    /// acknowledged, or so long ago that it is forgotten. To ask for it counts as using it.
    fn cursor(
        &self,
        stream: StreamIndex,
        device: Device,
        answer: Answer<Result<Option<Cursor>, Error>>,
    );

    /// Cursors of a stream, in the order of their devices.
    fn cursors(
        &self,
        stream: StreamIndex,
        query: CursorQuery,
        answer: Answer<Result<Vec<(Device, Cursor)>, Error>>,
    );

    /// The stream's tail, which the broker keeps up to date.
    fn tail(&self, stream: StreamIndex) -> Option<Arc<Tail>>;

    /// What the stream holds at this moment.
    fn state(&self, stream: StreamIndex) -> Option<StreamState>;

    /// Lets retention by age take hold, tells the tails what expired, and forgets cursors that
    /// nobody used for long; called about once a second. Must not block: it may take hold later,
    /// though before what is appended afterwards is answered.
    fn maintain(&self);

    /// Makes what was appended as durable as it can be, and takes nothing any more; called once at
    /// the end, and may take its time.
    fn close(&self) {}
}

/// Contiguous events as they were appended or stored together; never empty.
#[derive(Debug)]
pub struct Batch {
    events: Box<[Event]>,
    bytes: usize,
}

impl Batch {
    /// Makes a batch of events with contiguous seqs; `None` where there are none.
    pub fn new(events: Vec<Event>) -> Option<Self> {
        debug_assert!(events.is_sorted_by(|a, b| a.seq + 1 == b.seq));
        if events.is_empty() {
            return None;
        }
        let bytes = events.iter().map(|event| event.draft.bytes()).sum();
        Some(Self { events: events.into(), bytes })
    }

    /// The events in seq order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events after `seq`.
    pub fn after(&self, seq: Seq) -> &[Event] {
        let skip = (seq + 1).saturating_sub(self.first()) as usize;
        self.events.get(skip..).unwrap_or_default()
    }

    /// First seq.
    pub fn first(&self) -> Seq {
        self.events.first().map_or(0, |event| event.seq)
    }

    /// Last seq.
    pub fn last(&self) -> Seq {
        self.events.last().map_or(0, |event| event.seq)
    }

    /// What it counts against bounds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A range of seqs that cannot be read any more, within what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// First seq.
    pub from: Seq,
    /// Last seq.
    pub to: Seq,
    /// Why.
    pub reason: GapReason,
}

/// Contiguous seqs: events, or a hole.
#[derive(Clone, Debug)]
pub enum Segment {
    /// Events.
    Batch(Arc<Batch>),
    /// No events.
    Hole(Hole),
}

impl Segment {
    /// First seq.
    pub fn first(&self) -> Seq {
        match self {
            Self::Batch(batch) => batch.first(),
            Self::Hole(hole) => hole.from,
        }
    }

    /// Last seq.
    pub fn last(&self) -> Seq {
        match self {
            Self::Batch(batch) => batch.last(),
            Self::Hole(hole) => hole.to,
        }
    }

    /// What it counts against bounds.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.bytes(),
            Self::Hole(_) => size_of::<Hole>(),
        }
    }
}

/// What a read brought: contiguous segments from the first kept event after the asked place; where
/// it was asked for what is selected, or newest, with pieces left out.
#[derive(Clone, Debug)]
pub struct Page {
    /// The stream's epoch.
    pub epoch: Epoch,
    /// First kept seq; `last + 1` where nothing is kept.
    pub first: Seq,
    /// In seq order. Empty only where nothing is kept after the asked place, or all was left out.
    pub segments: Vec<Segment>,
    /// Nothing that was asked for stands between the last segment and here, this seq included.
    pub scanned_to: Seq,
}

impl Page {
    /// A page of everything after a place.
    pub fn new(epoch: Epoch, first: Seq, segments: Vec<Segment>) -> Self {
        let scanned_to = segments.last().map_or(0, Segment::last);
        Self { epoch, first, segments, scanned_to }
    }
}

/// What [`Broker::locate`] looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locate {
    /// The last so many matching events.
    Last(u32),
    /// The first event at or after this time, in ms since 1970.
    Since(u64),
}

/// The place before what was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The stream's epoch.
    pub epoch: Epoch,
    /// Reading after this seq brings what was looked for.
    pub after: Seq,
    /// Whether the search ended at its bound first.
    pub truncated: bool,
}

/// What a stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// Its name.
    pub stream: StreamName,
    /// Its epoch.
    pub epoch: Epoch,
    /// First kept seq; `last + 1` where nothing is kept.
    pub first: Seq,
    /// Last seq that was given; 0 where none was.
    pub last: Seq,
    /// Bytes of what is kept, as [`Draft::bytes`] counts them.
    pub bytes: u64,
    /// What an acknowledgement of this stream claims.
    pub durability: Durability,
}

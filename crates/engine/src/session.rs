use std::collections::VecDeque;
use std::sync::Arc;

use protocol::{
    Audience, ClientId, Conversation, Event, Filter, Mode, Pattern, Position, Request, Seq,
    Subscribe, SubscriptionId,
};
use smallvec::SmallVec;

use crate::broker::Located;
use crate::cursors::Cursor;
use crate::grants::Grants;
use crate::index::{Index, SubscriptionKey};
use crate::outbox::Outbox;
use crate::render::Rendering;
use crate::streams::StreamIndex;
use crate::worker::{Expiry, Remembering};

/// Most gaps that are remembered for readers that have not reached them.
const GAPS_MAX: usize = 64;

/// The server's state for a client: where it reads, and one bounded write in flight.
pub(crate) struct Session {
    pub(crate) generation: u32,
    pub(crate) rendering: Rendering,
    /// In the ready queue.
    pub(crate) is_queued: bool,
    /// Its socket takes nothing at the moment.
    pub(crate) is_blocked: bool,
    /// It gets nothing more.
    pub(crate) is_closing: bool,
    /// Some reader may have something to read.
    pub(crate) is_behind: bool,
    /// Sorted by the priority of their streams, highest first. Most clients have one, which costs
    /// no allocation.
    pub(crate) readers: SmallVec<[Reader; 1]>,
    pub(crate) outbox: Option<Box<Outbox>>,
    /// As many are held here as fit where a longer list has its place and size.
    pub(crate) subscriptions: SmallVec<[SubscriptionKey; 4]>,
    pub(crate) subscription_last: u32,
    pub(crate) heartbeat_ms: u32,
    pub(crate) subscriptions_max: u32,
    /// Publishes, acknowledgements and calls that are not answered yet.
    pub(crate) unanswered: u32,
    /// Bytes of those publishes and calls.
    pub(crate) append_bytes: usize,
    pub(crate) client: ClientId,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) conversation: Box<dyn Conversation>,
    pub(crate) counts: SessionCounts,
    /// Set where its token expires.
    pub(crate) expiry: Option<Box<Expiry>>,
    pub(crate) rare: Option<Box<Rare>>,
}

/// What a session did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounts {
    /// Events that were sent.
    pub events_out: u64,
    /// Bytes that were sent.
    pub bytes_out: u64,
    /// Commands that were received.
    pub commands_in: u64,
}

/// A session's place in a stream in one delivery mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reader {
    pub(crate) stream: StreamIndex,
    pub(crate) mode: Mode,
    /// Everything for it up to what its worker has read of the stream is sent; `cursor` is
    /// meaningless then.
    pub(crate) is_live: bool,
    /// The epoch of `cursor` is over: it begins again, after a gap.
    pub(crate) is_reset: bool,
    /// Everything for it up to this seq is sent.
    pub(crate) cursor: Seq,
    /// Not before this time may it read again, in ms of the worker's clock.
    pub(crate) due_ms: u64,
    /// A timer looks at `due_ms` at this time.
    pub(crate) timer_ms: u64,
    /// Where a read that is under way ends: what comes meanwhile waits for the next one, so that
    /// a write that fills up in between does not raise the rate.
    pub(crate) until: Seq,
    /// The last position of the stream that the client was told.
    pub(crate) marked: Seq,
}

/// What few sessions have.
#[derive(Default)]
pub(crate) struct Rare {
    pub(crate) groups: Vec<Arc<str>>,
    /// The device that the client named: its cursors are stored under it.
    pub(crate) device: Option<Arc<str>>,
    /// It may do nothing before it has shown who it is.
    pub(crate) must_authenticate: bool,
    /// Set where the client is remembered when its connection ends.
    pub(crate) remembering: Option<Box<Remembering>>,
    /// Subscriptions that began at a position which their reader has not reached yet.
    pub(crate) beginnings: Vec<Beginning>,
    /// Subscriptions that ended at a position which some reader has not reached yet.
    pub(crate) endings: Vec<Ending>,
    pub(crate) replays: Vec<Replay>,
    /// Gaps that some reader has not reached yet, sorted; neighbours are one.
    pub(crate) gaps: Vec<ToldGap>,
    /// Set where the client chose itself how events look to it.
    pub(crate) look: Option<Look>,
    /// A command that waits for an answer from outside; those behind it wait too.
    pub(crate) subscribing: Option<Subscribing>,
    /// A history that is being read, in the same way: an answer is large, so there is one at a
    /// time.
    pub(crate) reading: Option<Request>,
    /// A command with a token, in the same way: it is found out whose it is.
    pub(crate) authenticating: Option<Request>,
    /// What came behind it in one read of the transport.
    pub(crate) waiting: VecDeque<Request>,
    /// Commands that it handles.
    pub(crate) handles: Vec<Pattern>,
}

/// How events look to a client that chose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// In its dialect's words.
    pub(crate) options: Arc<str>,
    /// How events look to others.
    pub(crate) plain: Rendering,
}

/// A range of a stream's seqs that the client was told it lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ToldGap {
    pub(crate) stream: StreamIndex,
    pub(crate) from: Seq,
    pub(crate) to: Seq,
}

/// A subscription holds for the events of a stream after a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    pub(crate) subscription: SubscriptionKey,
    pub(crate) stream: StreamIndex,
    pub(crate) after: Seq,
}

/// A subscription, or topics of it, that held for the events of a stream up to a position. Until
/// every reader has passed it, it still decides which reader owns an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) topics: Arc<[Pattern]>,
    pub(crate) except: Arc<[Pattern]>,
    pub(crate) filter: Option<Arc<Filter>>,
    pub(crate) mode: Mode,
    pub(crate) stream: StreamIndex,
    pub(crate) after: Seq,
    pub(crate) until: Seq,
}

/// History that a subscription asked for, apart from the live order: what follows `cursor` up to
/// `until`. The readers of the stream wait until it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replay {
    pub(crate) subscription: SubscriptionKey,
    pub(crate) id: SubscriptionId,
    pub(crate) stream: StreamIndex,
    /// Only the newest event of each topic and audience.
    pub(crate) is_latest: bool,
    /// It was asked for from an epoch that is over: a gap comes first.
    pub(crate) is_reset: bool,
    /// It brings what the client's device has not acknowledged: nothing behind it can be before.
    pub(crate) is_stored: bool,
    pub(crate) cursor: Seq,
    pub(crate) until: Seq,
}

/// A hello or a subscribe that is being carried out.
#[derive(Clone, Debug)]
pub(crate) struct Subscribing {
    /// The request itself: a restored session carries it out anew.
    pub(crate) request: Request,
    /// Where a hello resumes.
    pub(crate) resume: Option<Vec<Position>>,
    pub(crate) bodies: Vec<Subscribe>,
    /// Tells late answers to an earlier request from answers to this one.
    pub(crate) attempt: u64,
    /// Places that are to be looked up, each for one of `bodies`; the next one is the last.
    pub(crate) to_locate: Vec<(usize, StreamIndex)>,
    /// Places that were looked up, sorted.
    pub(crate) found: Vec<(usize, StreamIndex, Found)>,
}

/// A place that was looked up.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// Where history begins.
    Located(Located),
    /// How far the device has acknowledged, if it has.
    Stored(Option<Cursor>),
}

impl Rare {
    /// Remembers a gap, joined with those that it touches.
    pub(crate) fn remember_gap(&mut self, mut gap: ToldGap) {
        self.gaps.retain(|told| {
            let touches =
                told.stream == gap.stream && told.from <= gap.to + 1 && gap.from <= told.to + 1;
            if touches {
                (gap.from, gap.to) = (gap.from.min(told.from), gap.to.max(told.to));
            }
            !touches
        });
        // What is forgotten is told again, if anybody still has to pass it.
        if self.gaps.len() >= GAPS_MAX {
            self.gaps.remove(0);
        }
        let behind =
            self.gaps.partition_point(|told| (told.stream, told.from) < (gap.stream, gap.from));
        self.gaps.insert(behind, gap);
    }

    /// Whether a command waits for an answer from outside.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.subscribing.is_some() || self.reading.is_some() || self.authenticating.is_some()
    }
}

impl Session {
    /// Whether a new command has to wait for an earlier one.
    pub(crate) fn must_wait(&self) -> bool {
        let rare = self.rare.as_ref();
        rare.is_some_and(|rare| rare.awaits_answer() || !rare.waiting.is_empty())
    }

    /// Whether an event of this audience is for it.
    pub(crate) fn sees(&self, audience: &Audience) -> bool {
        match audience {
            Audience::Everyone => true,
            Audience::User(user) => self.user.as_ref() == Some(user),
            Audience::Client(client) => self.client == *client,
            Audience::Group(group) => {
                self.rare.as_ref().is_some_and(|rare| rare.groups.contains(group))
            }
        }
    }

    /// The groups that it is a member of.
    pub(crate) fn groups(&self) -> &[Arc<str>] {
        self.rare.as_ref().map(|rare| &*rare.groups).unwrap_or_default()
    }

    /// The rare state, made where there is none.
    pub(crate) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Whether the outbox takes more.
    pub(crate) fn has_room(&self) -> bool {
        !self.is_blocked && self.outbox.as_ref().is_none_or(|outbox| !outbox.is_full())
    }

    /// Which of its readers owns an event: the most generous one among the subscriptions that hold
    /// there and accept it. Every event has one owner, so none comes twice.
    pub(crate) fn owner(
        &self,
        index: &Index,
        stream: StreamIndex,
        stream_mode: Mode,
        event: &Event,
    ) -> Option<Mode> {
        let mut owner: Option<Mode> = None;
        for key in &self.subscriptions {
            let Some(subscription) = index.get(*key) else { continue };
            let mode = subscription.mode.narrowed(stream_mode);
            if owner.is_none_or(|best| mode < best)
                && self.has_begun(*key, stream, event.seq)
                && index.wants(subscription, stream, event)
            {
                owner = Some(mode);
            }
        }
        let best = owner?;
        let endings = self.rare.as_ref().map(|rare| &*rare.endings).unwrap_or_default();
        let held = endings.iter().filter(|ending| ending.holds(stream, event));
        Some(held.map(|ending| ending.mode).fold(best, Mode::min))
    }

    fn has_begun(&self, key: SubscriptionKey, stream: StreamIndex, seq: Seq) -> bool {
        let Some(rare) = &self.rare else { return true };
        let mut beginnings = rare.beginnings.iter();
        beginnings
            .find(|beginning| beginning.subscription == key && beginning.stream == stream)
            .is_none_or(|beginning| seq > beginning.after)
    }

    /// Forgets which gaps of a stream were told, where nobody reads it any more: who subscribes to
    /// it anew is told of them again.
    pub(crate) fn forget_gaps(&mut self, stream: StreamIndex) {
        if let Some(rare) = &mut self.rare
            && !self.readers.iter().any(|reader| reader.stream == stream)
        {
            rare.gaps.retain(|gap| gap.stream != stream);
        }
    }

    /// Stops live readers of a stream at `read`: they go on when its replays are done.
    pub(crate) fn pause(&mut self, stream: StreamIndex, read: Seq) {
        let readers = self.readers.iter_mut().filter(|reader| reader.stream == stream);
        for reader in readers.filter(|reader| reader.is_live) {
            (reader.is_live, reader.cursor) = (false, read);
        }
        self.is_behind = true;
    }

    /// The replay of the stream that is sent next; its readers wait until all are done.
    pub(crate) fn replay(&self, stream: StreamIndex) -> Option<&Replay> {
        let rare = self.rare.as_ref()?;
        rare.replays.iter().find(|replay| replay.stream == stream)
    }
}

impl Reader {
    /// Everything for it up to here is sent; `read` is what its worker has read of the stream.
    pub(crate) fn position(&self, read: Seq) -> Seq {
        if self.is_live { read } else { self.cursor }
    }
}

impl Ending {
    /// Takes in another one that is the same but for where it ends and begins within this one, or
    /// just behind; whether it is such a one.
    pub(crate) fn extend(&mut self, other: &Self) -> bool {
        let is_same = (self.stream, self.mode) == (other.stream, other.mode)
            && (&self.topics, &self.except) == (&other.topics, &other.except)
            && self.filter == other.filter
            && (self.after..=self.until).contains(&other.after);
        if is_same {
            self.until = self.until.max(other.until);
        }
        is_same
    }

    /// How many patterns it holds.
    pub(crate) fn pattern_count(&self) -> usize {
        self.topics.len() + self.except.len()
    }

    fn holds(&self, stream: StreamIndex, event: &Event) -> bool {
        let (seq, topic) = (event.seq, event.topic());
        self.stream == stream
            && seq > self.after
            && seq <= self.until
            && self.topics.iter().any(|pattern| pattern.matches(topic))
            && !self.except.iter().any(|pattern| pattern.matches(topic))
            && self.filter.as_ref().is_none_or(|filter| filter.accepts(&event.draft.payload))
    }
}

impl Replay {
    /// Whether its subscription asks for an event.
    pub(crate) fn wants(&self, index: &Index, event: &Event) -> bool {
        let subscription = index.get(self.subscription);
        subscription.is_some_and(|subscription| index.wants(subscription, self.stream, event))
    }
}

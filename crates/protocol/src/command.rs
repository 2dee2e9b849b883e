use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;
use crate::event::Draft;
use crate::filter::Filter;
use crate::message::SubscriptionId;
use crate::pattern::Pattern;
use crate::position::{Epoch, Position, Seq, StreamName};
use crate::topic::Topic;

/// A command with the id under which its answer is expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Given by the client; the answer carries the same. Without one, only errors are told.
    pub id: Option<i64>,
    /// What is asked for.
    pub command: Command,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Names the device and resumes.
    Hello(Box<Hello>),
    /// Starts a subscription.
    Subscribe(Box<Subscribe>),
    /// Ends a subscription, or takes topics out of subscriptions.
    Unsubscribe(Unsubscribe),
    /// Subscribes to what the client has not subscribed to yet, for dialects in which its
    /// subscriptions are one set. A pattern that it has with the same mode and filter stays as it
    /// is; with others it begins anew, and what was not sent for the old one yet is not sent.
    Include(Box<Subscribe>),
    /// Takes patterns out of that set; what is not in it is no error.
    Exclude(Exclude),
    /// Publishes an event. Audience and publisher are completed by the session.
    Publish(Box<Draft>),
    /// Reads kept events.
    History(Box<History>),
    /// Says that the device has everything up to these positions, one per stream.
    Acknowledge(Vec<Position>),
    /// Asks whether the server answers.
    Ping,
    /// Sends a command to what handles it.
    Call(Box<Call>),
    /// Handles the commands that match these patterns from now on, and no others; with none, no
    /// command at all.
    Handle(Vec<Pattern>),
    /// What a handler has to say about a call that it was given.
    Result {
        /// The call.
        call_id: u64,
        /// JSON text, or why there is none.
        result: Result<Bytes, Error>,
    },
    /// Extends the session with a newer token.
    Refresh {
        /// The token; it must be of the same user.
        token: String,
    },
    /// Asks who subscribes to topics that this pattern selects.
    Presence(Pattern),
}

/// What a client takes out of its subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exclude {
    /// These patterns, where it subscribes to just them; wider ones stay as they are.
    Named(Vec<Pattern>),
    /// All that these patterns select, out of wider ones too.
    Selected(Vec<Pattern>),
    /// Of each pair the first pattern, unless something is subscribed to that the second selects:
    /// what the client has only because of that goes with the last of it.
    Orphaned(Vec<(Pattern, Pattern)>),
    /// Everything.
    All,
}

/// A command as a client sends it to what handles it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub command: Topic,
    /// What it is given: JSON text.
    pub data: Bytes,
    /// How long the client waits, in ms; the command's route may allow less.
    pub timeout_ms: Option<u64>,
}

/// The optional first command of a connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hello {
    /// Says who the user is.
    pub token: Option<String>,
    /// Closes the user's oldest device where there are too many, instead of being refused.
    pub takeover: bool,
    /// Names the user's device.
    pub device: Option<Arc<str>>,
    /// The `session` of an earlier welcome: restores the client's id.
    pub session: Option<String>,
    /// Where to go on, one position per stream.
    pub resume: Vec<Position>,
    /// Subscriptions, taken together; their own `start` is ignored where `resume` is not empty.
    pub subscriptions: Vec<Subscribe>,
}

/// A subscription as it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// Patterns to take; at least one.
    pub topics: Vec<Pattern>,
    /// Patterns to leave out.
    pub except: Vec<Pattern>,
    /// What must hold of the data; applied after a mode has chosen the newest events.
    pub filter: Option<Arc<Filter>>,
    /// Where it starts.
    pub start: Start,
    /// How its events are delivered; a stream may narrow it.
    pub mode: Mode,
}

/// Where a subscription starts in each of its streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With what comes from now on.
    #[default]
    Now,
    /// With the last so many matching events of each stream.
    Last(u32),
    /// With the first event at or after this time, in ms since 1970.
    Since(u64),
    /// After these positions; a stream that is not named starts at its first kept event.
    Positions(Vec<Position>),
    /// Behind what the device acknowledged; where it acknowledged nothing, with the first kept
    /// event.
    Stored,
}

/// The longest time between two reads of a reader: a rate below one an hour is one an hour.
const INTERVAL_MS_MAX: u32 = 3_600_000;

/// How a reader reads its stream. Ordered from generous to narrow: where several subscriptions of
/// a session match an event, the most generous one delivers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mode {
    /// Only the newest event of each topic and audience, instead of every event.
    pub latest: bool,
    /// Least time between two reads, in ms; 0 reads at once.
    pub interval_ms: u32,
    /// Whether what one read brings is sent as one batch.
    pub batch: bool,
}

impl Mode {
    /// Every event at once.
    pub const EVERY: Self = Self { latest: false, interval_ms: 0, batch: false };

    /// Fewest reads per second that can be asked for.
    pub const RATE_MIN: f64 = 0.001;
    /// Most reads per second that can be asked for: what comes faster is [`Mode::EVERY`]'s.
    pub const RATE_MAX: f64 = 1_000.0;

    /// The narrower of both in each respect.
    #[must_use]
    pub fn narrowed(self, other: Self) -> Self {
        Self {
            latest: self.latest || other.latest,
            interval_ms: self.interval_ms.max(other.interval_ms),
            batch: self.batch || other.batch,
        }
    }

    /// Whether so many reads per second can be asked for.
    pub fn is_rate(per_second: f64) -> bool {
        (Self::RATE_MIN..=Self::RATE_MAX).contains(&per_second)
    }

    /// What is wrong with a rate for which [`Mode::is_rate`] does not hold.
    pub fn rate_rule() -> String {
        format!("a number of reads per second from {} to {}", Self::RATE_MIN, Self::RATE_MAX)
    }

    /// The least interval, in ms, that keeps a rate of so many reads per second; at most an hour.
    pub fn interval_of_rate(per_second: f64) -> u32 {
        let ms = (1000.0 / per_second).ceil();
        // Saturates.
        (ms as u32).min(INTERVAL_MS_MAX)
    }
}

/// What to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsubscribe {
    /// These patterns, in whichever subscriptions name them.
    Topics(Vec<Pattern>),
    /// A whole subscription.
    Subscription(SubscriptionId),
}

/// A read of kept events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Which topics.
    pub topic: Pattern,
    /// Which stream; needed where the pattern reaches into several.
    pub stream: Option<StreamName>,
    /// The epoch in which `after` counts.
    pub epoch: Option<Epoch>,
    /// Read after this seq; 0 from the first kept event.
    pub after: Seq,
    /// Most events to answer.
    pub limit: u32,
}

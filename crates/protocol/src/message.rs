use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::close::CloseReason;
use crate::command::{Call, Mode};
use crate::error::Error;
use crate::event::{ClientId, Event};
use crate::filter::Filter;
use crate::pattern::Pattern;
use crate::position::{Durability, Epoch, Gap, Position, Seq, StreamName};

/// What a client is told, besides live events.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The first message of a connection.
    Welcome(Box<Welcome>),
    /// The answer to a request; a success without `id` may go unsaid.
    Reply {
        /// The request's id.
        id: Option<i64>,
        /// How it went.
        result: Result<Answer, Error>,
    },
    /// History that a subscription asked for, apart from the live order.
    Replay {
        /// Whose history.
        subscription: SubscriptionId,
        /// The stream of the events.
        stream: StreamName,
        /// In seq order.
        events: Vec<Event>,
        /// Whether this stream's replay ends here.
        done: bool,
    },
    /// Subscriptions of an earlier connection that the client has again, and where they go on.
    Restored(Vec<Subscribed>),
    /// What will not come.
    Gap(Gap),
    /// Everything up to these positions that the client should get has been sent.
    Mark(Vec<Position>),
    /// An error about something that had no id.
    Error(Error),
    /// A call was given to what handles it; its answer follows.
    Called {
        /// The id of the client's request.
        id: i64,
    },
    /// A handler is given a call.
    Call {
        /// Names the call in its answer.
        call_id: u64,
        /// What is asked for.
        call: Box<Call>,
        /// Who asks.
        user: Option<Arc<str>>,
    },
    /// The token expires.
    Expiring {
        /// When, in ms from now.
        in_ms: u64,
    },
    /// The connection is about to be closed.
    Closing {
        /// Why.
        reason: CloseReason,
        /// When to come back, in ms from now.
        reconnect_after_ms: Option<u64>,
    },
}

/// What a client should know at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The client's id.
    pub client: ClientId,
    /// A signed token with which the client can restore its id.
    pub session: String,
    /// The node's name.
    pub node: Arc<str>,
    /// The authenticated user.
    pub user: Option<Arc<str>>,
    /// How often the server shows that it lives, in ms.
    pub heartbeat_ms: u64,
    /// Largest message that the client may send, in bytes.
    pub message_bytes_max: usize,
    /// Most patterns that the client may subscribe to.
    pub subscriptions_max: usize,
}

/// Names a subscription within its session; spelled `s1`, `s2`, ….
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u32);

impl SubscriptionId {
    /// Reads the spelling of [`fmt::Display`].
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_prefix('s')?.parse().ok().map(Self)
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// A successful answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To a hello.
    Hello {
        /// The client's id from now on.
        client: ClientId,
        /// The authenticated user.
        user: Option<Arc<str>>,
        /// The subscriptions that it started.
        subscriptions: Vec<Subscribed>,
    },
    /// To a subscribe.
    Subscribed(Subscribed),
    /// To an unsubscribe.
    Unsubscribed,
    /// To an include: all that the client subscribes to now.
    Included(Vec<Interest>),
    /// To an exclude.
    Excluded {
        /// Patterns that were asked for and had an effect.
        removed: Vec<Pattern>,
        /// All that the client subscribes to now.
        all: Vec<Interest>,
    },
    /// To a publish.
    Published(Appended),
    /// To a history.
    History {
        /// The stream that was read.
        stream: StreamName,
        /// Its epoch.
        epoch: Epoch,
        /// In seq order.
        events: Vec<Event>,
        /// Everything up to this seq was looked at: reading goes on after it.
        after: Seq,
        /// Whether more matching events may follow.
        more: bool,
    },
    /// To an acknowledgement: how far the device has acknowledged by now.
    Acknowledged(Vec<Position>),
    /// To a ping: the server's time in ms since 1970.
    Pong {
        /// ms since 1970.
        time_ms: u64,
    },
    /// To a call: JSON text.
    Called(Bytes),
    /// To a handle, and to a result that was waited for.
    Handling,
    /// To a refresh.
    Refreshed {
        /// When the new token expires, in ms since 1970.
        expires_at_ms: u64,
    },
    /// To a question for presence.
    Presence {
        /// Users who subscribe, sorted.
        users: Vec<Arc<str>>,
        /// Connections that subscribe, of users or not.
        clients: u64,
    },
}

/// A pattern that a client subscribes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Interest {
    /// The pattern.
    pub topic: Pattern,
    /// What must hold of the data.
    pub filter: Option<Arc<Filter>>,
    /// How its events are delivered.
    pub mode: Mode,
}

/// A subscription as it was started.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribed {
    /// Its name.
    pub subscription: SubscriptionId,
    /// The patterns that it takes.
    pub topics: Vec<Pattern>,
    /// Every matching event after these comes live or is covered by a gap.
    pub positions: Vec<Position>,
    /// Whether the search for the last N ended at its bound before it found N.
    pub truncated: bool,
}

/// Where an event was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The stream.
    pub stream: StreamName,
    /// Its epoch.
    pub epoch: Epoch,
    /// The event's seq.
    pub seq: Seq,
    /// Whether the id was known: the position is the first one's.
    pub duplicate: bool,
    /// What the event has survived so far.
    pub durability: Durability,
}

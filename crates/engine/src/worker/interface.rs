use std::sync::Arc;

use bytes::Bytes;
use protocol::{
    Call, ClientId, CloseReason, Conversation, Draft, Error, History, Pattern, Position, Seq,
    Subscribe, Welcome,
};

use super::Remember;
use crate::broker::Locate;
use crate::cursors::Device;
use crate::grants::Grants;
use crate::render::Rendering;
use crate::selector::{Selector, Viewer};
use crate::session::SessionCounts;
use crate::streams::StreamIndex;

/// The time of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// A clock that only goes forward, in ms.
    pub ms: u64,
    /// The wall clock, in ms since 1970.
    pub wall_ms: u64,
}

/// Names a client of one worker, for ever: places are used again, generations are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey {
    /// Small and used again: fit for the index of a table beside the worker.
    pub place: u32,
    /// Tells the clients of a place apart.
    pub generation: u32,
}

/// Bounds of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What each stream's newest events may hold in a worker, in bytes. The events themselves are
    /// shared with the tail.
    pub recent_bytes_max: usize,
    /// About how large a page is that the worker reads from the broker.
    pub page_bytes: usize,
    /// Publishes, acknowledgements and calls of one client that wait for their answer; beyond it
    /// the client is not read.
    pub unanswered_max: u32,
    /// Bytes of such publishes and calls; what was read before the bound was reached may go beyond
    /// it.
    pub append_bytes_max: usize,
    /// Different filters that one client's subscriptions may have.
    pub filters_max: usize,
    /// Bytes that wait to be written to a client beyond which answers to its calls are dropped: it
    /// gets an error in their place.
    pub answer_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            recent_bytes_max: 4 << 20,
            page_bytes: 256 << 10,
            unanswered_max: 1024,
            append_bytes_max: 4 << 20,
            filters_max: 100,
            answer_bytes_max: 16 << 20,
        }
    }
}

/// A client that comes.
pub struct Connect {
    /// Its id.
    pub client: ClientId,
    /// The authenticated user.
    pub user: Option<Arc<str>>,
    /// Groups that it is a member of from the start.
    pub groups: Vec<Arc<str>>,
    /// The device that it named so far; a hello may name it later.
    pub device: Option<Arc<str>>,
    /// What it may do.
    pub grants: Arc<Grants>,
    /// When its token expires, in ms since 1970.
    pub expires_at_ms: Option<u64>,
    /// It may do nothing before a hello with a token says who it is.
    pub must_authenticate: bool,
    /// How events look to it.
    pub rendering: Rendering,
    /// Its side of the dialect.
    pub conversation: Box<dyn Conversation>,
    /// How often it is told that the server lives, in ms.
    pub heartbeat_ms: u32,
    /// Most patterns that it may subscribe to.
    pub subscriptions_max: u32,
    /// Bytes that it is sent before anything else, as they are.
    pub opening: Vec<u8>,
    /// What it subscribes to without being asked, unless it gets back what it had.
    pub subscriptions: Vec<Subscribe>,
    /// Set where it gets back what it has, should it drop and return.
    pub remember: Option<Remember>,
    /// What it is told first.
    pub welcome: Option<Box<Welcome>>,
}

/// Binds an answer from outside to the request that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Whose request.
    pub client: ClientKey,
    /// The id that the client gave it.
    pub id: Option<i64>,
    /// What it holds of the client's bound on publishes and calls that wait, in bytes.
    pub bytes: usize,
}

/// Binds the answer of [`Request::Locate`] or [`Request::Cursor`] to the subscription that waits
/// for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocateTicket {
    /// Who subscribes.
    pub client: ClientKey,
    /// Tells late answers to an earlier command from answers to this one.
    pub attempt: u64,
    /// Which of the command's subscriptions.
    pub body: usize,
}

/// What a worker wants from the outside.
#[derive(Debug)]
pub enum Request {
    /// Append to a stream; answered by [`crate::Worker::handle_appended`].
    Append {
        /// For the answer.
        ticket: Ticket,
        /// Where.
        stream: StreamIndex,
        /// What.
        draft: Box<Draft>,
    },
    /// Read a page; answered by [`crate::Worker::handle_page`].
    Read {
        /// From which stream.
        stream: StreamIndex,
        /// After which seq.
        after: Seq,
        /// About how much.
        bytes_max: usize,
    },
    /// Read a page of newest events; answered by [`crate::Worker::handle_newest`].
    ReadNewest {
        /// From which stream.
        stream: StreamIndex,
        /// After which seq.
        after: Seq,
        /// About how much.
        bytes_max: usize,
    },
    /// Find where history starts; answered by [`crate::Worker::handle_located`].
    Locate {
        /// For the answer.
        ticket: LocateTicket,
        /// In which stream.
        stream: StreamIndex,
        /// Among which events.
        selector: Box<Selector>,
        /// What.
        what: Locate,
    },
    /// Read kept events for a client; answered by [`crate::Worker::handle_history`].
    History {
        /// For the answer.
        ticket: Ticket,
        /// From which stream.
        stream: StreamIndex,
        /// Who asks.
        viewer: Viewer,
        /// What for.
        history: Box<History>,
    },
    /// Ask every worker who watches something; answered by [`crate::Worker::handle_presence`].
    Presence {
        /// For the answer.
        ticket: Ticket,
        /// What is watched.
        topics: Pattern,
    },
    /// Load the cursor of a device; answered by [`crate::Worker::handle_cursor`].
    Cursor {
        /// For the answer.
        ticket: LocateTicket,
        /// In which stream.
        stream: StreamIndex,
        /// Whose.
        device: Device,
    },
    /// Store how far a device has come, with [`crate::cursors::acknowledge`]; answered by
    /// [`crate::Worker::handle_acknowledged`].
    Acknowledge {
        /// For the answer.
        ticket: Ticket,
        /// Whose cursors.
        device: Device,
        /// How far it has come in which streams.
        positions: Vec<(StreamIndex, Position)>,
    },
    /// Say what is known of what carries a client's messages; answered by
    /// [`crate::Worker::handle_status`].
    Status {
        /// For the answer.
        ticket: Ticket,
    },
    /// Find out whose token it is; answered by [`crate::Worker::handle_authenticated`].
    Authenticate {
        /// For the answer.
        ticket: Ticket,
        /// The token.
        token: String,
        /// The device that the client named so far.
        device: Option<Arc<str>>,
        /// Whether another device of the user may be closed for this one.
        takeover: bool,
        /// Whether the client is known and its session is to be extended.
        is_refresh: bool,
    },
    /// Give a call to what handles it; answered by [`crate::Worker::handle_called`].
    Call {
        /// For the answer.
        ticket: Ticket,
        /// The call.
        call: Box<Call>,
        /// Who calls.
        client: ClientId,
        /// Its user.
        user: Option<Arc<str>>,
    },
    /// Let the client handle commands, in place of those that it handled; answered by
    /// [`crate::Worker::handle_handling`].
    Handle {
        /// For the answer.
        ticket: Ticket,
        /// Which commands; may be none.
        patterns: Vec<Pattern>,
    },
    /// A handler has done what it was called for; answered by [`crate::Worker::handle_resulted`].
    Result {
        /// For the answer.
        ticket: Ticket,
        /// Names the call.
        call_id: u64,
        /// JSON text, or what went wrong.
        result: Result<Bytes, Error>,
    },
    /// Show the client that the server lives, and find out whether it does.
    Heartbeat {
        /// Which client.
        client: ClientKey,
    },
    /// The client's id was restored from an earlier connection.
    Restored {
        /// Which client.
        client: ClientKey,
        /// Its id from now on.
        id: ClientId,
        /// The device that it named.
        device: Option<Arc<str>>,
        /// The id that it had until now.
        before: ClientId,
    },
    /// Close the client as soon as its outbox is written, or a deadline has passed.
    Close {
        /// Which client.
        client: ClientKey,
        /// Why.
        reason: CloseReason,
    },
}

/// Seals a client's id, so that the client can show on a later connection that it had it.
pub trait SessionTokens {
    /// The token for `client`.
    fn seal(&self, client: ClientId) -> String;

    /// The id in a token that this cluster sealed.
    fn open(&self, token: &str) -> Option<ClientId>;

    /// The groups that the client was in on an earlier connection as this user; none where nobody
    /// remembers them.
    fn groups(&self, _client: ClientId, _user: Option<&str>) -> Vec<Arc<str>> {
        Vec::new()
    }
}

/// What an operator sees of a session.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// Patterns that it subscribes to.
    pub topics: Vec<Pattern>,
    /// Groups that it is a member of.
    pub groups: Vec<Arc<str>>,
    /// How far it is behind: events of its streams that were not looked at for it yet.
    pub lag_events: u64,
    /// Bytes of its write in flight.
    pub outbox_bytes: usize,
    /// Where its streams are.
    pub positions: Vec<Position>,
    /// What it did so far.
    pub counts: SessionCounts,
}

/// What a worker did so far, all counted from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events that were put into clients' writes.
    pub deliveries: u64,
    /// Bytes that transports took.
    pub bytes_out: u64,
    /// Bursts of new events.
    pub bursts: u64,
    /// Events in those bursts.
    pub events_read: u64,
    /// Events that were rendered.
    pub renderings: u64,
    /// Commands of clients.
    pub commands: u64,
    /// Gaps that clients were told.
    pub gaps: u64,
    /// Times that a live reader fell behind because its client's write was full.
    pub stalls: u64,
    /// Pages that were asked of the broker.
    pub pages: u64,
    /// Errors that clients were told.
    pub errors: u64,
}

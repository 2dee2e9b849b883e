use std::sync::Arc;

use smallvec::SmallVec;

use crate::command::{Request, Subscribe};
use crate::error::Error;
use crate::event::{ClientId, Event};
use crate::message::Message;
use crate::position::{Gap, StreamName};

/// A message as it came off the wire, without transport framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

/// What kind of frame carries bytes that a dialect wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// How commands and events are spelled. A dialect translates spelling; it decides nothing.
pub trait Dialect: Send + Sync {
    /// Its name in configuration.
    fn name(&self) -> &'static str;

    /// WebSocket subprotocols that select it, the default first; empty where it has none. Dialects
    /// of one name may share an endpoint: the subprotocol chooses among them.
    fn subprotocols(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether its clients can say where they go on. Those of others get back what they had, with
    /// [`Message::Restored`], where the server remembers it.
    fn can_resume(&self) -> bool {
        false
    }

    /// Starts the conversation with one client.
    ///
    /// # Errors
    /// What it asked for with its request cannot be understood; it is refused.
    fn open(&self, opening: &Opening<'_>) -> Result<Opened, Error>;

    /// Appends `event` as every client of the rendering sees it. Pure.
    fn event(&self, stream: &StreamName, event: &Event, out: &mut Vec<u8>) -> FrameKind;

    /// Appends a gap as every client of the rendering sees it, as [`Conversation::encode`] does.
    fn gap(&self, _gap: &Gap, _out: &mut Vec<u8>) -> Option<FrameKind> {
        None
    }

    /// Whether its conversations spell [`crate::Message::Replay`]. Otherwise the events of a replay
    /// look as any others do.
    fn has_replays(&self) -> bool {
        false
    }

    /// The same dialect with events as clients of these options want them, which are in the words
    /// of [`Conversation::look`]; `None` where there is no such look.
    fn variant(&self, _options: &str) -> Option<Arc<dyn Dialect>> {
        None
    }

    /// How several events stand in one frame, or `None` where the dialect knows no batches.
    fn batch(&self) -> Option<Batch>;
}

/// What is known of a client when its conversation begins.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// Its id.
    pub client: ClientId,
    /// The authenticated user.
    pub user: Option<&'a str>,
    /// The parameters of its request, decoded, in order.
    pub query: &'a [(String, String)],
}

impl<'a> Opening<'a> {
    /// The first parameter of that name.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

/// A conversation that has begun.
pub struct Opened {
    /// The client's side of the dialect.
    pub conversation: Box<dyn Conversation>,
    /// What the client subscribes to without being asked, where it does not get back what it had
    /// on an earlier connection.
    pub subscriptions: Vec<Subscribe>,
}

impl Opened {
    /// A conversation that begins with no subscription.
    pub fn new(conversation: impl Conversation + 'static) -> Self {
        Self { conversation: Box::new(conversation), subscriptions: Vec::new() }
    }
}

/// What a client asks for with one message: mostly one thing, nothing where the dialect has
/// messages that mean nothing, several that are carried out in order.
pub type Requests = SmallVec<[Request; 1]>;

/// What makes one frame of several events, each spelled as it is alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The frame; an event of another kind stands in no batch.
    pub kind: FrameKind,
    /// Before the first event.
    pub start: &'static str,
    /// Between two events.
    pub separator: &'static str,
    /// Behind the last event.
    pub end: &'static str,
}

/// The side of a dialect that one client sees.
pub trait Conversation {
    /// Reads what the client sent.
    ///
    /// Requests without an id of their own may be given one here, by which
    /// [`Conversation::encode`] knows what an answer belongs to: every request with an id is
    /// answered once, in an order of the engine's choice.
    ///
    /// # Errors
    /// [`Misspelled`], to be answered; the connection lives on.
    fn decode(&mut self, frame: Frame<'_>) -> Result<Requests, Misspelled>;

    /// Appends `message` as it is spelled at this time, in ms since 1970; `None` where the dialect
    /// leaves it unsaid, and then nothing is appended.
    fn encode(&mut self, now_ms: u64, message: &Message, out: &mut Vec<u8>) -> Option<FrameKind>;

    /// Options by which events look otherwise to this client than to others, where it has some: a
    /// text that is the same whenever they are, for [`Dialect::variant`]. It is asked for after
    /// every answer.
    fn look(&self) -> Option<&Arc<str>> {
        None
    }

    /// Takes up the options that the client had on an earlier connection, beside those that it
    /// has by now.
    fn restore_look(&mut self, _options: &str) {}
}

/// Input that is not a request in its dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misspelled {
    /// The request's id, where it could be read.
    pub id: Option<i64>,
    /// What is wrong.
    pub error: Error,
    /// Whether it was a hello, which the session answers with close code 4400.
    pub was_hello: bool,
}

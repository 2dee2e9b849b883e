use crate::command::Request;
use crate::error::Error;
use crate::event::Event;
use crate::message::Message;
use crate::position::StreamName;

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
    fn subprotocols(&self) -> &'static [&'static str];

    /// Whether its clients can say where they go on. Those of others get back what they had, with
    /// [`Message::Restored`], where the server remembers it.
    fn can_resume(&self) -> bool {
        false
    }

    /// Starts the conversation with one client.
    fn open(&self) -> Box<dyn Conversation>;

    /// Appends `event` as every client of the rendering sees it. Pure.
    fn event(&self, stream: &StreamName, event: &Event, out: &mut Vec<u8>) -> FrameKind;

    /// How several events stand in one frame, or `None` where the dialect knows no batches.
    fn batch(&self) -> Option<Batch>;
}

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
    /// # Errors
    /// [`Misspelled`], to be answered; the connection lives on.
    fn decode(&mut self, frame: Frame<'_>) -> Result<Request, Misspelled>;

    /// Appends `message`; `None` where the dialect leaves it unsaid, and then nothing is appended.
    fn encode(&mut self, message: &Message, out: &mut Vec<u8>) -> Option<FrameKind>;
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

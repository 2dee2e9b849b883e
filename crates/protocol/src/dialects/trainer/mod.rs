//! The dialect of model training: flat events, rooms, and commands that are confirmed at once.
//!
//! A room is one training. What clients call an event of a room is the topic
//! `<root>.<room>.<event>`; `<root>.<event>` is an event of every room.

/// Requests of clients.
mod decode;
/// Messages of the server.
mod encode;
/// Events, flat.
mod event;
/// Rooms and events as topics.
mod names;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;

use self::names::Names;
use super::Settings;
use super::spelling::batch;
use super::spelling::pending::Pending;
use crate::command::Mode;
use crate::dialect::{
    Batch, Conversation, Dialect, Frame, FrameKind, Misspelled, Opened, Opening, Requests,
};
use crate::error::Error;
use crate::event::Event;
use crate::message::Message;
use crate::position::StreamName;

/// The dialect.
#[derive(Clone, Debug)]
pub struct Trainer {
    names: Names,
}

impl Trainer {
    /// The dialect of an endpoint with these settings.
    pub fn new(settings: &Settings) -> Self {
        Self { names: Names::new(settings.root.clone()) }
    }
}

impl Dialect for Trainer {
    fn name(&self) -> &'static str {
        "trainer"
    }

    fn open(&self, opening: &Opening<'_>) -> Result<Opened, Error> {
        let (names, mode) = (self.names.clone(), batch::asked(opening)?);
        Ok(Opened::new(Talk { names, mode, pending: Pending::default() }))
    }

    fn event(&self, _: &StreamName, event: &Event, out: &mut Vec<u8>) -> FrameKind {
        event::push_event(&self.names, event, out);
        FrameKind::Text
    }

    fn batch(&self) -> Option<Batch> {
        Some(batch::JSON_ARRAY)
    }
}

/// One client's conversation.
struct Talk {
    names: Names,
    /// How the client wants what it subscribes to.
    mode: Mode,
    pending: Pending<Asked>,
}

/// What the answer to a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Subscribe(Wanted),
    Unsubscribe(Wanted),
    /// Another request of the same message has the answer.
    Part,
    /// The client's time, as it stood.
    Ping(Bytes),
    /// The bare word.
    Word,
    /// A command came.
    Received(Told),
    /// Its result is to come.
    Command(Told),
    /// It was not understood.
    Wrong(Code),
}

/// Events as a client named them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    events: Vec<String>,
    room: Option<String>,
}

/// A command as a client named it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    command: String,
    room: Option<String>,
}

/// What of a message was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    InvalidJson,
    InvalidMessageType,
    MissingType,
    UnknownMessageType,
    InvalidEvents,
    EmptyEvents,
    MissingCommand,
    ProcessingError,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "INVALID_JSON",
            Self::InvalidMessageType => "INVALID_MESSAGE_TYPE",
            Self::MissingType => "MISSING_TYPE",
            Self::UnknownMessageType => "UNKNOWN_MESSAGE_TYPE",
            Self::InvalidEvents => "INVALID_EVENTS",
            Self::EmptyEvents => "EMPTY_EVENTS",
            Self::MissingCommand => "MISSING_COMMAND",
            Self::ProcessingError => "PROCESSING_ERROR",
        }
    }
}

/// Why a message is no request.
struct Wrong {
    code: Code,
    message: Cow<'static, str>,
}

impl Wrong {
    fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }
}

impl Conversation for Talk {
    fn decode(&mut self, frame: Frame<'_>) -> Result<Requests, Misspelled> {
        self.read(frame).map_err(|Wrong { code, message }| {
            self.pending.refuse(Asked::Wrong(code), Error::bad_request(message))
        })
    }

    fn encode(&mut self, now_ms: u64, message: &Message, out: &mut Vec<u8>) -> Option<FrameKind> {
        self.tell(now_ms, message, out).then_some(FrameKind::Text)
    }
}

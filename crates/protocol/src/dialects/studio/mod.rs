//! The dialect of the writing studio: events of a user's documents, subscribed to by names and
//! beginnings of names, and commands named by the type of a message.

/// Requests of clients.
mod decode;
/// Messages of the server.
mod encode;
/// Events in their envelope.
mod event;
/// Events by their names and by how names begin.
mod names;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;

use self::names::Names;
use super::Settings;
use super::spelling::batch;
use super::spelling::pending::Pending;
use crate::command::{Mode, Start, Subscribe};
use crate::dialect::{
    Batch, Conversation, Dialect, Frame, FrameKind, Misspelled, Opened, Opening, Requests,
};
use crate::error::Error;
use crate::event::Event;
use crate::message::Message;
use crate::position::StreamName;

/// The event that reaches its user without being asked for.
const ERROR: &str = "error";

/// The dialect.
#[derive(Clone, Debug)]
pub struct Studio {
    names: Names,
}

impl Studio {
    /// The dialect of an endpoint with these settings.
    pub fn new(settings: &Settings) -> Self {
        Self { names: Names::new(settings.root.clone()) }
    }
}

impl Dialect for Studio {
    fn name(&self) -> &'static str {
        "studio"
    }

    fn open(&self, opening: &Opening<'_>) -> Result<Opened, Error> {
        let mode = batch::asked(opening)?;
        let topics = vec![self.names.pattern(ERROR)?];
        let (except, filter, start) = (Vec::new(), None, Start::Now);
        let errors = Subscribe { topics, except, filter, start, mode };
        let (names, pending) = (self.names.clone(), Pending::default());
        let talk = Talk { names, mode, lists_errors: false, pending };
        Ok(Opened { subscriptions: vec![errors], ..Opened::new(talk) })
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
    /// Whether the client asked for errors, which it gets anyway: then they are listed.
    lists_errors: bool,
    pending: Pending<Asked>,
}

/// What the answer to a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Subscribe,
    /// Whether errors were listed and are not any more.
    Unsubscribe {
        errors: bool,
    },
    Ping,
    Refresh,
    Command(Told),
    /// It was not understood.
    Wrong(&'static str),
}

/// A command as a client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    command: String,
    /// What the client calls the request, as it stood.
    id: Option<Bytes>,
    /// The document that it is about, as it stood.
    blob_id: Option<Bytes>,
}

/// Why a message is no request: a code of the dialect, and a sentence.
struct Wrong {
    code: &'static str,
    message: Cow<'static, str>,
}

impl Wrong {
    fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }
}

impl Conversation for Talk {
    fn decode(&mut self, frame: Frame<'_>) -> Result<Requests, Misspelled> {
        self.read(frame).map_err(|Wrong { code, message }| {
            self.pending.refuse(Asked::Wrong(code), Error::bad_request(message))
        })
    }

    fn encode(&mut self, _: u64, message: &Message, out: &mut Vec<u8>) -> Option<FrameKind> {
        self.tell(message, out).then_some(FrameKind::Text)
    }
}

//! The dialect of gestures: channels, typed messages, and every message acknowledged.

/// Requests of clients.
mod decode;
/// Messages of the server.
mod encode;
#[cfg(test)]
mod tests;

use super::Settings;
use super::spelling::batch;
use super::spelling::payload::push_value;
use super::spelling::pending::Pending;
use super::spelling::root::Root;
use crate::command::{Mode, Start, Subscribe};
use crate::dialect::{
    Batch, Conversation, Dialect, Frame, FrameKind, Misspelled, Opened, Opening, Requests,
};
use crate::error::Error;
use crate::event::Event;
use crate::json::push_str;
use crate::message::Message;
use crate::position::StreamName;

/// The channel that comes only to those who name it.
const SYSTEM: &str = "system";

/// The dialect.
#[derive(Clone, Debug)]
pub struct Gesture {
    root: Root,
}

impl Gesture {
    /// The dialect of an endpoint with these settings.
    pub fn new(settings: &Settings) -> Self {
        Self { root: Root::new(settings.root.clone()) }
    }
}

impl Dialect for Gesture {
    fn name(&self) -> &'static str {
        "gesture"
    }

    /// At first a client has every channel but one.
    fn open(&self, opening: &Opening<'_>) -> Result<Opened, Error> {
        let (root, mode) = (self.root.clone(), batch::asked(opening)?);
        let (topics, except) = (vec![root.pattern(">")?], vec![root.pattern(SYSTEM)?]);
        let (filter, start) = (None, Start::Now);
        let subscriptions = vec![Subscribe { topics, except, filter, start, mode }];
        let talk = Talk { root, mode, pending: Pending::default() };
        Ok(Opened { conversation: Box::new(talk), subscriptions })
    }

    fn event(&self, _: &StreamName, event: &Event, out: &mut Vec<u8>) -> FrameKind {
        out.extend_from_slice(b"{\"type\":");
        push_str(out, self.root.name_of(event.topic()));
        out.extend_from_slice(b",\"data\":");
        push_value(&event.draft.payload, out);
        out.push(b'}');
        FrameKind::Text
    }

    fn batch(&self) -> Option<Batch> {
        Some(batch::JSON_ARRAY)
    }
}

/// One client's conversation.
struct Talk {
    root: Root,
    /// How the client wants what it subscribes to.
    mode: Mode,
    pending: Pending<Asked>,
}

/// What the answer to a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    /// The channels, as the client named them.
    Subscribe(Vec<String>),
    Unsubscribe(Vec<String>),
    Ping,
    Heartbeat,
    /// Something of another type, which is acknowledged.
    Other(String),
    /// It was not understood.
    Wrong,
}

impl Conversation for Talk {
    fn decode(&mut self, frame: Frame<'_>) -> Result<Requests, Misspelled> {
        self.read(frame).map_err(|error| self.pending.refuse(Asked::Wrong, error))
    }

    fn encode(&mut self, now_ms: u64, message: &Message, out: &mut Vec<u8>) -> Option<FrameKind> {
        self.tell(now_ms, message, out).then_some(FrameKind::Text)
    }
}

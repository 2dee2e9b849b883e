//! The dialect of pool-table vision: an envelope of type, data, timestamp and sequence both ways, a
//! fixed vocabulary of streams, and images among them.

/// Which streams there are, and what topics they are.
mod vocabulary;
/// How a client wants the events of each stream.
mod views;
/// What clients send.
mod decode;
/// What a subscribe asks for.
mod subscribe;
/// What clients are told.
mod encode;
/// Events.
mod event;
/// Bytes, and images among them.
mod binary;
/// The size of a JPEG.
mod jpeg;
#[cfg(test)]
mod tests;

use std::sync::Arc;

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
use crate::topic::Topic;
use decode::Asked;
use views::Views;
use vocabulary::Vocabulary;

/// Its name in configuration.
pub const NAME: &str = "table";

/// The dialect at one endpoint, with events as clients of one look want them.
#[derive(Clone, Debug)]
pub struct Table {
    vocabulary: Arc<Vocabulary>,
    views: Views,
}

impl Table {
    /// With the streams that every endpoint has and those that this one names.
    pub fn new(settings: &Settings) -> Self {
        Self { vocabulary: Arc::new(Vocabulary::new(settings)), views: Views::default() }
    }

    /// The streams, by the names that clients know, with their topics.
    pub fn streams(&self) -> impl Iterator<Item = (&str, &Topic)> {
        self.vocabulary.all()
    }
}

impl Dialect for Table {
    fn name(&self) -> &'static str {
        NAME
    }

    fn open(&self, opening: &Opening<'_>) -> Result<Opened, Error> {
        Ok(Opened::new(Talk {
            vocabulary: self.vocabulary.clone(),
            mode: batch::asked(opening)?,
            pending: Pending::default(),
            views: Views::default(),
            look: None,
        }))
    }

    fn event(&self, _: &StreamName, event: &Event, out: &mut Vec<u8>) -> FrameKind {
        let name = self.vocabulary.name_of(event.topic());
        event::push_event(name, self.views.of(name), event, out)
    }

    fn variant(&self, options: &str) -> Option<Arc<dyn Dialect>> {
        let (vocabulary, views) = (self.vocabulary.clone(), Views::parse(options)?);
        Some(Arc::new(Self { vocabulary, views }))
    }

    fn batch(&self) -> Option<Batch> {
        Some(batch::JSON_ARRAY)
    }
}

/// One client's side of it.
#[derive(Debug)]
struct Talk {
    vocabulary: Arc<Vocabulary>,
    /// How all its subscriptions are delivered, but for what they ask for themselves.
    mode: Mode,
    /// What the answers to come are about.
    pending: Pending<Asked>,
    views: Views,
    /// The same as text.
    look: Option<Arc<str>>,
}

impl Conversation for Talk {
    fn decode(&mut self, frame: Frame<'_>) -> Result<Requests, Misspelled> {
        self.read(frame)
    }

    fn encode(&mut self, now_ms: u64, message: &Message, out: &mut Vec<u8>) -> Option<FrameKind> {
        self.push(now_ms, message, out).then_some(FrameKind::Text)
    }

    fn look(&self) -> Option<&Arc<str>> {
        self.look.as_ref()
    }

    fn restore_look(&mut self, options: &str) {
        self.views.fill_in(Views::parse(options).unwrap_or_default());
        self.look = self.views.text();
    }
}

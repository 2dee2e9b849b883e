//! The dialect of speech recognition: every listener gets everything at once, commands are passed
//! on, and binary frames are audio.

/// Requests of clients.
mod decode;
/// Messages of the server.
mod encode;
/// Audio as clients send it.
mod audio;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use self::audio::Audio;
use super::Settings;
use super::spelling::batch;
use super::spelling::members::push_members;
use super::spelling::payload::push_value;
use super::spelling::pending::Pending;
use super::spelling::root::Root;
use crate::command::{Mode, Start, Subscribe};
use crate::dialect::{
    Batch, Conversation, Dialect, Frame, FrameKind, Misspelled, Opened, Opening, Requests,
};
use crate::dialects::native;
use crate::error::Error;
use crate::event::{Event, Payload};
use crate::filter::Filter;
use crate::json::push_str;
use crate::message::Message;
use crate::pattern::Pattern;
use crate::position::StreamName;

/// How clients say that they want everything.
const EVERYTHING: &str = "*";
/// All that is below the root.
const ALL: &str = ">";
/// What is below the root and comes only to those who name it.
const ALL_AUDIO: &str = "audio.>";

/// The dialect.
#[derive(Clone, Debug)]
pub struct Speech {
    root: Root,
}

impl Speech {
    /// The dialect of an endpoint with these settings.
    pub fn new(settings: &Settings) -> Self {
        Self { root: Root::new(settings.root.clone()) }
    }
}

impl Dialect for Speech {
    fn name(&self) -> &'static str {
        "speech"
    }

    fn open(&self, opening: &Opening<'_>) -> Result<Opened, Error> {
        let names = opening.parameter("events").unwrap_or_default();
        let names: Vec<&str> =
            names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let audio = Audio::new(self.root.topic(&format!("audio.{}", opening.client))?);
        let (root, mode) = (self.root.clone(), batch::asked(opening)?);
        let talk = Talk { root, mode, audio, pending: Pending::default() };
        let subscription = talk.wanted(&names, opening.parameter("session_id"))?;
        Ok(Opened { conversation: Box::new(talk), subscriptions: vec![subscription] })
    }

    /// Data's members beside the event's name; what is no object stands in `data`.
    fn event(&self, _: &StreamName, event: &Event, out: &mut Vec<u8>) -> FrameKind {
        out.extend_from_slice(b"{\"event\":");
        push_str(out, self.root.name_of(event.topic()));
        let payload = &event.draft.payload;
        let is_flat = matches!(payload, Payload::Json(text) if push_members(text, &["event"], out));
        if !is_flat {
            out.extend_from_slice(b",\"data\":");
            push_value(payload, out);
        }
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
    /// How the client wants its events.
    mode: Mode,
    audio: Audio,
    pending: Pending<Asked>,
}

/// What the answer to a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    /// It is told how a command went.
    Command(Told),
    /// A first step of a command: the answer is that of the second, unless this one fails.
    Step(i64),
    /// It was not understood at all; the word says how.
    Wrong(&'static str),
}

/// A command as a client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    command: String,
    /// The client's own id, as it stood.
    id: Option<Bytes>,
}

impl Talk {
    /// A subscription to these names; to everything where there are none.
    fn wanted(&self, names: &[&str], session: Option<&str>) -> Result<Subscribe, Error> {
        let is_everything = names.is_empty() || names.contains(&EVERYTHING);
        let (topics, except) = if is_everything {
            (vec![self.root.pattern(ALL)?], vec![self.root.pattern(ALL_AUDIO)?])
        } else {
            (self.patterns(names)?, Vec::new())
        };
        let filter = session.map(of_session).transpose()?.map(Arc::new);
        Ok(Subscribe { topics, except, filter, start: Start::Now, mode: self.mode })
    }

    fn patterns(&self, names: &[&str]) -> Result<Vec<Pattern>, Error> {
        if names.len() > native::LIST_ITEMS_MAX {
            let message = format!("at most {} events can be named", native::LIST_ITEMS_MAX);
            return Err(Error::bad_request(message));
        }
        names.iter().map(|name| self.root.pattern(name)).collect()
    }
}

/// What belongs to a session, or to none.
fn of_session(session: &str) -> Result<Filter, Error> {
    let mut text = br#"{"any":[{"field":"/session_id","op":"eq","value":"#.to_vec();
    push_str(&mut text, session);
    text.extend_from_slice(br#"},{"not":{"field":"/session_id","op":"exists"}}]}"#);
    native::read_filter(&String::from_utf8_lossy(&text))
}

impl Conversation for Talk {
    fn decode(&mut self, frame: Frame<'_>) -> Result<Requests, Misspelled> {
        match frame {
            Frame::Binary(bytes) => Ok(self.audio.chunk(bytes)),
            Frame::Text(text) => self.read(text),
        }
    }

    fn encode(&mut self, _: u64, message: &Message, out: &mut Vec<u8>) -> Option<FrameKind> {
        self.tell(message, out).then_some(FrameKind::Text)
    }
}

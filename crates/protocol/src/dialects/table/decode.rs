use std::borrow::Cow;

use serde_json::value::RawValue;
use smallvec::smallvec;

use super::Talk;
use super::views::View;
use super::vocabulary::StreamPlace;
use crate::command::{Command, Exclude, Request};
use crate::dialect::{Frame, Misspelled, Requests};
use crate::dialects::native::LIST_ITEMS_MAX;
use crate::dialects::spelling::incoming::{NotStrings, Unreadable, fields, integer, object};
use crate::dialects::spelling::incoming::{string, strings};
use crate::dialects::spelling::object::Object;
use crate::error::Error;
use crate::position::SEQ_MAX;
use crate::topic::quoted;

/// What an answer is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    /// To get these streams, looking so; the others are unknown.
    Subscribe { streams: Vec<StreamPlace>, rejected: Vec<String>, view: View },
    /// Not to get streams any more.
    Unsubscribe { rejected: Vec<String> },
    /// Whether the server answers, and how well the client does.
    Ping,
    /// Whether the server answers.
    Heartbeat,
    /// What is known of the client.
    Status,
    /// To keep how far it has come.
    Acknowledge { stream: StreamPlace, sequence: u64 },
    /// Nothing that can be understood.
    Wrong(Wrong),
}

/// What is wrong with a message, in this dialect's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Json,
    Message,
    Type,
    Subscribe,
    Unsubscribe,
    Acknowledge,
}

impl Wrong {
    /// The word that programs rely on.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Json => "INVALID_JSON",
            Self::Message => "MESSAGE_HANDLER_ERROR",
            Self::Type => "UNKNOWN_MESSAGE_TYPE",
            Self::Subscribe => "INVALID_SUBSCRIBE_FORMAT",
            Self::Unsubscribe => "INVALID_UNSUBSCRIBE_FORMAT",
            Self::Acknowledge => "INVALID_ACK_FORMAT",
        }
    }
}

/// What is wrong, and the same for people.
pub(super) type Problem = (Wrong, String);

/// Streams that a message names.
pub(super) struct Named {
    pub(super) streams: Vec<StreamPlace>,
    /// Names of no stream.
    pub(super) unknown: Vec<String>,
}

impl Talk {
    /// Reads a frame.
    pub(super) fn read(&mut self, frame: Frame<'_>) -> Result<Requests, Misspelled> {
        let read = self.request(frame);
        let (asked, command) = read.map_err(|(wrong, message)| {
            self.pending.refuse(Asked::Wrong(wrong), Error::bad_request(message))
        })?;
        let id = Some(self.pending.keep(asked));
        Ok(smallvec![Request { id, command }])
    }

    fn request(&self, frame: Frame<'_>) -> Result<(Asked, Command), Problem> {
        let Frame::Text(text) = frame else {
            return Err((Wrong::Json, "a message is JSON in a text frame".to_owned()));
        };
        let message = object(text).map_err(|error| {
            let wrong = match error {
                Unreadable::NotJson { .. } => Wrong::Json,
                _ => Wrong::Message,
            };
            (wrong, error.to_string())
        })?;
        let Some(kind) = message.get("type").and_then(string) else {
            return Err((Wrong::Type, "type must be a string".to_owned()));
        };
        let data = message.get("data").filter(|data| data.get() != "null");
        match &*kind {
            "subscribe" => self.subscribe(&body(data, Wrong::Subscribe)?),
            "unsubscribe" => self.unsubscribe(&body(data, Wrong::Unsubscribe)?),
            "ack" => self.acknowledge(&body(data, Wrong::Acknowledge)?),
            "ping" => Ok((Asked::Ping, Command::Status)),
            "heartbeat" => Ok((Asked::Heartbeat, Command::Ping)),
            "get_status" => Ok((Asked::Status, Command::Status)),
            _ => Err((Wrong::Type, unknown_type(&kind))),
        }
    }

    fn unsubscribe(&self, data: &Object<'_>) -> Result<(Asked, Command), Problem> {
        let Named { streams, unknown } = self.named(data, Wrong::Unsubscribe)?;
        let patterns = self.vocabulary.patterns(&streams);
        let asked = Asked::Unsubscribe { rejected: unknown };
        Ok((asked, Command::Exclude(Exclude::Named(patterns))))
    }

    fn acknowledge(&self, data: &Object<'_>) -> Result<(Asked, Command), Problem> {
        let wrong = |message: String| (Wrong::Acknowledge, message);
        let name = data.get("stream").and_then(string);
        let name = name.ok_or_else(|| wrong("data.stream must be a string".to_owned()))?;
        let stream = self.vocabulary.find(&name);
        let stream = stream.ok_or_else(|| wrong(format!("{} is no stream", quoted(&name))))?;
        let sequence = data.get("sequence").and_then(integer).filter(|seq| *seq <= SEQ_MAX);
        let seq = sequence.ok_or_else(|| wrong("data.sequence must be an integer".to_owned()))?;
        let topic = self.vocabulary.topic(stream);
        let topic = topic.ok_or_else(|| wrong("data.stream is no stream".to_owned()))?;
        let asked = Asked::Acknowledge { stream, sequence: seq };
        Ok((asked, Command::AcknowledgeTopic { topic, seq }))
    }

    /// The streams that a subscribe or unsubscribe names, each once.
    pub(super) fn named(&self, data: &Object<'_>, wrong: Wrong) -> Result<Named, Problem> {
        let names = list(data.get("streams"), LIST_ITEMS_MAX).map_err(|why| {
            let what = match why {
                NotStrings::Shape => "a list of names".to_owned(),
                NotStrings::TooMany => format!("a list of at most {LIST_ITEMS_MAX} names"),
            };
            (wrong, format!("data.streams must be {what}; known are {}", self.vocabulary.listed()))
        })?;
        if names.is_empty() {
            return Err((wrong, "data.streams must name at least one stream".to_owned()));
        }
        let (mut streams, mut unknown): (Vec<StreamPlace>, Vec<String>) = Default::default();
        for name in names {
            match self.vocabulary.find(&name) {
                Some(place) if streams.contains(&place) => {}
                Some(place) => streams.push(place),
                None if unknown.iter().any(|known| **known == *name) => {}
                None => unknown.push(name.into_owned()),
            }
        }
        Ok(Named { streams, unknown })
    }
}

/// The data of a message that needs some.
fn body(data: Option<&RawValue>, wrong: Wrong) -> Result<Object<'_>, Problem> {
    data.and_then(fields)
        .ok_or_else(|| (wrong, "data must be an object whose fields stand once".to_owned()))
}

fn list(value: Option<&RawValue>, most: usize) -> Result<Vec<Cow<'_, str>>, NotStrings> {
    strings(value.ok_or(NotStrings::Shape)?, most)
}

fn unknown_type(kind: &str) -> String {
    format!(
        "{} is no type of message; known are subscribe, unsubscribe, ping, heartbeat, get_status \
         and ack",
        quoted(kind)
    )
}

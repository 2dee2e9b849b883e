use std::sync::Arc;

use bytes::Bytes;
use smallvec::smallvec;

use crate::command::{Command, Request};
use crate::dialect::Requests;
use crate::dialects::spelling::incoming;
use crate::dialects::spelling::members::push_members;
use crate::error::Error;
use crate::event::{Draft, Payload};
use crate::json::{push_str, push_u64};
use crate::topic::Topic;

/// What chunks are that nobody has announced.
const UNKNOWN: &str = "application/octet-stream";
/// Longest name of a format, in bytes.
const FORMAT_BYTES_MAX: usize = 100;

/// The audio that one client sends: chunks, in order, on a topic of its own.
#[derive(Clone, Debug)]
pub(super) struct Audio {
    topic: Topic,
    /// What the chunks are.
    content_type: Arc<str>,
    /// As it was announced: a JSON object of strings.
    headers: Option<Bytes>,
}

impl Audio {
    pub(super) fn new(topic: Topic) -> Self {
        Self { topic, content_type: UNKNOWN.into(), headers: None }
    }

    /// A chunk of audio; only that it failed is told.
    pub(super) fn chunk(&self, bytes: &[u8]) -> Requests {
        let bytes = Bytes::copy_from_slice(bytes);
        let payload = Payload::Binary { content_type: self.content_type.clone(), bytes };
        let mut draft = Draft::new(self.topic.clone(), payload);
        draft.headers.clone_from(&self.headers);
        smallvec![Request { id: None, command: Command::Publish(Box::new(draft)) }]
    }

    /// Audio begins: what it is stands in `data`. The event that says so.
    ///
    /// # Errors
    /// `data` says it in a way that cannot be understood.
    pub(super) fn start(&mut self, data: &[u8]) -> Result<Command, Error> {
        let format = Format::read(data)?;
        self.content_type = format.content_type().into();
        self.headers = format.headers();
        Ok(self.announced("audio_start", data))
    }

    /// Audio ends. The event that says so.
    pub(super) fn end(&mut self, data: &[u8]) -> Command {
        self.content_type = UNKNOWN.into();
        self.headers = None;
        self.announced("audio_end", data)
    }

    /// An event among the chunks, in their order.
    fn announced(&self, word: &str, data: &[u8]) -> Command {
        let mut text = b"{\"audio\":".to_vec();
        push_str(&mut text, word);
        if !push_members(data, &["audio"], &mut text) && data != b"null" {
            text.extend_from_slice(b",\"data\":");
            text.extend_from_slice(data);
        }
        text.push(b'}');
        Command::Publish(Box::new(Draft::new(self.topic.clone(), Payload::Json(text.into()))))
    }
}

/// What a client says about its audio.
#[derive(Debug, Default)]
struct Format {
    name: Option<String>,
    rate: Option<u64>,
}

impl Format {
    fn read(data: &[u8]) -> Result<Self, Error> {
        let wrong = |what| Error::bad_request(format!("data.{what}"));
        let text = std::str::from_utf8(data).unwrap_or_default();
        let Ok(data) = incoming::object(text) else { return Ok(Self::default()) };
        let name = data.get("format").map(|raw| {
            let name = incoming::string(raw).filter(|name| is_format(name));
            name.ok_or_else(|| wrong("format must be the name of an audio format"))
        });
        let rate = data.get("rate").map(|raw| {
            let rate = incoming::integer(raw).filter(|rate| *rate > 0);
            rate.ok_or_else(|| wrong("rate must be the number of samples per second"))
        });
        let name = name.transpose()?.map(std::borrow::Cow::into_owned);
        Ok(Self { name, rate: rate.transpose()? })
    }

    /// As a media type: `pcm16` at 16000 is `audio/pcm16;rate=16000`; a whole media type stays.
    fn content_type(&self) -> String {
        let Some(name) = &self.name else { return UNKNOWN.to_owned() };
        let prefix = if name.contains('/') { "" } else { "audio/" };
        let rate = self.rate.map(|rate| format!(";rate={rate}")).unwrap_or_default();
        format!("{prefix}{name}{rate}")
    }

    fn headers(&self) -> Option<Bytes> {
        let mut out = Vec::new();
        if let Some(name) = &self.name {
            out.extend_from_slice(b",\"format\":");
            push_str(&mut out, name);
        }
        if let Some(rate) = self.rate {
            out.extend_from_slice(b",\"rate\":\"");
            push_u64(&mut out, rate);
            out.push(b'"');
        }
        let first = out.first_mut()?;
        *first = b'{';
        out.push(b'}');
        Some(out.into())
    }
}

/// Whether a name can stand in a content type: the characters of tokens, parameters and one slash.
fn is_format(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+/;=, ".contains(c);
    (1..=FORMAT_BYTES_MAX).contains(&name.len())
        && name.chars().all(is_allowed)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.matches('/').count() <= 1
        && name.trim_end() == name
}

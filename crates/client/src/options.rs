use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::dialects::native::read_filter;
use protocol::{Audience, Epoch, Filter, Pattern, Payload, Seq, Start, StreamName, Topic};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::event::Event;

/// How a client behaves.
#[derive(Clone)]
pub struct Options {
    /// Names the user's device.
    pub device: Option<String>,
    /// Whether this client may take the place of the oldest one where a user has too many devices.
    pub takeover: bool,
    /// Sent as bearer token when connecting.
    pub token: Option<String>,
    /// How long a connection attempt may take, up to the answered hello.
    pub connect_timeout: Duration,
    /// How long a request may wait for its answer, reconnections included.
    pub request_timeout: Duration,
    /// Longest wait before the first attempt to reconnect; it doubles with each failure. The
    /// actual wait is drawn anew each time, from nothing up to this (full jitter), so that many
    /// clients do not come back in step.
    pub backoff_min: Duration,
    /// Longest wait before any attempt.
    pub backoff_max: Duration,
    /// Items that wait in each subscription's queue before the client stops reading.
    pub queue_items: usize,
    /// Most requests without an answer; more wait their turn.
    pub in_flight_max: usize,
    /// Largest message that is taken from the server, in bytes.
    pub message_bytes_max: usize,
    /// Whether the server may compress what it sends.
    pub compress: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            device: None,
            takeover: false,
            token: None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            backoff_min: Duration::from_millis(250),
            backoff_max: Duration::from_secs(30),
            queue_items: 1_024,
            in_flight_max: 1_024,
            message_bytes_max: 64 << 20,
            compress: false,
        }
    }
}

impl fmt::Debug for Options {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("device", &self.device).finish_non_exhaustive()
    }
}

/// What to subscribe to, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    pub(crate) topics: Vec<Pattern>,
    pub(crate) except: Vec<Pattern>,
    pub(crate) filter: Option<Arc<Filter>>,
    pub(crate) from: Start,
    pub(crate) latest: bool,
    pub(crate) max_rate: Option<f64>,
    pub(crate) batch_ms: Option<u32>,
}

impl Subscribe {
    /// Every event of these patterns, from now on.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is none, or one breaks a rule of patterns.
    pub fn to<S: AsRef<str>>(topics: &[S]) -> Result<Self, Error> {
        let topics = patterns(topics)?;
        if topics.is_empty() {
            return Err(Error::Invalid("a subscription needs at least one pattern".into()));
        }
        let (except, from) = (Vec::new(), Start::Now);
        let (latest, max_rate, batch_ms) = (false, None, None);
        Ok(Self { topics, except, filter: None, from, latest, max_rate, batch_ms })
    }

    /// Leaves out what these patterns match.
    ///
    /// # Errors
    /// [`Error::Invalid`] where one breaks a rule of patterns.
    pub fn except<S: AsRef<str>>(mut self, except: &[S]) -> Result<Self, Error> {
        self.except = patterns(except)?;
        Ok(self)
    }

    /// Only events of whose data this holds: a filter as JSON, such as
    /// `{"field":"/confidence","op":"ge","value":0.8}`. Bytes pass no filter.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming the place in the filter, where it is none.
    pub fn filter(mut self, filter: &str) -> Result<Self, Error> {
        self.filter = Some(Arc::new(read_filter(filter)?));
        Ok(self)
    }

    /// Starts there instead of now.
    #[must_use]
    pub fn from(mut self, start: Start) -> Self {
        self.from = start;
        self
    }

    /// Only the newest event of each topic.
    #[must_use]
    pub fn latest(mut self) -> Self {
        self.latest = true;
        self
    }

    /// Only the newest event of each topic, read at most so many times per second.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not above 0.
    pub fn max_rate(mut self, per_second: f64) -> Result<Self, Error> {
        if !(per_second.is_finite() && per_second > 0.0) {
            return Err(Error::Invalid(format!("{per_second} is not a rate above 0")));
        }
        self.max_rate = Some(per_second);
        Ok(self)
    }

    /// Gathers events for so long, in ms, and gets them together.
    #[must_use]
    pub fn batch_ms(mut self, ms: u32) -> Self {
        self.batch_ms = Some(ms);
        self
    }

    /// Whether it asked for this event: another subscription of the client may have.
    pub(crate) fn wants(&self, event: &Event) -> bool {
        let matches = |pattern: &Pattern| pattern.matches(&event.topic);
        self.topics.iter().any(matches)
            && !self.except.iter().any(matches)
            && self.filter.as_ref().is_none_or(|filter| filter.accepts(&event.payload))
    }

    /// Whether both read a stream in the same delivery mode.
    pub(crate) fn has_mode_of(&self, other: &Self) -> bool {
        let mode = |of: &Self| (of.latest || of.max_rate.is_some(), of.max_rate, of.batch_ms);
        mode(self) == mode(other)
    }
}

pub(crate) fn patterns<S: AsRef<str>>(texts: &[S]) -> Result<Vec<Pattern>, Error> {
    texts.iter().map(|text| Ok(Pattern::parse(text.as_ref())?)).collect()
}

/// What to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    pub(crate) topic: Topic,
    pub(crate) payload: Payload,
    pub(crate) audience: Audience,
    pub(crate) key: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Publish {
    /// `data`, written as JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the topic breaks a rule or the data have no JSON form.
    pub fn json(topic: &str, data: &impl Serialize) -> Result<Self, Error> {
        let text = serde_json::to_vec(data);
        let text = text.map_err(|error| Error::Invalid(format!("the data: {error}")))?;
        Self::new(topic, Payload::Json(text.into()))
    }

    /// JSON text, which subscribers get byte for byte.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the topic breaks a rule or the text is not JSON.
    pub fn json_text(topic: &str, text: impl Into<Bytes>) -> Result<Self, Error> {
        let text = text.into();
        let value: Result<&RawValue, _> = serde_json::from_slice(&text);
        value.map_err(|error| Error::Invalid(format!("the data are not JSON: {error}")))?;
        Self::new(topic, Payload::Json(text))
    }

    /// Bytes with their media type.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the topic breaks a rule.
    pub fn bytes(topic: &str, content_type: &str, bytes: impl Into<Bytes>) -> Result<Self, Error> {
        let (content_type, bytes) = (content_type.into(), bytes.into());
        Self::new(topic, Payload::Binary { content_type, bytes })
    }

    fn new(topic: &str, payload: Payload) -> Result<Self, Error> {
        let (topic, audience) = (Topic::parse(topic)?, Audience::Everyone);
        Ok(Self { topic, payload, audience, key: None, headers: Vec::new() })
    }

    /// Only these may see it. [`Audience::Client`] is for the admin API.
    #[must_use]
    pub fn audience(mut self, audience: Audience) -> Self {
        self.audience = audience;
        self
    }

    /// The idempotency key, instead of a random one: publishing again with the same key yields
    /// the first position.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Adds a header; a later one of the same name takes the place of an earlier one.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value));
        self
    }

    /// The same with a key, random where none was given.
    pub(crate) fn with_key(mut self) -> Result<Self, Error> {
        if self.key.is_none() {
            let mut bits = [0; 16];
            getrandom::fill(&mut bits).map_err(|error| {
                Error::Invalid(format!("the system has no randomness: {error}"))
            })?;
            self.key = Some(format!("{:032x}", u128::from_be_bytes(bits)));
        }
        Ok(self)
    }
}

/// Which kept events to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    pub(crate) topic: Pattern,
    pub(crate) stream: Option<StreamName>,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) after: Option<Seq>,
    pub(crate) limit: Option<u32>,
}

impl History {
    /// From the first kept event.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the pattern breaks a rule.
    pub fn of(topic: &str) -> Result<Self, Error> {
        let topic = Pattern::parse(topic)?;
        Ok(Self { topic, stream: None, epoch: None, after: None, limit: None })
    }

    /// Of this stream: needed where the pattern reaches into several.
    #[must_use]
    pub fn stream(mut self, stream: StreamName) -> Self {
        self.stream = Some(stream);
        self
    }

    /// Behind this seq, which counts in `epoch`.
    #[must_use]
    pub fn after(mut self, epoch: Option<Epoch>, seq: Seq) -> Self {
        (self.epoch, self.after) = (epoch, Some(seq));
        self
    }

    /// At most so many events.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }
}

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::json::check_depth;
use protocol::{Audience, Draft, Error, ErrorCode, Payload, Topic};
use serde_json::Value;
use serde_json::value::RawValue;

use super::queue::Queue;
use crate::config::Source;
use crate::metrics::OfSources;
use crate::node::Node;
use crate::publishing::{append, check_id, is_json};

/// What the broker does not take at the moment is tried again after this time, and then after
/// twice as long each time.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often it is said in the log that a source loses something of a kind.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What a source read.
#[derive(Default)]
pub(super) struct Message {
    /// The subject, channel or key.
    pub(super) name: String,
    /// What it carries.
    pub(super) data: Bytes,
    /// What `data` is, where that was said.
    pub(super) content_type: Option<String>,
    /// Headers of the event.
    pub(super) headers: BTreeMap<String, String>,
    /// An idempotency id.
    pub(super) id: Option<String>,
}

/// From what a source read to events that the broker has taken. Shared with the thread that reads.
pub(super) struct Intake {
    node: Arc<Node>,
    source: Arc<Source>,
    losses: [Loss; 3],
    queue: Queue,
}

/// Why a message becomes no event.
#[derive(Clone, Copy)]
pub(super) enum Lost {
    WithoutUser,
    Refused,
    Dropped,
}

/// Losses of a kind that were not said yet, and when some were.
#[derive(Default)]
struct Loss(Mutex<(u64, Option<Instant>)>);

impl Lost {
    fn counter(self, metrics: &OfSources) -> &AtomicU64 {
        match self {
            Self::WithoutUser => &metrics.without_user,
            Self::Refused => &metrics.refused,
            Self::Dropped => &metrics.dropped,
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::WithoutUser => "messages of a source go to nobody: they name no user",
            Self::Refused => "messages of a source cannot be events",
            Self::Dropped => "messages of a source are lost: the broker is behind",
        }
    }
}

impl Intake {
    pub(super) fn new(node: Arc<Node>, source: Arc<Source>) -> Self {
        Self { node, source, losses: Default::default(), queue: Queue::default() }
    }

    pub(super) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The prefix of its topics; empty where it has none.
    pub(super) fn root(&self) -> &str {
        self.source.root.as_ref().map_or("", Topic::as_str)
    }

    /// Counts a message that becomes no event, and says so now and then.
    pub(super) fn lose(&self, lost: Lost, name: &str, why: impl Display) {
        lost.counter(&self.node.metrics.sources).fetch_add(1, Ordering::Relaxed);
        let Some(Loss(loss)) = self.losses.get(lost as usize) else { return };
        let (count, said) = &mut *loss.lock();
        *count += 1;
        if said.is_some_and(|said| said.elapsed() < SAY_EVERY) {
            return;
        }
        let kind = self.source.kind.as_str();
        tracing::warn!(kind, count, last = name, %why, "{}", lost.meaning());
        (*count, *said) = (0, Some(Instant::now()));
    }

    /// Makes a message an event; `None`, and counted, where it cannot be one.
    pub(super) fn draft(&self, message: Message) -> Option<Draft> {
        let name = message.name.clone();
        match draft(&self.source, message) {
            Ok(Some(draft)) => Some(draft),
            Ok(None) => {
                self.lose(Lost::WithoutUser, &name, "no user");
                None
            }
            Err(error) => {
                self.lose(Lost::Refused, &name, error);
                None
            }
        }
    }

    /// Puts a message in line for the broker. It is lost, and counted, where too much waits.
    pub(super) fn put(&self, message: Message) {
        let Some(draft) = self.draft(message) else { return };
        let topic = draft.topic.clone();
        if !self.queue.push(draft) {
            self.lose(Lost::Dropped, topic.as_str(), "too much waits for the broker");
        }
    }

    /// As [`Intake::put`], where there is a message.
    pub(super) fn put_some(&self, message: Option<Message>) {
        message.into_iter().for_each(|message| self.put(message));
    }

    /// Publishes what is in line, for ever.
    pub(super) async fn pour(&self) {
        loop {
            let drafts = self.queue.take().await;
            self.publish(drafts).await;
        }
    }

    /// Publishes events, and waits until each was taken or refused for good.
    pub(super) async fn publish(&self, mut left: Vec<Draft>) {
        let mut pause = PAUSE_MIN;
        while !left.is_empty() {
            let answers = append(&self.node, left.clone()).await;
            let answered = left.into_iter().zip(answers);
            left =
                answered.filter_map(|(draft, answer)| self.unless_settled(draft, answer)).collect();
            if !left.is_empty() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }

    fn unless_settled<T>(&self, draft: Draft, answer: Result<T, Error>) -> Option<Draft> {
        match answer {
            Ok(_) => {
                self.node.metrics.sources.events.fetch_add(1, Ordering::Relaxed);
                None
            }
            Err(error) if error.code.is_retryable() => Some(draft),
            Err(error) => {
                self.lose(Lost::Refused, draft.topic.as_str(), error);
                None
            }
        }
    }
}

/// `None` where the source wants a user and the message names none.
fn draft(source: &Source, message: Message) -> Result<Option<Draft>, Error> {
    let Message { name, data, content_type, headers, id } = message;
    let topic = match &source.root {
        Some(root) => Topic::parse(&format!("{root}.{name}"))?,
        None => Topic::parse(&name)?,
    };
    let payload = payload(data, content_type)?;
    let audience = match &source.user {
        None => Audience::Everyone,
        Some(pointer) => match user(&payload, pointer) {
            Some(user) => Audience::User(user.into()),
            None => return Ok(None),
        },
    };
    let mut draft = Draft::new(topic, payload);
    draft.audience = audience;
    // An id that cannot be one only means that a repeated message is an event of its own.
    draft.id = id.filter(|id| check_id(id).is_ok()).map(Into::into);
    if !headers.is_empty() {
        let text = serde_json::to_vec(&headers);
        draft.headers = Some(text.map_err(|error| Error::bad_request(error.to_string()))?.into());
    }
    Ok(Some(draft))
}

/// JSON stays as it is; other text is a JSON string, and anything else is binary. What names a
/// content type other than JSON is binary in any case.
fn payload(data: Bytes, content_type: Option<String>) -> Result<Payload, Error> {
    let of_binary = |content_type: &str| Payload::Binary {
        content_type: content_type.into(),
        bytes: data.clone(),
    };
    if let Some(content_type) = content_type.as_deref().filter(|it| !is_json(it)) {
        return Ok(of_binary(content_type));
    }
    if let Ok(json) = serde_json::from_slice::<&RawValue>(&data) {
        check_depth(&data)?;
        return Ok(Payload::Json(data.slice_ref(json.get().as_bytes())));
    }
    match std::str::from_utf8(&data) {
        Ok(_) if content_type.is_some() => {
            Err(Error::new(ErrorCode::InvalidData, "the data are not JSON, as they are said to be"))
        }
        Ok(text) => Ok(Payload::Json(Value::from(text).to_string().into())),
        Err(_) => Ok(of_binary("application/octet-stream")),
    }
}

/// The user that JSON data name: a text that is not empty, or a whole number.
fn user(payload: &Payload, pointer: &str) -> Option<String> {
    let Payload::Json(text) = payload else { return None };
    let data: Value = serde_json::from_slice(text).ok()?;
    match data.pointer(pointer)? {
        Value::String(user) => Some(user.clone()).filter(|user| !user.is_empty()),
        Value::Number(user) if user.is_i64() || user.is_u64() => Some(user.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_are_json_text_or_bytes() {
        let made = |data: &'static [u8], content_type: Option<&str>| {
            payload(Bytes::from_static(data), content_type.map(str::to_owned))
        };
        let json = |text: &'static str| Payload::Json(Bytes::from_static(text.as_bytes()));
        let bytes = |content_type: &str, bytes: &'static [u8]| Payload::Binary {
            content_type: content_type.into(),
            bytes: Bytes::from_static(bytes),
        };
        assert_eq!(made(b" {\"a\": 1.0}\n", None).unwrap(), json(r#"{"a": 1.0}"#));
        assert_eq!(made(b"hello \"you\"", None).unwrap(), json(r#""hello \"you\"""#));
        assert_eq!(made(b"", None).unwrap(), json(r#""""#));
        let octets = "application/octet-stream";
        assert_eq!(made(b"\xff\xd8", None).unwrap(), bytes(octets, b"\xff\xd8"));
        assert_eq!(made(b"{}", Some("image/png")).unwrap(), bytes("image/png", b"{}"));
        assert_eq!(made(b"{}", Some("application/json; a=b")).unwrap(), json("{}"));
        assert!(made(b"{", Some("application/json")).is_err());
        let deep = [b"[".repeat(40), b"]".repeat(40)].concat();
        assert!(payload(deep.into(), None).is_err());
    }

    #[test]
    fn a_user_is_a_text_or_a_whole_number() {
        for (data, expected) in [
            (r#"{"user_id":"ann"}"#, Some("ann")),
            (r#"{"user_id":42}"#, Some("42")),
            (r#"{"user_id":4.2}"#, None),
            (r#"{"user_id":""}"#, None),
            (r#"{"user_id":null}"#, None),
            (r#"{"user_id":["ann"]}"#, None),
            (r#"{"user":"ann"}"#, None),
            (r#""ann""#, None),
        ] {
            let payload = Payload::Json(Bytes::from_static(data.as_bytes()));
            assert_eq!(user(&payload, "/user_id").as_deref(), expected, "{data}");
        }
    }
}

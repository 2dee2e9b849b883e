use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use protocol::{
    Epoch, FrameKind, Gap, GapReason, Payload, Position, Seq, StreamName, SubscriptionId, Topic,
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::commands::HandlerCall;
use crate::error::{Error, Refusal};
use crate::event::Event;
use crate::handle::Welcome;
use crate::link::Frame;

/// The media type of bytes that came without one (RFC 9110 section 8.3).
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// What the server says.
#[derive(Debug)]
pub(crate) enum ServerMessage {
    /// The first message; with the token that restores the client's id.
    Welcome(Welcome, String),
    /// The answer to a request: JSON text of `ok`, to be read by who knows the request.
    Reply {
        id: i64,
        result: Result<Box<RawValue>, Refusal>,
    },
    Event(Event),
    Replay(Replayed),
    Gap(Gap),
    Mark(Vec<Position>),
    /// An error about something that had no id.
    Error(Refusal),
    Closing(Closing),
    /// The token will expire soon.
    Expiring {
        in_ms: u64,
    },
    /// A command that this client handles.
    Call {
        call_id: u64,
        call: HandlerCall,
    },
    /// News of a later version.
    Unknown,
}

/// A part of a replay.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) subscription: SubscriptionId,
    pub(crate) stream: Option<StreamName>,
    pub(crate) events: Vec<Event>,
    pub(crate) done: bool,
}

/// Why the server is about to close.
#[derive(Clone, Debug)]
pub(crate) struct Closing {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) reconnect_after_ms: Option<u64>,
}

/// The messages of a frame.
#[derive(Debug)]
pub(crate) enum Messages {
    One(ServerMessage),
    Batch(Vec<ServerMessage>),
}

/// Reads a frame.
///
/// # Errors
/// [`Error::Protocol`] where it is none of the protocol.
pub(crate) fn read_frame(frame: &Frame) -> Result<Messages, Error> {
    match frame.kind {
        FrameKind::Binary => {
            let line_end = frame.bytes.iter().position(|byte| *byte == b'\n');
            let line_end =
                line_end.ok_or_else(|| Error::Protocol("no line before bytes".into()))?;
            let line = frame.bytes.get(..line_end).unwrap_or_default();
            let object: WireMessage<'_> = serde_json::from_slice(line).map_err(garbled)?;
            let event =
                object.event.ok_or_else(|| Error::Protocol("bytes without event".into()))?;
            let mut event: WireEvent<'_> = parse(event)?;
            let content_type = event.content_type.take().map(Into::into);
            let content_type = content_type.unwrap_or_else(|| UNKNOWN_TYPE.into());
            let bytes = frame.bytes.slice(line_end + 1..);
            let payload = Payload::Binary { content_type, bytes };
            Ok(Messages::One(ServerMessage::Event(event.with(payload)?)))
        }
        FrameKind::Text if frame.bytes.trim_ascii_start().starts_with(b"[") => {
            let list: Vec<WireMessage<'_>> =
                serde_json::from_slice(&frame.bytes).map_err(garbled)?;
            let messages = list.into_iter().map(WireMessage::read).collect::<Result<_, _>>()?;
            Ok(Messages::Batch(messages))
        }
        FrameKind::Text => {
            let object: WireMessage<'_> = serde_json::from_slice(&frame.bytes).map_err(garbled)?;
            Ok(Messages::One(object.read()?))
        }
    }
}

#[derive(Deserialize)]
struct WireMessage<'a> {
    id: Option<i64>,
    #[serde(borrow)]
    ok: Option<&'a RawValue>,
    error: Option<WireError>,
    welcome: Option<WireWelcome>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    replay: Option<WireReplay<'a>>,
    gap: Option<WireGap>,
    mark: Option<Vec<WirePosition>>,
    closing: Option<WireClosing>,
    expiring: Option<WireExpiring>,
    #[serde(borrow)]
    call: Option<WireCall<'a>>,
}

impl WireMessage<'_> {
    fn read(self) -> Result<ServerMessage, Error> {
        Ok(match self {
            Self { id: Some(id), ok: Some(ok), .. } => {
                ServerMessage::Reply { id, result: Ok(ok.to_owned()) }
            }
            Self { id: Some(id), error: Some(error), .. } => {
                ServerMessage::Reply { id, result: Err(error.into()) }
            }
            Self { event: Some(event), .. } => {
                ServerMessage::Event(parse::<WireEvent<'_>>(event)?.read()?)
            }
            Self { replay: Some(replay), .. } => ServerMessage::Replay(replay.read()?),
            Self { mark: Some(mark), .. } => ServerMessage::Mark(read_positions(&mark)?),
            Self { gap: Some(gap), .. } => ServerMessage::Gap(gap.read()?),
            Self { welcome: Some(welcome), .. } => welcome.read()?,
            Self { error: Some(error), .. } => ServerMessage::Error(error.into()),
            Self { closing: Some(closing), .. } => ServerMessage::Closing(Closing {
                code: closing.code,
                reason: closing.reason,
                reconnect_after_ms: closing.reconnect.map(|reconnect| reconnect.after_ms),
            }),
            Self { expiring: Some(expiring), .. } => {
                ServerMessage::Expiring { in_ms: expiring.in_ms }
            }
            Self { call: Some(call), .. } => call.read()?,
            _ => ServerMessage::Unknown,
        })
    }
}

#[derive(Deserialize)]
struct WireCall<'a> {
    call_id: u64,
    command: String,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    user: Option<String>,
}

impl WireCall<'_> {
    fn read(self) -> Result<ServerMessage, Error> {
        let command = Topic::parse(&self.command).map_err(wrong)?;
        let data = self.data.map_or_else(|| Bytes::from_static(b"null"), copy);
        let call = HandlerCall { command, data, user: self.user.map(Into::into) };
        Ok(ServerMessage::Call { call_id: self.call_id, call })
    }
}

#[derive(Deserialize)]
struct WireWelcome {
    client: String,
    session: String,
    #[serde(default)]
    node: String,
    protocol: u32,
    user: Option<String>,
    heartbeat_ms: u64,
    #[serde(default)]
    limits: WireLimits,
}

#[derive(Default, Deserialize)]
struct WireLimits {
    message_bytes: Option<usize>,
    subscriptions: Option<usize>,
}

impl WireWelcome {
    fn read(self) -> Result<ServerMessage, Error> {
        if self.protocol != 1 {
            return Err(Error::Protocol(format!("its version is {}, not 1", self.protocol)));
        }
        let welcome = Welcome {
            client: self.client.into(),
            node: self.node.into(),
            user: self.user.map(Into::into),
            heartbeat_ms: self.heartbeat_ms,
            message_bytes_max: self.limits.message_bytes,
            subscriptions_max: self.limits.subscriptions,
        };
        Ok(ServerMessage::Welcome(welcome, self.session))
    }
}

#[derive(Deserialize)]
pub(super) struct WireError {
    code: String,
    #[serde(default)]
    message: String,
    retry_after_ms: Option<u64>,
    details: Option<Box<RawValue>>,
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        let WireError { code, message, retry_after_ms, details } = error;
        let details = details.map(|details| details.get().into());
        Self { code, message, retry_after_ms, details, status: None }
    }
}

#[derive(Deserialize)]
pub(super) struct WireEvent<'a> {
    topic: String,
    stream: String,
    seq: Seq,
    time: u64,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    headers: Option<&'a RawValue>,
    /// In the first line of a binary frame.
    content_type: Option<String>,
    /// In lists: data are `{"content_type","base64"}`.
    #[serde(default)]
    binary: bool,
}

/// Reads data that are there: an `Option` by itself takes `null` for nothing.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

impl WireEvent<'_> {
    fn read(self) -> Result<Event, Error> {
        let data = self.data.ok_or_else(|| Error::Protocol("an event without data".into()))?;
        let payload = if self.binary { read_binary(data)? } else { Payload::Json(copy(data)) };
        self.with(payload)
    }

    fn with(self, payload: Payload) -> Result<Event, Error> {
        Ok(Event {
            topic: Topic::parse(&self.topic).map_err(wrong)?,
            stream: stream_name(&self.stream)?,
            epoch: None,
            seq: self.seq,
            time_ms: self.time,
            payload,
            headers: self.headers.map(copy),
        })
    }
}

fn read_binary(data: &RawValue) -> Result<Payload, Error> {
    #[derive(Deserialize)]
    struct WireBytes {
        content_type: String,
        base64: String,
    }
    let wire: WireBytes = parse(data)?;
    let bytes = STANDARD.decode(&wire.base64);
    let bytes = bytes.map_err(|_| Error::Protocol("an event's base64 is wrong".into()))?;
    Ok(Payload::Binary { content_type: wire.content_type.into(), bytes: bytes.into() })
}

pub(super) fn read_events(events: Vec<WireEvent<'_>>) -> Result<Vec<Event>, Error> {
    events.into_iter().map(WireEvent::read).collect()
}

#[derive(Deserialize)]
struct WireReplay<'a> {
    subscription: String,
    stream: Option<String>,
    #[serde(borrow)]
    events: Vec<WireEvent<'a>>,
    #[serde(default)]
    done: bool,
}

impl WireReplay<'_> {
    fn read(self) -> Result<Replayed, Error> {
        let subscription = subscription_id(&self.subscription)?;
        let stream = self.stream.as_deref().map(stream_name).transpose()?;
        let events = read_events(self.events)?;
        let stream = stream.or_else(|| Some(events.first()?.stream.clone()));
        Ok(Replayed { subscription, stream, events, done: self.done })
    }
}

#[derive(Deserialize)]
struct WireGap {
    stream: String,
    epoch: String,
    from: Seq,
    to: Seq,
    reason: String,
}

impl WireGap {
    fn read(self) -> Result<Gap, Error> {
        let reason = match &*self.reason {
            "epoch" => GapReason::Epoch,
            "corruption" => GapReason::Corruption,
            "deleted" => GapReason::Deleted,
            // A later version's reason; what matters is that the range will not come.
            _ => GapReason::Retention,
        };
        let (stream, epoch) = (stream_name(&self.stream)?, epoch(&self.epoch)?);
        Ok(Gap { stream, epoch, from: self.from, to: self.to, reason })
    }
}

#[derive(Deserialize)]
pub(super) struct WirePosition {
    stream: String,
    epoch: String,
    seq: Seq,
}

pub(super) fn read_positions(positions: &[WirePosition]) -> Result<Vec<Position>, Error> {
    let read = |wire: &WirePosition| {
        let (stream, epoch) = (stream_name(&wire.stream)?, epoch(&wire.epoch)?);
        Ok(Position { stream, epoch, seq: wire.seq })
    };
    positions.iter().map(read).collect()
}

#[derive(Deserialize)]
struct WireClosing {
    code: u16,
    #[serde(default)]
    reason: String,
    reconnect: Option<WireReconnect>,
}

#[derive(Deserialize)]
struct WireReconnect {
    after_ms: u64,
}

#[derive(Deserialize)]
struct WireExpiring {
    in_ms: u64,
}

pub(super) fn parse<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Error> {
    serde_json::from_str(raw.get()).map_err(garbled)
}

fn garbled(error: serde_json::Error) -> Error {
    Error::Protocol(error.to_string())
}

fn wrong(error: protocol::Error) -> Error {
    Error::Protocol(error.message)
}

pub(super) fn stream_name(text: &str) -> Result<StreamName, Error> {
    StreamName::parse(text).map_err(wrong)
}

pub(super) fn epoch(text: &str) -> Result<Epoch, Error> {
    Epoch::parse(text).map_err(wrong)
}

pub(super) fn subscription_id(text: &str) -> Result<SubscriptionId, Error> {
    let wrong = || Error::Protocol(format!("{text:?} is no subscription's name"));
    SubscriptionId::parse(text).ok_or_else(wrong)
}

pub(super) fn copy(raw: &RawValue) -> Bytes {
    Bytes::copy_from_slice(raw.get().as_bytes())
}

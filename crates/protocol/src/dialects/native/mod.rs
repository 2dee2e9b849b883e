//! The native protocol, version 1, in JSON and in Protobuf.
//!
//! What clients send is read by the same code for both: each field has a name for JSON and a number
//! for Protobuf. `tidings.proto` describes the latter.
//!
//! In JSON a text frame is one JSON object with one verb; a binary frame is such an object as its first
//! line, a newline, and the bytes of an event. Names are fixed; receivers ignore fields that they
//! do not know. A field that is known must have its type: `null` is not a way to leave it out,
//! for a publisher whose `user` came out as `null` does not mean everyone.

/// Requests of clients.
mod decode;
/// Messages of the server.
mod encode;
/// The outer object of a message: its id and its verb.
mod envelope;
/// Events as JSON objects and as frames.
mod event;
/// Filters.
mod filter;
/// Fields of objects in either encoding, with the path that errors name.
mod fields;
/// What the server sends, in Protobuf.
mod protobuf;
/// The wire format of Protobuf.
mod wire;
#[cfg(test)]
mod tests;

pub use encode::{push_appended, push_error, push_error_object};
pub use event::push_event_object;
pub use fields::{NAME_BYTES_MAX, is_device};
pub use filter::read_filter;

use smallvec::smallvec;

use crate::dialect::{
    Batch, Conversation, Dialect, Frame, FrameKind, Misspelled, Opened, Opening, Requests,
};
use crate::error::Error;
use crate::event::Event;
use crate::message::Message;
use crate::position::{Gap, StreamName};

/// The subprotocol of JSON in text frames.
pub const SUBPROTOCOL_JSON: &str = "tidings.v1.json";
/// The subprotocol of Protobuf in binary frames.
pub const SUBPROTOCOL_PROTOBUF: &str = "tidings.v1.proto";

/// Most patterns, positions or subscriptions in one list of a message. It keeps a hostile message
/// from costing more than its size; what a client may subscribe to is the session's limit.
pub const LIST_ITEMS_MAX: usize = 1_000;
/// Most events that a subscription can ask for with `last`.
pub const LAST_EVENTS_MAX: u32 = 100_000;
/// Most events that one `history` can ask for.
pub const HISTORY_EVENTS_MAX: u32 = 10_000;
/// How many events a `history` without `limit` asks for.
pub const HISTORY_EVENTS_DEFAULT: u32 = 100;
/// Longest `batch_ms`.
pub const BATCH_MS_MAX: u32 = 60_000;
/// Longest `timeout_ms` of a call, and `retry_after_ms` of a handler's error.
pub const TIMEOUT_MS_MAX: u64 = 3_600_000;
/// Longest message of a handler's error, in bytes.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 4_096;

/// Tidings' own protocol, version 1, in JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

impl Dialect for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn subprotocols(&self) -> &'static [&'static str] {
        &[SUBPROTOCOL_JSON]
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, _: &Opening<'_>) -> Result<Opened, Error> {
        Ok(Opened::new(*self))
    }

    fn event(&self, stream: &StreamName, event: &Event, out: &mut Vec<u8>) -> FrameKind {
        event::push_event_frame(stream, event, out)
    }

    fn gap(&self, gap: &Gap, out: &mut Vec<u8>) -> Option<FrameKind> {
        encode::encode(&Message::Gap(gap.clone()), out)
    }

    fn has_replays(&self) -> bool {
        true
    }

    fn batch(&self) -> Option<Batch> {
        Some(Batch { kind: FrameKind::Text, start: "[", separator: ",", end: "]" })
    }
}

/// The protocol keeps nothing between messages, so the dialect is its own conversation.
impl Conversation for Native {
    fn decode(&mut self, frame: Frame<'_>) -> Result<Requests, Misspelled> {
        Ok(smallvec![decode::json(frame)?])
    }

    fn encode(&mut self, _: u64, message: &Message, out: &mut Vec<u8>) -> Option<FrameKind> {
        encode::encode(message, out)
    }
}

/// The same protocol in Protobuf: another dialect of the same name, chosen by its subprotocol.
#[derive(Clone, Copy, Debug, Default)]
pub struct NativeProtobuf;

impl Dialect for NativeProtobuf {
    fn name(&self) -> &'static str {
        Native.name()
    }

    fn subprotocols(&self) -> &'static [&'static str] {
        &[SUBPROTOCOL_PROTOBUF]
    }

    fn can_resume(&self) -> bool {
        Native.can_resume()
    }

    fn open(&self, _: &Opening<'_>) -> Result<Opened, Error> {
        Ok(Opened::new(*self))
    }

    fn event(&self, stream: &StreamName, event: &Event, out: &mut Vec<u8>) -> FrameKind {
        protobuf::push_event_frame(stream, event, out)
    }

    fn gap(&self, gap: &Gap, out: &mut Vec<u8>) -> Option<FrameKind> {
        protobuf::encode(&Message::Gap(gap.clone()), out)
    }

    fn has_replays(&self) -> bool {
        Native.has_replays()
    }

    /// Joined messages are one message with the lists of both (the wire format's rule of merging),
    /// and events are a list.
    fn batch(&self) -> Option<Batch> {
        Some(Batch { kind: FrameKind::Binary, start: "", separator: "", end: "" })
    }
}

impl Conversation for NativeProtobuf {
    fn decode(&mut self, frame: Frame<'_>) -> Result<Requests, Misspelled> {
        Ok(smallvec![decode::protobuf(frame)?])
    }

    fn encode(&mut self, _: u64, message: &Message, out: &mut Vec<u8>) -> Option<FrameKind> {
        protobuf::encode(message, out)
    }
}

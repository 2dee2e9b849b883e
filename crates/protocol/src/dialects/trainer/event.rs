use super::names::Names;
use crate::dialects::spelling::members::{Members, push_members};
use crate::dialects::spelling::payload::push_value;
use crate::dialects::spelling::time::push_iso;
use crate::event::{Event, Payload};
use crate::json::push_str;

const TIMESTAMP: &str = "timestamp";

/// Appends an event: its data's members beside type, time and room. Data with a time of their own
/// keep it; what is no object stands in `data`.
pub(super) fn push_event(names: &Names, event: &Event, out: &mut Vec<u8>) {
    let (room, name) = names.split(event.topic());
    let text: &[u8] = match &event.draft.payload {
        Payload::Json(text) => text,
        Payload::Binary { .. } => b"",
    };
    let has_time = Members::of(text).is_some_and(|members| members.value(TIMESTAMP).is_some());
    out.extend_from_slice(b"{\"type\":");
    push_str(out, name);
    if !has_time {
        out.extend_from_slice(b",\"timestamp\":");
        push_iso(event.time_ms, out);
    }
    let mut taken: &[&str] = &["type"];
    if let Some(room) = room {
        out.extend_from_slice(b",\"room\":");
        push_str(out, room);
        taken = &["type", "room"];
    }
    if !push_members(text, taken, out) {
        out.extend_from_slice(b",\"data\":");
        push_value(&event.draft.payload, out);
    }
    out.push(b'}');
}

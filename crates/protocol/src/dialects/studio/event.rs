use super::names::Names;
use crate::dialects::spelling::payload::push_value;
use crate::event::Event;
use crate::json::{push_str, push_u64};

/// Appends an event in its envelope; times are in seconds since 1970.
pub(super) fn push_event(names: &Names, event: &Event, out: &mut Vec<u8>) {
    let name = names.event(event.topic());
    out.extend_from_slice(b"{\"type\":");
    push_str(out, name);
    out.extend_from_slice(b",\"event_type\":");
    push_str(out, name);
    out.extend_from_slice(b",\"data\":");
    push_value(&event.draft.payload, out);
    out.extend_from_slice(b",\"timestamp\":");
    push_u64(out, event.time_ms / 1_000);
    out.push(b'}');
}

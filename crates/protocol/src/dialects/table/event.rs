use super::binary::push_bytes;
use super::views::View;
use crate::dialect::FrameKind;
use crate::dialects::spelling::members::Members;
use crate::dialects::spelling::time::push_iso;
use crate::event::{Event, Payload};
use crate::json::{push_str, push_u64};

/// Appends an event as a text frame or, where its data are bytes and are wanted as such, as a
/// binary frame: the envelope as its first line, a newline, and the bytes.
pub(super) fn push_event(
    name: &str,
    view: Option<&View>,
    event: &Event,
    out: &mut Vec<u8>,
) -> FrameKind {
    out.extend_from_slice(b"{\"type\":");
    push_str(out, name);
    out.extend_from_slice(b",\"data\":");
    let bytes = match &event.draft.payload {
        Payload::Json(text) => {
            push_data(text, view, event.seq, out);
            None
        }
        Payload::Binary { content_type, bytes } => {
            push_bytes(event, content_type, bytes, view, out);
            view.is_some_and(|view| view.binary).then_some(bytes)
        }
    };
    out.extend_from_slice(b",\"timestamp\":");
    push_iso(event.time_ms, out);
    out.extend_from_slice(b",\"sequence\":");
    push_u64(out, event.seq);
    out.push(b'}');
    let Some(bytes) = bytes else { return FrameKind::Text };
    out.push(b'\n');
    out.extend_from_slice(bytes);
    FrameKind::Binary
}

/// Appends data as they were published, with their seq where they are an object without one; of an
/// object only the members that are wanted.
fn push_data(text: &[u8], view: Option<&View>, seq: u64, out: &mut Vec<u8>) {
    let Some(members) = Members::of(text) else { return out.extend_from_slice(text) };
    let has_sequence = members.value("sequence").is_some();
    match view.filter(|view| !view.fields.is_empty()) {
        Some(view) => {
            out.push(b'{');
            let mut separator: &[u8] = b"";
            for member in members {
                if view.wants(|field| member.is(field)) || member.is("sequence") {
                    out.extend_from_slice(separator);
                    out.extend_from_slice(member.text);
                    separator = b",";
                }
            }
        }
        None if has_sequence => return out.extend_from_slice(text),
        None => {
            let text = text.trim_ascii();
            out.extend_from_slice(text.strip_suffix(b"}").unwrap_or(text).trim_ascii_end());
        }
    }
    if !has_sequence {
        if out.last() != Some(&b'{') {
            out.push(b',');
        }
        out.extend_from_slice(b"\"sequence\":");
        push_u64(out, seq);
    }
    out.push(b'}');
}

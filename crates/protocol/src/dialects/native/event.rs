use crate::dialect::FrameKind;
use crate::dialects::spelling::payload::push_value;
use crate::event::{Audience, Event, Payload};
use crate::json::{push_list, push_str, push_u64};
use crate::position::StreamName;

/// Appends a live event as a frame: a text frame with the event's object or, where its data are
/// bytes, a binary frame with the object as its first line.
pub(super) fn push_event_frame(stream: &StreamName, event: &Event, out: &mut Vec<u8>) -> FrameKind {
    out.extend_from_slice(b"{\"event\":");
    push_place(stream, event, out);
    match &event.draft.payload {
        Payload::Json(text) => {
            push_json_data(text, out);
            push_headers(event, out);
            out.extend_from_slice(b"}}");
            FrameKind::Text
        }
        Payload::Binary { content_type, bytes } => {
            push_headers(event, out);
            out.extend_from_slice(b",\"content_type\":");
            push_str(out, content_type);
            out.extend_from_slice(b"}}\n");
            out.extend_from_slice(bytes);
            FrameKind::Binary
        }
    }
}

/// Appends an event as one JSON object, as lists, SSE and HTTP spell it: data that are bytes
/// become `{"content_type","base64"}`, with `"binary":true` beside them, since JSON data may look
/// the same. `with_audience` adds who may see it, which only the admin
/// side may know.
///
/// JSON data stand as they were published and may contain newlines.
pub fn push_event_object(
    stream: &StreamName,
    event: &Event,
    with_audience: bool,
    out: &mut Vec<u8>,
) {
    push_place(stream, event, out);
    match &event.draft.payload {
        Payload::Json(text) => push_json_data(text, out),
        payload @ Payload::Binary { .. } => {
            out.extend_from_slice(b",\"data\":");
            push_value(payload, out);
            out.extend_from_slice(b",\"binary\":true");
        }
    }
    push_headers(event, out);
    if with_audience {
        push_audience(&event.draft.audience, out);
    }
    out.push(b'}');
}

/// Appends the events of `stream` as a list of objects.
pub(super) fn push_event_list(stream: &StreamName, events: &[Event], out: &mut Vec<u8>) {
    push_list(events, out, |event, out| push_event_object(stream, event, false, out));
}

/// Opens the object and says what the event is about and where it stands.
fn push_place(stream: &StreamName, event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"topic\":");
    push_str(out, event.topic().as_str());
    out.extend_from_slice(b",\"stream\":\"");
    // A stream's name has nothing to escape.
    out.extend_from_slice(stream.as_str().as_bytes());
    out.extend_from_slice(b"\",\"seq\":");
    push_u64(out, event.seq);
    out.extend_from_slice(b",\"time\":");
    push_u64(out, event.time_ms);
}

fn push_json_data(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(text);
}

/// Appends the headers, on one line: they may have been published with line breaks between their
/// tokens (within strings JSON has none), and a line break would end a binary frame's first line.
fn push_headers(event: &Event, out: &mut Vec<u8>) {
    let Some(headers) = &event.draft.headers else { return };
    out.extend_from_slice(b",\"headers\":");
    for part in headers.split(|byte| matches!(byte, b'\n' | b'\r')) {
        out.extend_from_slice(part);
    }
}

fn push_audience(audience: &Audience, out: &mut Vec<u8>) {
    match audience {
        Audience::Everyone => {}
        Audience::User(user) => {
            out.extend_from_slice(b",\"user\":");
            push_str(out, user);
        }
        Audience::Group(group) => {
            out.extend_from_slice(b",\"group\":");
            push_str(out, group);
        }
        Audience::Client(client) => {
            out.extend_from_slice(b",\"client\":");
            push_str(out, &client.to_string());
        }
    }
}

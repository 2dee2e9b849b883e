use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use engine::{Renderer, Rendering, Stream};
use protocol::dialects::native;
use protocol::{
    Answer, Batch, Conversation, Dialect, Event, FrameKind, Gap, Message, Position, StreamName,
};
use websocket::{Deflater, Encoder, Frame, Opcode};

use crate::transports::mjpeg;
use crate::variants::{Variants, Wanted};

/// What a frame's envelope takes besides topic and data; only a hint for the header's room.
const ENVELOPE_BYTES: usize = 120;
/// When an `EventSource` asks again for what was refused, in ms: its own 3 s or so would be a
/// nuisance where nothing changes.
const REFUSED_RETRY_MS: u64 = 30_000;

/// How an event of some endpoint looks: its dialect, in the frames of a transport.
#[derive(Clone)]
pub(crate) struct Look {
    /// How it is spelled.
    pub(crate) dialect: Arc<dyn Dialect>,
    /// What carries it.
    pub(crate) framing: Framing,
}

impl Look {
    /// How several events stand in one frame: in the body of an answer each stands alone.
    fn batch(&self) -> Option<Batch> {
        match self.framing {
            Framing::ServerSentEvents | Framing::Mjpeg => None,
            Framing::WebSocket | Framing::Deflated(_) => self.dialect.batch(),
        }
    }
}

/// The frames of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// RFC 6455.
    WebSocket,
    /// RFC 6455, for clients that agreed on permessage-deflate (RFC 7692).
    Deflated(Compression),
    /// Server-sent events, as the HTML standard has them.
    ServerSentEvents,
    /// Images alone, each a part of a `multipart/x-mixed-replace`.
    Mjpeg,
}

/// When and how strongly frames are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compression {
    /// Payloads from this size on.
    pub(crate) bytes_min: usize,
    /// From 1, fast, to 9, small.
    pub(crate) level: u8,
}

/// Makes bytes of events, by the looks of this node; a [`Rendering`] is a place among them.
pub(crate) struct Looks {
    /// Those of the node, and behind them those that clients of this worker chose.
    looks: Vec<Look>,
    variants: Variants,
    /// Streams whose events are never compressed.
    plain: HashSet<StreamName>,
    scratch: Vec<u8>,
    /// One for each level that is in use: a compressor is large, and made when it is needed.
    deflaters: BTreeMap<u8, Deflater>,
}

impl Looks {
    /// Renders by these looks; events of `plain` streams are never compressed.
    pub(crate) fn new(looks: &[Look], plain: HashSet<StreamName>) -> Self {
        let (looks, variants, scratch) = (looks.to_vec(), Variants::default(), Vec::new());
        Self { looks, variants, plain, scratch, deflaters: BTreeMap::new() }
    }

    fn look(&self, rendering: Rendering) -> Option<&Look> {
        self.looks.get(usize::from(rendering.0))
    }

    fn push_event(
        &mut self,
        rendering: Rendering,
        stream: &StreamName,
        event: &Event,
        out: &mut Vec<u8>,
    ) {
        let Some(look) = self.looks.get(usize::from(rendering.0)) else { return };
        match look.framing {
            Framing::WebSocket => {
                let hint = event.draft.payload.len() + event.topic().as_str().len();
                let open = Encoder::server().begin(out, hint + ENVELOPE_BYTES);
                let kind = look.dialect.event(stream, event, out);
                open.finish(out, Frame::whole(opcode(kind)));
            }
            Framing::Deflated(compression) => {
                self.scratch.clear();
                let kind = look.dialect.event(stream, event, &mut self.scratch);
                self.push_deflated(compression, Some(stream), kind, out);
            }
            Framing::ServerSentEvents => {
                self.scratch.clear();
                native::push_event_object(stream, event, false, &mut self.scratch);
                push_data(&self.scratch, out);
            }
            Framing::Mjpeg => mjpeg::push_image(event, out),
        }
    }

    /// Appends what was spelled into the scratch buffer as one frame, compressed where that pays.
    fn push_deflated(
        &mut self,
        compression: Compression,
        stream: Option<&StreamName>,
        kind: FrameKind,
        out: &mut Vec<u8>,
    ) {
        let payload = std::mem::take(&mut self.scratch);
        let is_plain = stream.is_some_and(|stream| self.plain.contains(stream));
        if is_plain || payload.len() < compression.bytes_min {
            Encoder::server().frame(out, Frame::whole(opcode(kind)), &payload);
        } else {
            let deflater = self.deflater(compression.level);
            deflater.message(Encoder::server(), out, opcode(kind), &payload);
        }
        self.scratch = payload;
    }

    fn deflater(&mut self, level: u8) -> &mut Deflater {
        self.deflaters.entry(level).or_insert_with(|| Deflater::new(level))
    }
}

impl Renderer for Looks {
    fn event(
        &mut self,
        rendering: Rendering,
        stream: &Stream<'_>,
        event: &Event,
        out: &mut Vec<u8>,
    ) {
        self.push_event(rendering, stream.name, event, out);
    }

    fn gap(&mut self, rendering: Rendering, gap: &Gap, out: &mut Vec<u8>) {
        let Some(look) = self.looks.get(usize::from(rendering.0)) else { return };
        match look.framing {
            Framing::WebSocket | Framing::Deflated(_) => {
                let open = Encoder::server().begin(out, ENVELOPE_BYTES);
                match look.dialect.gap(gap, out) {
                    Some(kind) => drop(open.finish(out, Frame::whole(opcode(kind)))),
                    None => open.cancel(out),
                }
            }
            Framing::ServerSentEvents => {
                self.scratch.clear();
                if look.dialect.gap(gap, &mut self.scratch).is_some() {
                    push_message(&Message::Gap(gap.clone()), &self.scratch, out);
                }
            }
            Framing::Mjpeg => {}
        }
    }

    fn batch_item(
        &mut self,
        rendering: Rendering,
        stream: &Stream<'_>,
        event: &Event,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(look) = self.looks.get(usize::from(rendering.0)) else { return true };
        if let Some(batch) = look.batch() {
            let start = out.len();
            if start > 0 {
                out.extend_from_slice(batch.separator.as_bytes());
            }
            if look.dialect.event(stream.name, event, out) == batch.kind {
                return true;
            }
            out.truncate(start);
        }
        self.event(rendering, stream, event, out);
        false
    }

    fn batch(
        &mut self,
        rendering: Rendering,
        stream: &Stream<'_>,
        items: &[u8],
        out: &mut Vec<u8>,
    ) {
        let Some((look, batch)) = self.look(rendering).and_then(|look| Some((look, look.batch()?)))
        else {
            return;
        };
        let parts = [batch.start.as_bytes(), items, batch.end.as_bytes()];
        if let Framing::Deflated(compression) = look.framing {
            self.scratch.clear();
            parts.iter().for_each(|part| self.scratch.extend_from_slice(part));
            return self.push_deflated(compression, Some(stream.name), batch.kind, out);
        }
        // The length is known, so the header can be written before the payload.
        let bytes = parts.iter().map(|part| part.len()).sum();
        Encoder::server().header(out, Frame::whole(opcode(batch.kind)), bytes);
        parts.iter().for_each(|part| out.extend_from_slice(part));
    }

    fn message(
        &mut self,
        rendering: Rendering,
        conversation: &mut dyn Conversation,
        now_ms: u64,
        message: &Message,
        out: &mut Vec<u8>,
    ) {
        let Some(look) = self.looks.get(usize::from(rendering.0)) else { return };
        if let Message::Replay { stream, events, .. } = message
            && !look.dialect.has_replays()
        {
            return events.iter().for_each(|event| self.push_event(rendering, stream, event, out));
        }
        match look.framing {
            Framing::WebSocket => {
                let open = Encoder::server().begin(out, ENVELOPE_BYTES);
                match conversation.encode(now_ms, message, out) {
                    Some(kind) => drop(open.finish(out, Frame::whole(opcode(kind)))),
                    None => open.cancel(out),
                }
            }
            Framing::Deflated(compression) => {
                self.scratch.clear();
                if let Some(kind) = conversation.encode(now_ms, message, &mut self.scratch) {
                    self.push_deflated(compression, events_of(message), kind, out);
                }
            }
            Framing::ServerSentEvents => {
                self.scratch.clear();
                if conversation.encode(now_ms, message, &mut self.scratch).is_some() {
                    push_message(message, &self.scratch, out);
                }
            }
            // There is no room for words between images.
            Framing::Mjpeg => {}
        }
    }

    fn names_positions(&self, rendering: Rendering) -> bool {
        self.look(rendering).is_some_and(|look| look.framing == Framing::ServerSentEvents)
    }

    fn positions(&mut self, _rendering: Rendering, positions: &[Position], out: &mut Vec<u8>) {
        push_id(positions, out);
    }

    fn vary(&mut self, rendering: Rendering, options: &str) -> Option<Rendering> {
        let free = match self.variants.want(rendering, options) {
            Wanted::Known(known) => return Some(known),
            Wanted::New(free) => free,
            Wanted::TooMany => return None,
        };
        let plain = self.look(rendering)?;
        let look = Look { dialect: plain.dialect.variant(options)?, framing: plain.framing };
        let new = match free {
            Some(free) => {
                *self.looks.get_mut(usize::from(free.0))? = look;
                free
            }
            None => {
                let new = Rendering(u16::try_from(self.looks.len()).ok()?);
                self.looks.push(look);
                new
            }
        };
        self.variants.add(new, rendering, options);
        Some(new)
    }

    fn release(&mut self, rendering: Rendering) -> bool {
        self.variants.release(rendering)
    }
}

/// The stream whose events a message carries.
fn events_of(message: &Message) -> Option<&StreamName> {
    match message {
        Message::Replay { stream, .. }
        | Message::Reply { result: Ok(Answer::History { stream, .. }), .. } => Some(stream),
        _ => None,
    }
}

fn opcode(kind: FrameKind) -> Opcode {
    match kind {
        FrameKind::Text => Opcode::Text,
        FrameKind::Binary => Opcode::Binary,
    }
}

/// Appends `id:` with all positions, from which `Last-Event-ID` resumes.
fn push_id(positions: &[Position], out: &mut Vec<u8>) {
    if positions.is_empty() {
        return;
    }
    let ids: Vec<String> = positions.iter().map(Position::to_string).collect();
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(ids.join(",").as_bytes());
    out.push(b'\n');
}

/// Appends a message of the native protocol as an event named by its verb, with the verb's body.
fn push_message(message: &Message, encoded: &[u8], out: &mut Vec<u8>) {
    let (verb, positions): (&str, Vec<Position>) = match message {
        Message::Gap(_) => ("gap", Vec::new()),
        Message::Mark(positions) => ("mark", positions.clone()),
        Message::Replay { .. } => ("replay", Vec::new()),
        Message::Closing { reconnect_after_ms, .. } => {
            if let Some(ms) = reconnect_after_ms {
                out.extend_from_slice(format!("retry: {ms}\n").as_bytes());
            }
            ("closing", Vec::new())
        }
        Message::Error(_) => ("error", Vec::new()),
        Message::Reply { result: Err(error), .. } => {
            // The stream ends: an EventSource asks for the same again.
            let ms = error.retry_after_ms.unwrap_or(REFUSED_RETRY_MS);
            out.extend_from_slice(format!("retry: {ms}\n").as_bytes());
            ("error", Vec::new())
        }
        Message::Reply { result: Ok(answer), .. } => ("ok", crate::transports::sse::told(answer)),
        Message::Welcome(_)
        | Message::Restored(_)
        | Message::Called { .. }
        | Message::Call { .. }
        | Message::Expiring { .. } => return,
    };
    push_id(&positions, out);
    let prefix = out.len();
    out.extend_from_slice(format!("event: {verb}\n").as_bytes());
    match body_of(encoded, verb) {
        Some(body) => push_data(body, out),
        None => out.truncate(prefix),
    }
}

/// The body of `verb` in an object that has it last: `{"gap":{…}}`, `{"id":1,"ok":{…}}`.
fn body_of<'a>(encoded: &'a [u8], verb: &str) -> Option<&'a [u8]> {
    let key = format!("\"{verb}\":");
    let start = encoded.windows(key.len()).position(|window| window == key.as_bytes())?;
    encoded.get(start + key.len()..encoded.len().checked_sub(1)?)
}

/// Appends data, each of its lines as a `data:` field, and the empty line that ends the event.
fn push_data(data: &[u8], out: &mut Vec<u8>) {
    for line in data.split(|byte| matches!(byte, b'\n' | b'\r')) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

use std::cell::RefCell;
use std::rc::Rc;

use engine::{Renderer, Rendering, SessionTokens, Stream};
use protocol::{
    ClientId, Conversation, Error, Event, Frame, FrameKind, Gap, Message, Payload, Position, Seq,
    dialect::Misspelled,
};

/// Events in order, as frames of their own.
pub const PLAIN: Rendering = Rendering(0);
/// Like [`PLAIN`], in other bytes.
pub const SPACED: Rendering = Rendering(1);
/// Each event is preceded by the positions of its session.
pub const NAMED: Rendering = Rendering(2);

const EVENT: u8 = b'e';
const BATCH: u8 = b'b';
const MESSAGE: u8 = b'm';
const POSITIONS: u8 = b'p';
const PING: u8 = b'i';
/// Kind and length.
const HEAD_BYTES: usize = 5;

/// What was said with structure: frames carry its place here, and as many bytes as it might take.
#[derive(Clone, Default)]
pub struct Said(Rc<RefCell<Vec<Message>>>);

impl Said {
    fn put(&self, message: Message) -> u64 {
        self.0.borrow_mut().push(message);
        self.0.borrow().len() as u64 - 1
    }

    fn get(&self, at: u64) -> Message {
        self.0.borrow()[at as usize].clone()
    }
}

/// An event as a client reads it: its epoch is the one that was last named for the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct EventFrame {
    /// The stream's place in the table.
    pub stream: usize,
    /// Its seq.
    pub seq: Seq,
    /// Its data.
    pub data: Vec<u8>,
}

/// A frame as a client reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A live event.
    Event(EventFrame),
    /// Several in one frame.
    Batch(Vec<EventFrame>),
    /// Anything else.
    Message(Message),
    /// The positions of the session before the event that follows.
    Positions(Vec<Position>),
    /// Whether it is there; it answers with the number.
    Ping(u64),
}

/// Writes frames of kind, length and body.
pub struct SimRenderer {
    /// Where structured messages are kept.
    pub said: Said,
}

impl SimRenderer {
    fn framed(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
        out.push(kind);
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(body);
    }

    fn event_body(rendering: Rendering, stream: &Stream<'_>, event: &Event) -> Vec<u8> {
        let mut body = Vec::new();
        let place: u32 = stream.name.as_str()[1..].parse().unwrap();
        body.extend_from_slice(&place.to_le_bytes());
        body.extend_from_slice(&event.seq.to_le_bytes());
        body.push(u8::from(rendering == SPACED));
        body.extend_from_slice(data_of(event));
        body
    }
}

/// The bytes of an event's data.
pub fn data_of(event: &Event) -> &[u8] {
    match &event.draft.payload {
        Payload::Json(bytes) | Payload::Binary { bytes, .. } => bytes,
    }
}

impl Renderer for SimRenderer {
    fn event(
        &mut self,
        rendering: Rendering,
        stream: &Stream<'_>,
        event: &Event,
        out: &mut Vec<u8>,
    ) {
        Self::framed(out, EVENT, &Self::event_body(rendering, stream, event));
    }

    fn gap(&mut self, _: Rendering, gap: &Gap, out: &mut Vec<u8>) {
        let body = self.said.put(Message::Gap(gap.clone())).to_le_bytes();
        Self::framed(out, MESSAGE, &body);
    }

    fn batch_item(
        &mut self,
        rendering: Rendering,
        stream: &Stream<'_>,
        event: &Event,
        out: &mut Vec<u8>,
    ) -> bool {
        if matches!(event.draft.payload, Payload::Binary { .. }) {
            self.event(rendering, stream, event, out);
            return false;
        }
        Self::framed(out, b',', &Self::event_body(rendering, stream, event));
        true
    }

    fn batch(&mut self, _: Rendering, _: &Stream<'_>, items: &[u8], out: &mut Vec<u8>) {
        out.push(BATCH);
        // With the end behind the items.
        out.extend_from_slice(&(items.len() as u32 + 1).to_le_bytes());
        out.extend_from_slice(items);
        out.push(b']');
    }

    fn message(
        &mut self,
        _: Rendering,
        _: &mut dyn Conversation,
        _: u64,
        message: &Message,
        out: &mut Vec<u8>,
    ) {
        let mut body = self.said.put(message.clone()).to_le_bytes().to_vec();
        if let Message::Replay { events, .. } = message {
            body.resize(8 + events.iter().map(|event| event.draft.bytes()).sum::<usize>(), b'.');
        }
        Self::framed(out, MESSAGE, &body);
    }

    fn names_positions(&self, rendering: Rendering) -> bool {
        rendering == NAMED
    }

    fn positions(&mut self, _: Rendering, positions: &[Position], out: &mut Vec<u8>) {
        let at = self.said.put(Message::Mark(positions.to_vec()));
        Self::framed(out, POSITIONS, &at.to_le_bytes());
    }
}

/// Asks a client whether it is there.
pub fn push_ping(number: u64, out: &mut Vec<u8>) {
    SimRenderer::framed(out, PING, &number.to_le_bytes());
}

/// Takes the first whole frame off `bytes`; how long it was.
pub fn read_frame(said: &Said, bytes: &[u8]) -> Option<(Heard, usize)> {
    let (kind, body, length) = split_frame(bytes)?;
    let heard = match kind {
        EVENT => Heard::Event(read_event(body)),
        BATCH => Heard::Batch(read_batch(body)),
        MESSAGE => Heard::Message(said.get(number(body, 0))),
        PING => Heard::Ping(number(body, 0)),
        POSITIONS => match said.get(number(body, 0)) {
            Message::Mark(positions) => Heard::Positions(positions),
            other => panic!("positions name {other:?}"),
        },
        other => panic!("a frame begins with {other}: bytes were lost or came twice"),
    };
    Some((heard, length))
}

fn split_frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let head = bytes.get(..HEAD_BYTES)?;
    let length = HEAD_BYTES + u32::from_le_bytes(head[1..].try_into().unwrap()) as usize;
    Some((head[0], bytes.get(HEAD_BYTES..length)?, length))
}

fn read_event(body: &[u8]) -> EventFrame {
    let stream = u32::from_le_bytes(body[..4].try_into().unwrap()) as usize;
    EventFrame { stream, seq: number(body, 4), data: body[13..].to_vec() }
}

fn read_batch(body: &[u8]) -> Vec<EventFrame> {
    assert_eq!(body.last(), Some(&b']'), "a batch has an end");
    let mut items = &body[..body.len() - 1];
    let mut events = Vec::new();
    while let Some((b',', item, length)) = split_frame(items) {
        events.push(read_event(item));
        items = &items[length..];
    }
    assert!(items.is_empty(), "a batch is made of items");
    events
}

fn number(body: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(body[at..at + 8].try_into().unwrap())
}

/// Commands reach workers as values, so nothing is spelled.
pub struct Unspelled;

impl Conversation for Unspelled {
    fn decode(&mut self, _: Frame<'_>) -> Result<protocol::Requests, Misspelled> {
        let error = Error::bad_request("nothing is spelled here");
        Err(Misspelled { id: None, error, was_hello: false })
    }

    fn encode(&mut self, _: u64, _: &Message, _: &mut Vec<u8>) -> Option<FrameKind> {
        None
    }
}

/// Seals with nothing but trust.
pub struct OpenTokens;

impl SessionTokens for OpenTokens {
    fn seal(&self, client: ClientId) -> String {
        client.to_string()
    }

    fn open(&self, token: &str) -> Option<ClientId> {
        ClientId::parse(token).ok()
    }
}

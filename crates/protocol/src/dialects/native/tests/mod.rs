//! The wire, by example: what clients may write, what is answered to what they may not, and what
//! the server writes.

mod client_messages;
mod errors;
mod events;
mod properties;
mod server_messages;

use super::Native;
use crate::dialect::Misspelled;
use crate::{
    Command, Conversation, Dialect, Event, Frame, FrameKind, Message, Pattern, Position, Request,
    Requests, StreamName,
};

fn decode(text: &str) -> Result<Request, Misspelled> {
    Native.decode(Frame::Text(text)).map(only)
}

fn binary(frame: &[u8]) -> Request {
    Native.decode(Frame::Binary(frame)).map(only).unwrap()
}

fn only(requests: Requests) -> Request {
    let [request] = requests.into_inner().unwrap_or_else(|many| panic!("{many:?}"));
    request
}

fn command(text: &str) -> Command {
    decode(text).unwrap_or_else(|wrong| panic!("{text}: {}", wrong.error)).command
}

fn encode(message: &Message) -> Option<String> {
    let mut out = Vec::new();
    let kind = Native.encode(0, message, &mut out);
    assert_eq!(kind.is_none(), out.is_empty());
    kind.map(|kind| {
        assert_eq!(kind, FrameKind::Text);
        String::from_utf8(out).unwrap()
    })
}

fn frame(stream: &StreamName, event: &Event) -> (FrameKind, Vec<u8>) {
    let mut out = Vec::new();
    (Native.event(stream, event, &mut out), out)
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

fn position(text: &str) -> Position {
    Position::parse(text).unwrap()
}

fn stream(name: &str) -> StreamName {
    StreamName::parse(name).unwrap()
}

//! However a stream of bytes is divided into inputs, it means the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test panics")]

use proptest::collection::vec;
use proptest::prelude::*;
use websocket::{
    CloseCode, DecodeError, Decoder, Deflater, Encoder, Frame, Inflater, Limits, Message, Opcode,
    Role,
};

/// What a peer sends.
#[derive(Clone, Debug)]
enum Sent {
    Text(String, Shape),
    Binary(Vec<u8>, Shape),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

/// How a message is put into frames.
#[derive(Clone, Debug)]
struct Shape {
    compressed: bool,
    /// Where it is cut into fragments, as parts of 256 of its length.
    cuts: Vec<u8>,
    /// A ping after each fragment but the last.
    pings: bool,
}

fn shape() -> impl Strategy<Value = Shape> {
    (any::<bool>(), vec(any::<u8>(), 0..4), any::<bool>())
        .prop_map(|(compressed, cuts, pings)| Shape { compressed, cuts, pings })
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        ("\\PC{0,300}", shape()).prop_map(|(text, shape)| Sent::Text(text, shape)),
        (vec(any::<u8>(), 0..300), shape()).prop_map(|(bytes, shape)| Sent::Binary(bytes, shape)),
        (70_000..80_000usize, shape())
            .prop_map(|(len, shape)| Sent::Binary(vec![0x5a; len], shape)),
        vec(any::<u8>(), 0..=125).prop_map(Sent::Ping),
        vec(any::<u8>(), 0..=125).prop_map(Sent::Pong),
    ]
}

/// The peer's bytes, and the messages that they mean.
fn transmit(sent: &[Sent], encoder: Encoder) -> (Vec<u8>, Vec<Message<'static>>) {
    let (mut wire, mut messages) = (Vec::new(), Vec::new());
    for item in sent {
        match item {
            Sent::Text(text, shape) => {
                fragments(&mut wire, &mut messages, encoder, Opcode::Text, text.as_bytes(), shape);
                messages.push(Message::Text(text.clone().into()));
            }
            Sent::Binary(bytes, shape) => {
                fragments(&mut wire, &mut messages, encoder, Opcode::Binary, bytes, shape);
                messages.push(Message::Binary(bytes.clone().into()));
            }
            Sent::Ping(bytes) => {
                encoder.ping(&mut wire, bytes);
                messages.push(Message::Ping(bytes.clone().into()));
            }
            Sent::Pong(bytes) => {
                encoder.pong(&mut wire, bytes);
                messages.push(Message::Pong(bytes.clone().into()));
            }
        }
    }
    (wire, messages)
}

fn fragments(
    wire: &mut Vec<u8>,
    messages: &mut Vec<Message<'static>>,
    encoder: Encoder,
    opcode: Opcode,
    payload: &[u8],
    shape: &Shape,
) {
    let mut payload = payload.to_vec();
    if shape.compressed {
        let mut body = Vec::new();
        Deflater::new(6).body(&payload, &mut body);
        body.truncate(body.len() - 4);
        payload = body;
    }
    let mut cuts: Vec<usize> =
        shape.cuts.iter().map(|cut| payload.len() * usize::from(*cut) / 256).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([payload.len()]);
    let mut begin = 0;
    for (index, end) in ends.enumerate() {
        let first = index == 0;
        let frame = Frame {
            opcode: if first { opcode } else { Opcode::Continuation },
            fin: index == cuts.len(),
            compressed: first && shape.compressed,
        };
        encoder.frame(wire, frame, &payload[begin..end]);
        begin = end;
        if shape.pings && !frame.fin {
            encoder.ping(wire, b"between");
            messages.push(Message::Ping(b"between".to_vec().into()));
        }
    }
}

/// Decodes the bytes in pieces of the given lengths, over and over; the rest in one.
fn receive(
    wire: &[u8],
    pieces: &[usize],
    decoder: &mut Decoder,
) -> (Vec<Message<'static>>, Result<(), DecodeError>) {
    let mut inflater = Inflater::new();
    let mut messages = Vec::new();
    let mut wire = wire.to_vec();
    let mut rest = &mut wire[..];
    let mut pieces = pieces.iter().cycle();
    while !rest.is_empty() {
        let len = pieces.next().map_or(rest.len(), |len| (*len).min(rest.len()));
        let (mut input, later) = rest.split_at_mut(len);
        rest = later;
        loop {
            match decoder.decode(&mut input, &mut inflater) {
                Ok(Some(message)) => messages.push(message.into_owned()),
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
        assert!(input.is_empty(), "a decoder that asks for more has used what it had");
    }
    (messages, Ok(()))
}

fn decoder(role: Role) -> Decoder {
    Decoder::new(role, Limits::default(), true)
}

proptest! {
    #[test]
    fn any_division_gives_the_messages_that_were_sent(
        sent in vec(sent(), 1..6),
        pieces in vec(1..40usize, 0..8),
        key in any::<[u8; 4]>(),
    ) {
        for (role, encoder) in [(Role::Server, Encoder::client(key)), (Role::Client, Encoder::server())] {
            let (wire, messages) = transmit(&sent, encoder);
            let mut decoder = decoder(role);
            let (received, result) = receive(&wire, &pieces, &mut decoder);
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(received, messages);
            prop_assert!(!decoder.is_unfinished());
            prop_assert_eq!(decoder.heap_bytes(), 0);
        }
    }

    #[test]
    fn any_division_of_a_damaged_stream_fails_alike(
        sent in vec(sent(), 1..4),
        pieces in vec(1..40usize, 1..8),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (mut wire, _) = transmit(&sent, Encoder::client([1, 2, 3, 4]));
        for (at, byte) in damage {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        let whole = receive(&wire, &[], &mut decoder(Role::Server));
        prop_assert_eq!(&receive(&wire, &pieces, &mut decoder(Role::Server)), &whole);
        prop_assert_eq!(&receive(&wire, &[1], &mut decoder(Role::Server)), &whole);
    }

    #[test]
    fn any_division_of_noise_fails_alike(
        wire in vec(any::<u8>(), 1..200),
        pieces in vec(1..10usize, 1..8),
    ) {
        for role in [Role::Server, Role::Client] {
            let whole = receive(&wire, &[], &mut decoder(role));
            prop_assert_eq!(&receive(&wire, &pieces, &mut decoder(role)), &whole);
        }
    }
}

#[test]
fn nothing_is_read_after_a_close_frame() {
    let mut wire = Vec::new();
    let encoder = Encoder::client([5; 4]);
    encoder.close(&mut wire, CloseCode::GOING_AWAY, "bye");
    encoder.text(&mut wire, "too late");
    wire.extend_from_slice(&[0xff; 100]);
    for piece in [1, 3, 1000] {
        let (messages, result) = receive(&wire, &[piece], &mut decoder(Role::Server));
        assert_eq!(result, Ok(()));
        assert!(matches!(&*messages, [Message::Close(Some(close))] if close.reason == "bye"));
    }
}

#[test]
fn a_failed_decoder_repeats_its_error_and_takes_nothing() {
    let mut decoder = decoder(Role::Server);
    let mut inflater = Inflater::new();
    let mut unmasked = *b"\x81\x02hi";
    let mut input = &mut unmasked[..];
    assert_eq!(decoder.decode(&mut input, &mut inflater), Err(DecodeError::NotMasked));
    let mut wire = Vec::new();
    Encoder::client([5; 4]).text(&mut wire, "fine");
    let mut input = &mut wire[..];
    assert_eq!(decoder.decode(&mut input, &mut inflater), Err(DecodeError::NotMasked));
}

//! Any bytes mean the same however they are divided, and a decoder holds no more than it read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use websocket::{DecodeError, Decoder, Inflater, Limits, Message, Role};

const LIMITS: Limits = Limits {
    frame_bytes_max: 1 << 16,
    message_bytes_max: 1 << 17,
    inflated_bytes_max: 1 << 17,
    fragments_max: 64,
};

type Outcome = (Vec<Message<'static>>, Result<(), DecodeError>);

fn decode<'a>(role: Role, deflate: bool, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = Decoder::new(role, LIMITS, deflate);
    let mut inflater = Inflater::new();
    let mut messages = Vec::new();
    let mut read = 0;
    for piece in pieces {
        read += piece.len();
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        loop {
            match decoder.decode(&mut input, &mut inflater) {
                Ok(Some(message)) => messages.push(message.into_owned()),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.heap_bytes(), 0);
                    return (messages, Err(error));
                }
            }
        }
        assert!(input.is_empty());
        assert!(decoder.heap_bytes() <= 2 * read + 512);
        assert_eq!(decoder.heap_bytes() > 0, decoder.is_unfinished());
    }
    (messages, Ok(()))
}

fuzz_target!(|data: &[u8]| {
    // The first bytes choose the role, the extension and the division.
    let Some((&[choice, length, other], wire)) = data.split_first_chunk::<3>() else {
        return;
    };
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client };
    let deflate = choice & 2 != 0;
    let whole = decode(role, deflate, [wire].into_iter());
    assert_eq!(decode(role, deflate, wire.chunks(1)), whole);

    let (mut rest, mut odd) = (wire, false);
    let uneven = std::iter::from_fn(|| {
        odd = !odd;
        let length = 1 + usize::from(if odd { length } else { other });
        let (piece, later) = rest.split_at(length.min(rest.len()));
        rest = later;
        (!piece.is_empty()).then_some(piece)
    });
    assert_eq!(decode(role, deflate, uneven), whole);
});

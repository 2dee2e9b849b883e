//! What a hostile peer can make a decoder hold or do: less than it paid for.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test panics")]

use allocation_counter::measure;
use websocket::{
    CloseCode, DecodeError, Decoder, Deflater, Encoder, Frame, Inflater, Limits, Message, Opcode,
    Role,
};

const MIB: usize = 1 << 20;
const CLIENT: Encoder = Encoder::client([0x12, 0x34, 0x56, 0x78]);

fn server(limits: Limits) -> Decoder {
    Decoder::new(Role::Server, limits, true)
}

/// Feeds all of `wire`, and returns the error that it ends with, if any.
fn feed(decoder: &mut Decoder, inflater: &mut Inflater, wire: &mut [u8]) -> Option<DecodeError> {
    let mut input = wire;
    loop {
        match decoder.decode(&mut input, inflater) {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

fn frame(opcode: Opcode, fin: bool, compressed: bool, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    CLIENT.frame(&mut wire, Frame { opcode, fin, compressed }, payload);
    wire
}

#[test]
fn an_idle_decoder_is_small_and_holds_no_heap() {
    assert!(size_of::<Decoder>() <= 48, "{} bytes", size_of::<Decoder>());
    let wire = frame(Opcode::Text, true, false, &[b'x'; 1000]);
    let mut decoder = None;
    let info = measure(|| decoder = Some(server(Limits::default())));
    assert_eq!(info.count_total, 0);
    let mut decoder = decoder.unwrap();
    let mut inflater = Inflater::new();

    // A message that lies in the input whole costs no allocation.
    let mut whole = wire.clone();
    let info = measure(|| assert_eq!(feed(&mut decoder, &mut inflater, &mut whole), None));
    assert_eq!(info.count_total, 0);
    // One in pieces costs some, and leaves none.
    let info = measure(|| {
        for byte in &wire {
            assert_eq!(feed(&mut decoder, &mut inflater, &mut [*byte]), None);
        }
    });
    assert!(info.count_total > 0);
    assert_eq!(info.bytes_current, 0);
    assert_eq!(decoder.heap_bytes(), 0);
}

#[test]
fn what_is_buffered_is_counted() {
    let wire = frame(Opcode::Binary, true, false, &[7; 1000]);
    let mut decoder = server(Limits::default());
    let mut inflater = Inflater::new();
    let mut part = wire.get(..600).unwrap().to_vec();
    let info = measure(|| assert_eq!(feed(&mut decoder, &mut inflater, &mut part), None));
    assert!(decoder.is_unfinished());
    assert_eq!(info.bytes_current as usize, decoder.heap_bytes());
}

#[test]
fn steady_compressed_messages_allocate_nothing() {
    let mut deflater = Deflater::new(6);
    let mut inflater = Inflater::new();
    let mut decoder = server(Limits::default());
    let mut out = Vec::with_capacity(4096);
    let payload = "{\"topic\":\"trainer.log\"}".repeat(50);
    let mut round = || {
        out.clear();
        assert!(deflater.message(CLIENT, &mut out, Opcode::Text, payload.as_bytes()));
        let mut input = &mut out[..];
        let message = decoder.decode(&mut input, &mut inflater).unwrap().unwrap();
        assert_eq!(message.payload_bytes(), payload.len());
    };
    round();
    let info = measure(|| (0..10).for_each(|_| round()));
    assert_eq!(info.count_total, 0);
}

#[test]
fn a_huge_length_allocates_nothing() {
    let mut header = b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00payload".to_vec();
    let mut decoder = server(Limits::default());
    let mut inflater = Inflater::new();
    let info = measure(|| {
        let error = feed(&mut decoder, &mut inflater, &mut header);
        assert_eq!(error, Some(DecodeError::FrameTooBig));
    });
    assert_eq!(info.count_total, 0);

    // Where the limits would let it pass it gets what has arrived.
    let mut header = b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00payload".to_vec();
    let mut decoder = server(Limits::message(usize::MAX));
    let info = measure(|| assert_eq!(feed(&mut decoder, &mut inflater, &mut header), None));
    assert!(info.bytes_max < 512, "{info:?}");
    assert_eq!(DecodeError::FrameTooBig.close_code(), CloseCode::TOO_BIG);
}

#[test]
fn a_buffer_holds_at_most_twice_what_arrived() {
    let mut wire = frame(Opcode::Binary, true, false, &[7; 100_000]);
    let mut decoder = server(Limits::default());
    let mut inflater = Inflater::new();
    let mut arrived = 0;
    for piece in wire.chunks_mut(1500) {
        arrived += piece.len();
        assert_eq!(feed(&mut decoder, &mut inflater, piece), None);
        assert!(decoder.heap_bytes() <= 2 * arrived + 512);
    }
    assert_eq!(decoder.heap_bytes(), 0);
}

#[test]
fn crumbs_share_one_buffer() {
    const FRAGMENTS: usize = 131_072;
    let limits = Limits { fragments_max: u32::MAX, ..Limits::message(16 * MIB) };
    for (opcode, compressed) in
        [(Opcode::Text, false), (Opcode::Binary, false), (Opcode::Text, true)]
    {
        let mut decoder = server(limits);
        let mut inflater = Inflater::new();
        let mut first = frame(opcode, false, compressed, b"x");
        let more = frame(Opcode::Continuation, false, false, b"x");
        let info = measure(|| {
            assert_eq!(feed(&mut decoder, &mut inflater, &mut first), None);
            for _ in 1..FRAGMENTS {
                let mut bytes = [0; 7];
                bytes.copy_from_slice(&more);
                assert_eq!(feed(&mut decoder, &mut inflater, &mut bytes), None);
            }
        });
        assert!(info.bytes_max < 2 * MIB as u64, "{info:?}");
        assert!(decoder.heap_bytes() < MIB);
    }
}

#[test]
fn crumbs_use_up_the_limit_of_a_message() {
    let mut decoder = server(Limits::message(64 * 1024));
    let mut inflater = Inflater::new();
    let mut fragments = 1;
    assert_eq!(
        feed(&mut decoder, &mut inflater, &mut frame(Opcode::Text, false, false, b"x")),
        None
    );
    let error = loop {
        let mut wire = frame(Opcode::Continuation, false, false, b"");
        match feed(&mut decoder, &mut inflater, &mut wire) {
            None => fragments += 1,
            Some(error) => break error,
        }
    };
    assert_eq!((error, fragments), (DecodeError::MessageTooBig, 1024));
    assert_eq!(decoder.heap_bytes(), 0, "a failed decoder frees what it held");
}

#[test]
fn fragments_are_counted() {
    let limits = Limits { fragments_max: 3, ..Limits::default() };
    let mut inflater = Inflater::new();
    for (fragments, expected) in [(3, None), (4, Some(DecodeError::TooManyFragments))] {
        let mut decoder = server(limits);
        let mut wire = frame(Opcode::Text, false, false, b"a");
        for fragment in 2..=fragments {
            wire.extend(frame(Opcode::Continuation, fragment == fragments, false, b"b"));
        }
        assert_eq!(feed(&mut decoder, &mut inflater, &mut wire), expected);
    }
}

#[test]
fn a_message_may_reach_its_limit_and_not_pass_it() {
    let mut inflater = Inflater::new();
    for (bytes, expected) in [(1000, None), (1001, Some(DecodeError::FrameTooBig))] {
        let mut wire = frame(Opcode::Binary, true, false, &vec![1; bytes]);
        assert_eq!(feed(&mut server(Limits::message(1000)), &mut inflater, &mut wire), expected);
    }
    for (bytes, expected) in [(500, None), (501, Some(DecodeError::MessageTooBig))] {
        let mut wire = frame(Opcode::Binary, false, false, &[1; 500]);
        wire.extend(frame(Opcode::Continuation, true, false, &vec![1; bytes]));
        // The announcement is enough.
        wire.truncate(wire.len() - bytes);
        assert_eq!(feed(&mut server(Limits::message(1000)), &mut inflater, &mut wire), expected);
    }
    // What is incompressible is a little longer when it is compressed nevertheless.
    let noise: Vec<u8> =
        (0..1000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (bytes, expected) in [(1000, None), (999, Some(DecodeError::InflatedTooBig))] {
        let mut body = Vec::new();
        Deflater::new(6).body(&noise, &mut body);
        body.truncate(body.len() - 4);
        let mut wire = frame(Opcode::Binary, true, true, &body);
        assert_eq!(feed(&mut server(Limits::message(bytes)), &mut inflater, &mut wire), expected);
    }
}

/// About `bytes` of zeros, compressed a thousandfold.
fn bomb(bytes: usize) -> Vec<u8> {
    let mut body = Vec::new();
    Deflater::new(9).body(&vec![0; bytes], &mut body);
    body.truncate(body.len() - 4);
    frame(Opcode::Binary, true, true, &body)
}

#[test]
fn a_bomb_stops_at_the_cap() {
    // 64 KiB on the wire, 64 MiB inflated, a cap of 1 MiB; a thousand times with one inflater.
    let wire = bomb(64 * MIB);
    assert!(wire.len() < 128 * 1024);
    let mut inflater = Inflater::new();
    for _ in 0..1000 {
        let mut wire = wire.clone();
        let mut decoder = server(Limits::message(MIB));
        let info = measure(|| {
            let error = feed(&mut decoder, &mut inflater, &mut wire);
            assert_eq!(error, Some(DecodeError::InflatedTooBig));
        });
        assert!(info.bytes_max < 4 * MIB as u64, "{info:?}");
    }
}

#[test]
fn nothing_is_inflated_where_that_is_forbidden() {
    let limits = Limits { inflated_bytes_max: 0, ..Limits::default() };
    let mut inflater = Inflater::new();
    let error = feed(&mut server(limits), &mut inflater, &mut bomb(1000));
    assert_eq!(error, Some(DecodeError::InflatedTooBig));
}

#[test]
fn text_fails_at_its_first_wrong_byte() {
    let mut inflater = Inflater::new();
    let half = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0 never sent";
    // In a frame that is not complete.
    let mut wire = frame(Opcode::Text, true, false, half);
    for (sent, expected) in [(12, None), (13, Some(DecodeError::InvalidUtf8))] {
        let mut part = wire.get(..6 + sent).unwrap().to_vec();
        assert_eq!(feed(&mut server(Limits::default()), &mut inflater, &mut part), expected);
    }
    // Across fragments.
    let mut decoder = server(Limits::default());
    wire = frame(Opcode::Text, false, false, &half[..12]);
    assert_eq!(feed(&mut decoder, &mut inflater, &mut wire), None);
    wire = frame(Opcode::Continuation, false, false, &half[12..13]);
    assert_eq!(feed(&mut decoder, &mut inflater, &mut wire), Some(DecodeError::InvalidUtf8));
    assert_eq!(DecodeError::InvalidUtf8.close_code(), CloseCode::INVALID_DATA);
    // Compressed: before the cap is reached, if the wrong byte comes before it.
    let mut body = Vec::new();
    let mut text = vec![b'x'; 4 * MIB];
    text[40_000] = 0xff;
    Deflater::new(9).body(&text, &mut body);
    body.truncate(body.len() - 4);
    wire = frame(Opcode::Text, true, true, &body);
    let error = feed(&mut server(Limits::default()), &mut inflater, &mut wire);
    assert_eq!(error, Some(DecodeError::InvalidUtf8));
}

#[test]
fn every_breach_has_its_code() {
    let mut inflater = Inflater::new();
    let text = |fin| frame(Opcode::Text, fin, false, b"a");
    let breaches: [(Vec<u8>, DecodeError); 12] = [
        (b"\x81\x01a".to_vec(), DecodeError::NotMasked),
        (b"\xa1\x80\0\0\0\0".to_vec(), DecodeError::ReservedBits),
        (b"\x83\x80\0\0\0\0".to_vec(), DecodeError::ReservedOpcode(3)),
        (frame(Opcode::Ping, true, true, b""), DecodeError::ReservedBits),
        (frame(Opcode::Ping, false, false, b""), DecodeError::FragmentedControl),
        (b"\x89\xfe\0\x7e\0\0\0\0".to_vec(), DecodeError::ControlTooLong),
        (b"\x81\xfe\0\x7d\0\0\0\0".to_vec(), DecodeError::LengthNotMinimal),
        (frame(Opcode::Continuation, true, false, b""), DecodeError::UnexpectedContinuation),
        ([text(false), text(true)].concat(), DecodeError::ExpectedContinuation),
        (
            [text(false), frame(Opcode::Continuation, true, true, b"")].concat(),
            DecodeError::ReservedBits,
        ),
        (frame(Opcode::Close, true, false, b"\x03"), DecodeError::CloseLength),
        (frame(Opcode::Close, true, false, b"\x03\xed"), DecodeError::CloseCode(1005)),
    ];
    for (mut wire, expected) in breaches {
        let error = feed(&mut server(Limits::default()), &mut inflater, &mut wire);
        assert_eq!(error, Some(expected));
        assert_eq!(expected.close_code(), CloseCode::PROTOCOL_ERROR);
    }
    // RSV1 means nothing where compression was not agreed.
    let mut decoder = Decoder::new(Role::Server, Limits::default(), false);
    let mut wire = frame(Opcode::Text, true, true, b"\x00");
    assert_eq!(feed(&mut decoder, &mut inflater, &mut wire), Some(DecodeError::ReservedBits));
    // A client takes no masks.
    let mut decoder = Decoder::new(Role::Client, Limits::default(), false);
    assert_eq!(feed(&mut decoder, &mut inflater, &mut text(true)), Some(DecodeError::Masked));
}

#[test]
fn a_ping_inside_a_fragmented_message_comes_at_once() {
    let mut decoder = server(Limits::default());
    let mut inflater = Inflater::new();
    let mut wire = frame(Opcode::Text, false, false, b"one, ");
    wire.extend(frame(Opcode::Ping, true, false, b"now"));
    let mut input = &mut wire[..];
    let ping = decoder.decode(&mut input, &mut inflater).unwrap().unwrap();
    assert_eq!(ping, Message::Ping(b"now".as_slice().into()));
    assert!(decoder.is_unfinished());
    let mut wire = frame(Opcode::Continuation, true, false, b"two");
    let mut input = &mut wire[..];
    let text = decoder.decode(&mut input, &mut inflater).unwrap().unwrap();
    assert_eq!(text, Message::Text("one, two".into()));
    assert!(!decoder.is_unfinished());
}

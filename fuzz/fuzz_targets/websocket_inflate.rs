//! Any compressed payload stays within its bound; and what we compress comes back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use websocket::{Decoder, Deflater, Encoder, Frame, Inflater, Limits, Message, Opcode, Role};

const INFLATED_BYTES_MAX: usize = 1 << 16;

thread_local! {
    // Shared by all inputs, as by all connections: nothing may leak from one to the next.
    static SHARED: RefCell<(Inflater, Deflater)> =
        RefCell::new((Inflater::new(), Deflater::new(6)));
}

fn decode<'a>(
    mut wire: &'a mut [u8],
    inflater: &'a mut Inflater,
) -> Result<Option<Message<'a>>, websocket::DecodeError> {
    let limits = Limits { inflated_bytes_max: INFLATED_BYTES_MAX, ..Limits::message(1 << 20) };
    Decoder::new(Role::Client, limits, true).decode(&mut wire, inflater)
}

fuzz_target!(|data: &[u8]| {
    SHARED.with_borrow_mut(|(inflater, deflater)| {
        for opcode in [Opcode::Text, Opcode::Binary] {
            let frame = Frame { opcode, fin: true, compressed: true };
            let mut wire = Vec::new();
            Encoder::server().frame(&mut wire, frame, data);
            let mut again = wire.clone();
            let used = decode(&mut wire, inflater).map(|m| m.map(Message::into_owned));
            if let Ok(Some(message)) = &used {
                assert!(message.payload_bytes() <= INFLATED_BYTES_MAX);
            }
            assert_eq!(decode(&mut again, &mut Inflater::new()), used);
        }

        let mut wire = Vec::new();
        let compressed = deflater.message(Encoder::server(), &mut wire, Opcode::Binary, data);
        assert!(wire.len() <= data.len() + 10);
        match decode(&mut wire, inflater) {
            Ok(Some(Message::Binary(bytes))) => assert_eq!(&*bytes, data),
            other => assert!(compressed && data.len() > INFLATED_BYTES_MAX, "{other:?}"),
        }
    });
});

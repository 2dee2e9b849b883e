//! Compressing messages once for everyone (RFC 7692 section 7.2.1).

use std::fmt;

use flate2::{Compress, Compression, FlushCompress};

use crate::encoder::Encoder;
use crate::frame::{Frame, Opcode};

/// What a flush ends with: the lengths of an empty stored block. Taken off the end of a message.
pub(crate) const MARKER: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// A compressor without context: what it makes of a payload depends on nothing before it.
///
/// So a frame or body that was compressed once serves every connection that agreed on
/// permessage-deflate and whose [`Deflate::allows`](crate::Deflate::allows) the payload. It holds
/// about 256 KiB and is reused, without an allocation of its own per message.
pub struct Deflater {
    stream: Compress,
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").finish_non_exhaustive()
    }
}

impl Deflater {
    /// A compressor with a window of 32 KiB; `level` is 1 (fast) to 9 (small).
    #[must_use]
    pub fn new(level: u8) -> Self {
        Self::with_window_bits(level, 15)
    }

    /// A compressor that looks back at most 2^`window_bits` bytes, 9 to 15, for the connections of
    /// peers that asked for a small window. Values outside their range are moved into it.
    #[must_use]
    pub fn with_window_bits(level: u8, window_bits: u8) -> Self {
        let level = Compression::new(level.clamp(1, 9).into());
        Self { stream: Compress::new_with_window_bits(level, false, window_bits.clamp(9, 15)) }
    }

    /// Appends a message: compressed if that makes it shorter, else plain (either may go to a
    /// connection with permessage-deflate). Returns whether it is compressed.
    pub fn message(
        &mut self,
        encoder: Encoder,
        out: &mut Vec<u8>,
        opcode: Opcode,
        payload: &[u8],
    ) -> bool {
        // JSON shrinks to a fifth or so; the guess only decides about the room for the header.
        let frame = encoder.begin(out, payload.len() / 5);
        let start = frame.payload_start();
        self.body(payload, out);
        if out.len() - start - MARKER.len() < payload.len() {
            frame.finish_compressed(out, opcode);
            return true;
        }
        frame.cancel(out);
        encoder.frame(out, Frame::whole(opcode), payload);
        false
    }

    /// Appends a payload compressed on its own and flushed, so that bodies put one behind the
    /// other inflate to their payloads one behind the other.
    ///
    /// A message of one or more bodies is completed by
    /// [`OpenFrame::finish_compressed`](crate::OpenFrame::finish_compressed), which takes off the
    /// last one's final four bytes.
    pub fn body(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.stream.reset();
        let mut rest = payload;
        out.reserve(payload.len() / 4 + 64);
        loop {
            let before = self.stream.total_in();
            let result = self.stream.compress_vec(rest, out, FlushCompress::Sync);
            debug_assert!(result.is_ok(), "deflate has no input that it could refuse");
            let consumed = (self.stream.total_in() - before) as usize;
            rest = rest.get(consumed..).unwrap_or_default();
            // The flush is complete when it left room. If it fitted to the byte it may come a
            // second time, which costs five bytes and means nothing.
            if out.len() < out.capacity() && rest.is_empty() {
                break;
            }
            out.reserve(rest.len() / 2 + 64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoder, Inflater, Limits, Message, Role};

    fn decode(mut bytes: &mut [u8]) -> Message<'static> {
        let mut decoder = Decoder::new(Role::Client, Limits::default(), true);
        let mut inflater = Inflater::new();
        let message = decoder.decode(&mut bytes, &mut inflater).unwrap().unwrap().into_owned();
        assert!(bytes.is_empty());
        message
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let mut deflater = Deflater::new(6);
        for repeated in [1, 2, 30, 2000, 30_000] {
            let text = "{\"topic\":\"trainer.log\",\"data\":12}".repeat(repeated);
            let mut out = Vec::new();
            let compressed =
                deflater.message(Encoder::server(), &mut out, Opcode::Text, text.as_bytes());
            assert_eq!(compressed, repeated > 1);
            assert_eq!(decode(&mut out), Message::Text(text.into()));
        }
    }

    #[test]
    fn what_does_not_shrink_goes_plain() {
        let mut state = 1u32;
        let noise: Vec<u8> = (0..50_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let mut out = Vec::new();
        assert!(!Deflater::new(9).message(Encoder::server(), &mut out, Opcode::Binary, &noise));
        assert_eq!(decode(&mut out), Message::Binary(noise.into()));
    }

    #[test]
    fn bodies_join_into_one_message() {
        let mut deflater = Deflater::new(6);
        let encoder = Encoder::server();
        let mut out = Vec::new();
        let frame = encoder.begin(&mut out, 100);
        for body in ["[", "{\"a\":1},", "{\"a\":1},", "{\"b\":2}]"] {
            deflater.body(body.as_bytes(), &mut out);
        }
        frame.finish_compressed(&mut out, Opcode::Text);
        assert_eq!(decode(&mut out), Message::Text("[{\"a\":1},{\"a\":1},{\"b\":2}]".into()));
    }

    #[test]
    fn an_empty_payload_is_one_byte() {
        let mut out = Vec::new();
        Deflater::new(6).body(b"", &mut out);
        assert_eq!(out, [0x00, 0x00, 0x00, 0xff, 0xff]);
    }

    #[test]
    fn a_small_window_is_kept_to() {
        // 600 bytes in which little repeats, ten times: they shrink only for who looks back 600.
        let unit: Vec<u8> = (0..300u16).flat_map(|i| (i * 211).to_le_bytes()).collect();
        let payload = unit.repeat(10);
        for level in 1..=9 {
            for (window_bits, shrinks) in [(9, false), (10, true), (15, true)] {
                let mut body = Vec::new();
                Deflater::with_window_bits(level, window_bits).body(&payload, &mut body);
                assert_eq!(body.len() < 2000, shrinks, "level {level}, {window_bits} bits");
            }
        }
    }

    #[test]
    fn a_full_buffer_is_grown_until_the_flush_is_complete() {
        let payload: Vec<u8> = (0..3000u32).flat_map(|i| (i * i).to_le_bytes()).collect();
        let mut expected = Vec::new();
        Deflater::new(6).body(&payload, &mut expected);
        for spare in 0..100 {
            let mut out = Vec::with_capacity(spare);
            Deflater::new(6).body(&payload, &mut out);
            let mut message = Vec::new();
            let frame = Encoder::server().begin(&mut message, out.len());
            message.extend_from_slice(&out);
            frame.finish_compressed(&mut message, Opcode::Binary);
            assert_eq!(decode(&mut message), Message::Binary(payload.clone().into()));
        }
        assert!(!expected.is_empty());
    }
}

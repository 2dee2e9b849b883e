//! Inflating compressed messages (RFC 7692 section 7.2.2), in steps, up to a bound.

use std::borrow::Cow;
use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use crate::error::DecodeError;
use crate::message::Message;
use crate::utf8::Utf8Buffer;

/// How much is inflated before bounds and UTF-8 are looked at, in bytes. A message that inflates
/// to no more is lent out of the inflater.
const STEP_BYTES: usize = 16 * 1024;

/// What ends each message: the four bytes that its sender took away, and then an empty final
/// block. The inflater reaches the end of that block only if the message ended between two blocks
/// as it must, so one that was cut off is told from a whole one.
const TAIL: [u8; 6] = [0x00, 0x00, 0xff, 0xff, 0x03, 0x00];

/// How often a deflate stream may end and begin anew inside one message (RFC 7692 section
/// 7.2.3.5). Nobody needs a second one; each takes two bytes to send and a cleared window to read.
const STREAMS_MAX: u32 = 64;

/// An inflater for the messages of any number of connections, one after the other.
///
/// Context takeover is never agreed to, so nothing of a message outlives it and one inflater
/// serves a whole thread. It is empty until the first compressed message and holds about 64 KiB
/// from then on, whatever the messages' sizes.
#[derive(Default)]
pub struct Inflater {
    state: Option<Box<State>>,
}

struct State {
    stream: Decompress,
    step: [u8; STEP_BYTES],
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("used", &self.state.is_some()).finish()
    }
}

impl Inflater {
    /// An inflater without memory of its own yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: None }
    }

    pub(crate) fn text(
        &mut self,
        payload: &[u8],
        inflated_bytes_max: usize,
    ) -> Result<Message<'_>, DecodeError> {
        let mut text = Utf8Buffer::default();
        let state = self.begin();
        let rest = state.run(payload, inflated_bytes_max, |step| text.push(step))?;
        if text.len() == 0 {
            let whole = simdutf8::basic::from_utf8(rest).map_err(|_| DecodeError::InvalidUtf8)?;
            return Ok(Message::Text(Cow::Borrowed(whole)));
        }
        text.push(rest)?;
        Ok(Message::Text(Cow::Owned(text.finish()?)))
    }

    pub(crate) fn binary(
        &mut self,
        payload: &[u8],
        inflated_bytes_max: usize,
    ) -> Result<Message<'_>, DecodeError> {
        let mut bytes = Vec::new();
        let rest = self.begin().run(payload, inflated_bytes_max, |step| {
            bytes.extend_from_slice(step);
            Ok(())
        })?;
        if bytes.is_empty() {
            return Ok(Message::Binary(Cow::Borrowed(rest)));
        }
        bytes.extend_from_slice(rest);
        Ok(Message::Binary(Cow::Owned(bytes)))
    }

    fn begin(&mut self) -> &mut State {
        let state = self.state.get_or_insert_with(|| {
            Box::new(State { stream: Decompress::new(false), step: [0; STEP_BYTES] })
        });
        state.stream.reset(false);
        state
    }
}

impl State {
    /// Inflates a payload. Each full step goes to `sink`; the last, unfilled one is returned.
    fn run(
        &mut self,
        payload: &[u8],
        inflated_bytes_max: usize,
        mut sink: impl FnMut(&[u8]) -> Result<(), DecodeError>,
    ) -> Result<&[u8], DecodeError> {
        let mut left = inflated_bytes_max;
        let mut filled = 0;
        let mut streams = 0;
        let (mut input, mut in_tail) = (payload, false);
        loop {
            let space = self.step.get_mut(filled..).unwrap_or_default();
            let (consumed, produced) = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.decompress(input, space, FlushDecompress::None);
            let status = status.map_err(|_| DecodeError::InvalidDeflate)?;
            let consumed = (self.stream.total_in() - consumed) as usize;
            let produced = (self.stream.total_out() - produced) as usize;
            input = input.get(consumed..).unwrap_or_default();
            left = left.checked_sub(produced).ok_or(DecodeError::InflatedTooBig)?;
            filled += produced;

            if status == Status::StreamEnd {
                // A sender that ended its stream may or may not have put the empty block behind
                // it that the RFC asks for; either way nothing is missing.
                if input.is_empty() {
                    break;
                }
                streams += 1;
                if in_tail {
                    return Err(DecodeError::InvalidDeflate);
                }
                if streams > STREAMS_MAX {
                    return Err(DecodeError::TooManyFragments);
                }
                self.stream.reset(false);
            } else if filled == STEP_BYTES {
                sink(&self.step)?;
                filled = 0;
            } else if !input.is_empty() {
                // With input left and room for output an inflater goes on or fails.
                if consumed == 0 && produced == 0 {
                    return Err(DecodeError::InvalidDeflate);
                }
            } else if in_tail {
                return Err(DecodeError::InvalidDeflate);
            } else {
                (input, in_tail) = (&TAIL, true);
            }
        }
        Ok(self.step.get(..filled).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::Deflater;

    const MAX: usize = 1 << 20;

    fn inflate(payload: &[u8], max: usize) -> Result<Vec<u8>, DecodeError> {
        let mut inflater = Inflater::new();
        match inflater.binary(payload, max)? {
            Message::Binary(bytes) => Ok(bytes.into_owned()),
            other => panic!("{other:?}"),
        }
    }

    fn deflate(plain: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        Deflater::new(6).body(plain, &mut body);
        assert_eq!(body.split_off(body.len() - 4), [0, 0, 0xff, 0xff]);
        body
    }

    #[test]
    fn the_examples_of_the_rfc_inflate() {
        // RFC 7692 section 7.2.3: one block; a stored block; a final block; two blocks; empty.
        let examples: [(&[u8], &[u8]); 5] = [
            (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], b"Hello"),
            (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], b"Hello"),
            (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], b"Hello"),
            (
                &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
                b"Hello",
            ),
            (&[0x00], b""),
        ];
        for (payload, plain) in examples {
            assert_eq!(inflate(payload, MAX).unwrap(), plain, "{payload:x?}");
        }
    }

    #[test]
    fn every_size_around_a_step_comes_back() {
        for len in [0, 1, STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 5 * STEP_BYTES] {
            let plain: Vec<u8> = (0..len).map(|i| (i * 7 / 3) as u8).collect();
            assert_eq!(inflate(&deflate(&plain), MAX).unwrap(), plain);
        }
    }

    #[test]
    fn a_message_that_was_cut_off_is_not_taken_for_a_whole_one() {
        let payload = deflate(&b"The quick brown fox jumps over the lazy dog. ".repeat(20));
        for cut in 1..payload.len() {
            let result = inflate(&payload[..cut], MAX);
            assert_eq!(result, Err(DecodeError::InvalidDeflate), "cut at {cut}");
        }
    }

    #[test]
    fn inflating_stops_at_the_bound() {
        let payload = deflate(&vec![0; 1000]);
        assert_eq!(inflate(&payload, 1000).unwrap().len(), 1000);
        assert_eq!(inflate(&payload, 999), Err(DecodeError::InflatedTooBig));
        assert_eq!(inflate(&payload, 0), Err(DecodeError::InflatedTooBig));
        assert_eq!(inflate(&[0], 0), Ok(vec![]));
    }

    #[test]
    fn streams_inside_a_message_are_counted() {
        let many = |n| [0x03, 0x00].repeat(n);
        assert_eq!(inflate(&many(64), MAX), Ok(vec![]));
        assert_eq!(inflate(&many(66), MAX), Err(DecodeError::TooManyFragments));
    }
}

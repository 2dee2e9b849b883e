//! What is kept between inputs.

use std::mem;

use crate::assembly::Assembly;
use crate::error::DecodeError;
use crate::frame::{Frame, HEADER_BYTES_MAX, Header};
use crate::mask::{MaskKey, advance_key, apply_mask};

/// What a decoder holds while a header, frame or message is unfinished.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    pub(crate) frame: Option<Reading>,
    /// Payload of a control frame.
    pub(crate) control: Vec<u8>,
    pub(crate) message: Option<Assembly>,
}

/// A frame whose header is complete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) frame: Frame,
    /// The key for its next byte.
    mask: Option<MaskKey>,
    pub(crate) payload_bytes: u64,
    /// Bytes of payload that have not been read.
    pub(crate) to_come: u64,
}

impl Partial {
    /// Completes a header that an earlier input began.
    pub(crate) fn header(&mut self, input: &mut &mut [u8]) -> Result<Option<Header>, DecodeError> {
        let before = self.header_bytes;
        if before == 0 {
            let Some((header, used)) = Header::decode(input)? else {
                return Ok(None);
            };
            skip(input, used);
            return Ok(Some(header));
        }
        let mut bytes = self.header;
        let space = bytes.get_mut(before..).unwrap_or_default();
        let mut filled = before;
        for (to, from) in space.iter_mut().zip(input.iter()) {
            *to = *from;
            filled += 1;
        }
        let Some((header, used)) = Header::decode(bytes.get(..filled).unwrap_or_default())? else {
            return Ok(None);
        };
        skip(input, used - before);
        self.header_bytes = 0;
        Ok(Some(header))
    }

    /// Keeps the beginning of a header, which is all that is left of `input`.
    pub(crate) fn keep_header(&mut self, input: &mut &mut [u8]) {
        let space = self.header.get_mut(self.header_bytes..).unwrap_or_default();
        for (to, from) in space.iter_mut().zip(input.iter()) {
            *to = *from;
            self.header_bytes += 1;
        }
        *input = &mut [];
    }
}

impl Reading {
    pub(crate) fn new(header: &Header) -> Self {
        Self {
            frame: header.frame,
            mask: header.mask,
            payload_bytes: header.payload_bytes,
            to_come: header.payload_bytes,
        }
    }

    /// Cuts off what `input` has of the payload, unmasked.
    pub(crate) fn take<'input>(&mut self, input: &mut &'input mut [u8]) -> &'input [u8] {
        let bytes = usize::try_from(self.to_come).unwrap_or(usize::MAX).min(input.len());
        let (chunk, rest) = mem::take(input).split_at_mut(bytes);
        *input = rest;
        self.to_come -= bytes as u64;
        if let Some(key) = &mut self.mask {
            apply_mask(chunk, *key);
            *key = advance_key(*key, bytes);
        }
        chunk
    }
}

/// Moves `input` on.
pub(crate) fn skip(input: &mut &mut [u8], bytes: usize) {
    *input = mem::take(input).get_mut(bytes..).unwrap_or_default();
}

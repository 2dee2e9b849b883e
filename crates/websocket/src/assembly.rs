//! A message whose bytes are still arriving.

use std::borrow::Cow;

use crate::error::DecodeError;
use crate::frame::{Frame, Opcode};
use crate::inflate::Inflater;
use crate::limits::FRAGMENT_CHARGE_BYTES;
use crate::message::Message;
use crate::utf8::Utf8Buffer;

/// The one buffer that all fragments of a message share.
#[derive(Debug)]
pub(crate) struct Assembly {
    body: Body,
    /// Fragments that ended, the last one not counted.
    fragments: u32,
    /// What they count towards the message's limit.
    charged_bytes: usize,
}

#[derive(Debug)]
enum Body {
    Text(Utf8Buffer),
    Binary(Vec<u8>),
    /// Compressed bytes wait for the last one. To inflate them as they come would hold a window
    /// of 32 KiB for each peer that never finishes; what arrived is what is held here.
    Deflated {
        text: bool,
        bytes: Vec<u8>,
    },
}

impl Assembly {
    /// For a message that begins with this frame.
    pub(crate) fn new(first: Frame) -> Self {
        let text = first.opcode == Opcode::Text;
        let body = if first.compressed {
            Body::Deflated { text, bytes: Vec::new() }
        } else if text {
            Body::Text(Utf8Buffer::default())
        } else {
            Body::Binary(Vec::new())
        };
        Self { body, fragments: 0, charged_bytes: 0 }
    }

    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self.body, Body::Deflated { .. })
    }

    pub(crate) fn fragments(&self) -> u32 {
        self.fragments
    }

    pub(crate) fn charged_bytes(&self) -> usize {
        self.charged_bytes
    }

    /// Bytes of heap that the buffer holds.
    pub(crate) fn capacity(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.capacity(),
            Body::Binary(bytes) | Body::Deflated { bytes, .. } => bytes.capacity(),
        }
    }

    /// Appends payload of the current frame, of which `to_come` bytes are still on their way;
    /// `last` if no frame follows it.
    pub(crate) fn push(
        &mut self,
        chunk: &[u8],
        to_come: u64,
        last: bool,
    ) -> Result<(), DecodeError> {
        let len = match &self.body {
            Body::Text(text) => text.len(),
            Body::Binary(bytes) | Body::Deflated { bytes, .. } => bytes.len(),
        };
        let additional = growth(len, self.capacity(), chunk.len(), to_come, last);
        match &mut self.body {
            Body::Text(text) => {
                text.reserve_exact(additional);
                text.push(chunk)
            }
            Body::Binary(bytes) | Body::Deflated { bytes, .. } => {
                bytes.reserve_exact(additional);
                bytes.extend_from_slice(chunk);
                Ok(())
            }
        }
    }

    /// Notes the end of a fragment that is not the last one.
    pub(crate) fn end_fragment(&mut self, payload_bytes: usize) {
        self.fragments += 1;
        self.charged_bytes += charge(payload_bytes, false);
    }

    pub(crate) fn finish<'a>(
        self,
        inflater: &'a mut Inflater,
        inflated_bytes_max: usize,
    ) -> Result<Message<'a>, DecodeError> {
        match self.body {
            Body::Text(text) => Ok(Message::Text(Cow::Owned(text.finish()?))),
            Body::Binary(bytes) => Ok(Message::Binary(Cow::Owned(bytes))),
            Body::Deflated { text: true, bytes } => inflater.text(&bytes, inflated_bytes_max),
            Body::Deflated { text: false, bytes } => inflater.binary(&bytes, inflated_bytes_max),
        }
    }
}

/// What a fragment counts towards its message's limit, in bytes.
pub(crate) fn charge(payload_bytes: usize, last: bool) -> usize {
    if last { payload_bytes } else { payload_bytes.max(FRAGMENT_CHARGE_BYTES) }
}

/// How many bytes to reserve beyond `len`.
///
/// The buffer doubles, so it never holds more than twice what arrived, however long the peer says
/// that the frame will be; and it does not grow beyond the message's end where that is known.
fn growth(len: usize, capacity: usize, chunk: usize, to_come: u64, last: bool) -> usize {
    let needed = len + chunk;
    if needed <= capacity {
        return chunk;
    }
    let end = if last {
        needed.saturating_add(usize::try_from(to_come).unwrap_or(usize::MAX))
    } else {
        usize::MAX
    };
    needed.max(capacity.saturating_mul(2)).min(end) - len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_grows_with_what_arrives_and_not_beyond_the_end() {
        assert_eq!(growth(0, 0, 10, i64::MAX as u64, true), 10);
        assert_eq!(growth(10, 10, 1, i64::MAX as u64, true), 10);
        assert_eq!(growth(10, 10, 1, 4, true), 5);
        assert_eq!(growth(10, 10, 1, 4, false), 10);
        assert_eq!(growth(10, 20, 10, 0, true), 10);
    }
}

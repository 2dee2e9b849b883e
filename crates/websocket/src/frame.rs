//! Frame headers (RFC 6455 section 5.2).

use crate::error::DecodeError;
use crate::mask::MaskKey;

/// The longest header: two bytes, a 64-bit length, a masking key.
pub(crate) const HEADER_BYTES_MAX: usize = 14;

/// The longest payload of a ping, pong or close frame, in bytes (section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
const MASKED: u8 = 0x80;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message that an earlier frame began.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The end of what its sender has to say.
    Close = 0x8,
    /// "Are you there?"
    Ping = 0x9,
    /// The answer to a ping, or an unasked sign of life.
    Pong = 0xa,
}

impl Opcode {
    /// Whether this is a close, ping or pong, which may come between the fragments of a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    const fn from_bits(bits: u8) -> Result<Self, DecodeError> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return Err(DecodeError::ReservedOpcode(bits)),
        })
    }
}

/// A frame's header, without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it carries.
    pub opcode: Opcode,
    /// Whether it is the last one of its message.
    pub fin: bool,
    /// Whether it begins a compressed message (RFC 7692 section 6).
    pub compressed: bool,
}

impl Frame {
    /// A whole, uncompressed message in one frame.
    #[must_use]
    pub const fn whole(opcode: Opcode) -> Self {
        Self { opcode, fin: true, compressed: false }
    }

    const fn first_byte(self) -> u8 {
        self.opcode as u8 | if self.fin { FIN } else { 0 } | if self.compressed { RSV1 } else { 0 }
    }
}

/// A header as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) frame: Frame,
    pub(crate) mask: Option<MaskKey>,
    pub(crate) payload_bytes: u64,
}

impl Header {
    /// Reads a header from the beginning of `bytes`, and says how many bytes it took; `None` when
    /// it is not all there yet.
    ///
    /// What can be judged without knowing the connection is judged here, byte by byte, so a peer
    /// that breaks the rules is found out however its bytes arrive.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        if first & RSV2_AND_3 != 0 {
            return Err(DecodeError::ReservedBits);
        }
        let opcode = Opcode::from_bits(first & 0x0f)?;
        let frame = Frame { opcode, fin: first & FIN != 0, compressed: first & RSV1 != 0 };
        if opcode.is_control() && !frame.fin {
            return Err(DecodeError::FragmentedControl);
        }

        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        let short = second & !MASKED;
        if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(DecodeError::ControlTooLong);
        }
        let Some((payload_bytes, rest)) = decode_length(short, rest)? else {
            return Ok(None);
        };
        let (mask, rest) = if second & MASKED == 0 {
            (None, rest)
        } else {
            let Some((mask, rest)) = rest.split_first_chunk::<4>() else {
                return Ok(None);
            };
            (Some(*mask), rest)
        };
        Ok(Some((Self { frame, mask, payload_bytes }, bytes.len() - rest.len())))
    }

    /// Writes the header, and says how many bytes of the array it took.
    pub(crate) fn encode(&self) -> ([u8; HEADER_BYTES_MAX], usize) {
        let mut header = [0; HEADER_BYTES_MAX];
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        let first = self.frame.first_byte();
        let used = match self.payload_bytes {
            len @ 0..=125 => {
                let [a, b, ..] = &mut header;
                (*a, *b) = (first, masked | len as u8);
                2
            }
            len @ 126..=0xffff => {
                let [a, b, length @ .., _, _, _, _, _, _, _, _, _, _] = &mut header;
                (*a, *b) = (first, masked | LENGTH_16);
                *length = (len as u16).to_be_bytes();
                4
            }
            len => {
                let [a, b, length @ .., _, _, _, _] = &mut header;
                (*a, *b) = (first, masked | LENGTH_64);
                *length = len.to_be_bytes();
                10
            }
        };
        let Some(mask) = self.mask else {
            return (header, used);
        };
        for (to, from) in header.iter_mut().skip(used).zip(mask) {
            *to = from;
        }
        (header, used + 4)
    }
}

/// How many bytes of header an unmasked payload of this length needs: 2, 4 or 10.
pub(crate) const fn unmasked_header_bytes(payload_bytes: usize) -> usize {
    match payload_bytes {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

fn decode_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, DecodeError> {
    match short {
        LENGTH_16 => {
            let Some((length, rest)) = rest.split_first_chunk::<2>() else {
                return Ok(None);
            };
            let length = u16::from_be_bytes(*length);
            if length < 126 {
                return Err(DecodeError::LengthNotMinimal);
            }
            Ok(Some((length.into(), rest)))
        }
        LENGTH_64 => {
            let Some((length, rest)) = rest.split_first_chunk::<8>() else {
                return Ok(None);
            };
            let length = u64::from_be_bytes(*length);
            if length > i64::MAX as u64 {
                return Err(DecodeError::LengthHighBit);
            }
            if length <= 0xffff {
                return Err(DecodeError::LengthNotMinimal);
            }
            Ok(Some((length, rest)))
        }
        short => Ok(Some((short.into(), rest))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_a_round_trip_and_wait_for_their_last_byte() {
        for payload_bytes in [0, 1, 125, 126, 127, 0xffff, 0x10000, i64::MAX as u64] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let frame = Frame { opcode: Opcode::Text, fin: false, compressed: true };
                let header = Header { frame, mask, payload_bytes };
                let (bytes, used) = header.encode();
                for cut in 0..used {
                    assert_eq!(Header::decode(&bytes[..cut]), Ok(None));
                }
                assert_eq!(Header::decode(&bytes[..used]), Ok(Some((header, used))));
                assert_eq!(Header::decode(&bytes), Ok(Some((header, used))));
            }
        }
    }

    #[test]
    fn a_wrong_header_is_refused_at_its_first_wrong_byte() {
        let refused = |bytes: &[u8]| Header::decode(bytes).unwrap_err();
        assert_eq!(refused(&[0xa1]), DecodeError::ReservedBits);
        assert_eq!(refused(&[0x91]), DecodeError::ReservedBits);
        assert_eq!(refused(&[0x83]), DecodeError::ReservedOpcode(3));
        assert_eq!(refused(&[0x8b]), DecodeError::ReservedOpcode(11));
        assert_eq!(refused(&[0x09]), DecodeError::FragmentedControl);
        assert_eq!(refused(&[0x89, 126]), DecodeError::ControlTooLong);
        assert_eq!(refused(&[0x88, 0xff]), DecodeError::ControlTooLong);
        assert_eq!(refused(&[0x81, 126, 0, 125]), DecodeError::LengthNotMinimal);
        assert_eq!(
            refused(&[0x81, 127, 0, 0, 0, 0, 0, 0, 255, 255]),
            DecodeError::LengthNotMinimal
        );
        assert_eq!(refused(&[0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]), DecodeError::LengthHighBit);
    }
}

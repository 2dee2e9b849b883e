//! The write side: frames appended to the caller's buffer (RFC 6455 sections 5 and 6.1).

use crate::close::{Close, CloseCode, fitting_reason};
use crate::frame::{CONTROL_BYTES_MAX, Frame, Header, Opcode, unmasked_header_bytes};
use crate::mask::{MaskKey, apply_mask};

/// Appends frames to a `Vec<u8>`, so that many make one write.
///
/// A server's frames are the same for every client and can be shared; a client makes one encoder
/// per frame, each with a fresh key.
///
/// ```
/// let mut out = Vec::new();
/// websocket::Encoder::server().text(&mut out, "Hello");
/// assert_eq!(out, b"\x81\x05Hello");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoder {
    mask: Option<MaskKey>,
}

impl Encoder {
    /// Writes frames without masks.
    #[must_use]
    pub const fn server() -> Self {
        Self { mask: None }
    }

    /// Writes one frame, masked with a key that must be unpredictable and used once
    /// ([`MaskKeys`](crate::MaskKeys) hands them out).
    #[must_use]
    pub const fn client(mask: MaskKey) -> Self {
        Self { mask: Some(mask) }
    }

    /// Appends a text message.
    pub fn text(self, out: &mut Vec<u8>, text: &str) {
        self.frame(out, Frame::whole(Opcode::Text), text.as_bytes());
    }

    /// Appends a binary message.
    pub fn binary(self, out: &mut Vec<u8>, bytes: &[u8]) {
        self.frame(out, Frame::whole(Opcode::Binary), bytes);
    }

    /// Appends a ping; bytes beyond [`CONTROL_BYTES_MAX`] are left out.
    pub fn ping(self, out: &mut Vec<u8>, bytes: &[u8]) {
        self.control(out, Opcode::Ping, bytes);
    }

    /// Appends a pong; bytes beyond [`CONTROL_BYTES_MAX`] are left out.
    pub fn pong(self, out: &mut Vec<u8>, bytes: &[u8]) {
        self.control(out, Opcode::Pong, bytes);
    }

    /// Appends a close frame. A reason that is too long is cut at a character's boundary
    /// ([`CLOSE_REASON_BYTES_MAX`](crate::CLOSE_REASON_BYTES_MAX)).
    pub fn close(self, out: &mut Vec<u8>, code: CloseCode, reason: &str) {
        let reason = fitting_reason(reason);
        let frame = self.begin(out, 2 + reason.len());
        out.extend_from_slice(&code.get().to_be_bytes());
        out.extend_from_slice(reason.as_bytes());
        frame.finish(out, Frame::whole(Opcode::Close));
    }

    /// Appends the close frame that answers the peer's: the same code, or none if it gave none
    /// (section 5.5.1).
    pub fn close_reply(self, out: &mut Vec<u8>, received: Option<&Close<'_>>) {
        match received {
            Some(close) => self.close(out, close.code, ""),
            None => self.frame(out, Frame::whole(Opcode::Close), &[]),
        }
    }

    /// Appends any frame: a fragment, or a payload that was compressed elsewhere.
    pub fn frame(self, out: &mut Vec<u8>, frame: Frame, payload: &[u8]) {
        let header = Header { frame, mask: self.mask, payload_bytes: payload.len() as u64 };
        let (header, used) = header.encode();
        let header = header.get(..used).unwrap_or_default();
        out.reserve(used + payload.len());
        out.extend_from_slice(header);
        let start = out.len();
        out.extend_from_slice(payload);
        if let (Some(key), Some(payload)) = (self.mask, out.get_mut(start..)) {
            apply_mask(payload, key);
        }
    }

    /// Appends the header of a frame whose payload the caller appends right behind it, where its
    /// length is known: it must have exactly `payload_bytes` bytes. For an encoder that masks, use
    /// [`begin`](Self::begin).
    pub fn header(self, out: &mut Vec<u8>, frame: Frame, payload_bytes: usize) {
        debug_assert!(self.mask.is_none(), "a masked payload has to be whole");
        let header = Header { frame, mask: self.mask, payload_bytes: payload_bytes as u64 };
        let (header, used) = header.encode();
        out.extend_from_slice(header.get(..used).unwrap_or(&header));
    }

    /// Begins a frame whose length is not known yet: append the payload to `out`, then call
    /// [`finish`](OpenFrame::finish).
    ///
    /// Room for the header is left by the class of `payload_bytes_hint` (up to 125 bytes, up to
    /// 65,535, more), so nothing is copied where the hint falls into the right one; otherwise
    /// `finish` shifts the payload by up to 8 bytes.
    pub fn begin(self, out: &mut Vec<u8>, payload_bytes_hint: usize) -> OpenFrame {
        let mask_bytes = if self.mask.is_some() { 4 } else { 0 };
        let room = unmasked_header_bytes(payload_bytes_hint) + mask_bytes;
        let start = out.len();
        out.resize(start + room, 0);
        OpenFrame { mask: self.mask, start, room }
    }

    fn control(self, out: &mut Vec<u8>, opcode: Opcode, bytes: &[u8]) {
        debug_assert!(bytes.len() <= CONTROL_BYTES_MAX, "{} bytes", bytes.len());
        let bytes = bytes.get(..CONTROL_BYTES_MAX).unwrap_or(bytes);
        self.frame(out, Frame::whole(opcode), bytes);
    }
}

/// A frame whose payload is being appended; see [`Encoder::begin`].
#[derive(Debug)]
#[must_use = "without `finish` the buffer holds a hole where the header belongs"]
pub struct OpenFrame {
    mask: Option<MaskKey>,
    start: usize,
    room: usize,
}

impl OpenFrame {
    /// Where the payload begins in the buffer, until [`finish`](Self::finish).
    #[must_use]
    pub const fn payload_start(&self) -> usize {
        self.start + self.room
    }

    /// Writes the header in front of what was appended since [`Encoder::begin`], masks it if need
    /// be, and returns the length of the whole frame in bytes.
    pub fn finish(self, out: &mut Vec<u8>, frame: Frame) -> usize {
        let before = self.payload_start();
        debug_assert!(out.len() >= before, "the buffer was cut below the frame's beginning");
        let payload_bytes = out.len().saturating_sub(before);
        let header = Header { frame, mask: self.mask, payload_bytes: payload_bytes as u64 };
        let (header, used) = header.encode();
        let after = self.start + used;
        if used > self.room {
            out.resize(after + payload_bytes, 0);
        }
        if used != self.room {
            out.copy_within(before..before + payload_bytes, after);
            out.truncate(after + payload_bytes);
        }
        for (to, from) in out.iter_mut().skip(self.start).zip(header.iter().take(used)) {
            *to = *from;
        }
        if let (Some(key), Some(payload)) = (self.mask, out.get_mut(after..)) {
            apply_mask(payload, key);
        }
        used + payload_bytes
    }

    /// Finishes a compressed message that was appended as one or more
    /// [bodies](crate::Deflater::body).
    pub fn finish_compressed(self, out: &mut Vec<u8>, opcode: Opcode) -> usize {
        // The receiver puts the last body's marker back (RFC 7692 section 7.2.1).
        debug_assert!(out.ends_with(&crate::deflate::MARKER), "no body was appended");
        out.truncate(out.len() - crate::deflate::MARKER.len());
        self.finish(out, Frame { opcode, fin: true, compressed: true })
    }

    /// Takes the frame back: the buffer is as it was before [`Encoder::begin`].
    pub fn cancel(self, out: &mut Vec<u8>) {
        out.truncate(self.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_unknown_length_is_the_same_as_one_of_known_length() {
        let key = [9, 8, 7, 6];
        for encoder in [Encoder::server(), Encoder::client(key)] {
            for len in [0, 1, 125, 126, 1000, 0xffff, 0x10000, 100_000] {
                let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
                let mut expected = b"before".to_vec();
                encoder.binary(&mut expected, &payload);
                for hint in [0, 126, 0x10000] {
                    let mut out = b"before".to_vec();
                    let frame = encoder.begin(&mut out, hint);
                    out.extend_from_slice(&payload);
                    let bytes = frame.finish(&mut out, Frame::whole(Opcode::Binary));
                    assert_eq!(out, expected, "{len} bytes, hint {hint}");
                    assert_eq!(bytes, out.len() - b"before".len());
                }
            }
        }
    }

    #[test]
    fn a_header_may_be_written_before_its_payload() {
        for len in [0, 125, 126, 0xffff, 0x10000] {
            let payload = vec![7; len];
            let (mut expected, mut out) = (Vec::new(), Vec::new());
            Encoder::server().binary(&mut expected, &payload);
            Encoder::server().header(&mut out, Frame::whole(Opcode::Binary), len);
            out.extend_from_slice(&payload);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_cancelled_frame_leaves_nothing() {
        let mut out = b"before".to_vec();
        let frame = Encoder::server().begin(&mut out, 1000);
        assert_eq!(frame.payload_start(), 10);
        out.extend_from_slice(b"half a payload");
        frame.cancel(&mut out);
        assert_eq!(out, b"before");
    }

    #[test]
    fn frames_are_as_in_the_examples_of_the_rfc() {
        // RFC 6455 section 5.7.
        let mut out = Vec::new();
        Encoder::client([0x37, 0xfa, 0x21, 0x3d]).text(&mut out, "Hello");
        assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        out.clear();
        Encoder::server().ping(&mut out, b"Hello");
        assert_eq!(out, b"\x89\x05Hello");
        out.clear();
        Encoder::server().binary(&mut out, &[7; 256]);
        assert_eq!(out.get(..4), Some(&b"\x82\x7e\x01\x00"[..]));
        out.clear();
        Encoder::server().binary(&mut out, &[7; 0x10000]);
        assert_eq!(out.get(..10), Some(&b"\x82\x7f\0\0\0\0\0\x01\0\0"[..]));
    }

    #[test]
    fn close_frames_repeat_the_code_and_cut_the_reason() {
        let mut out = Vec::new();
        Encoder::server().close(&mut out, CloseCode::TOO_BIG, &"x".repeat(200));
        assert_eq!(out.len(), 127);
        assert_eq!(out.get(..4), Some(&[0x88, 125, 0x03, 0xf1][..]));
        out.clear();
        let close = Close { code: CloseCode::NORMAL, reason: "bye".into() };
        Encoder::server().close_reply(&mut out, Some(&close));
        Encoder::server().close_reply(&mut out, None);
        assert_eq!(out, [0x88, 2, 0x03, 0xe8, 0x88, 0]);
    }
}

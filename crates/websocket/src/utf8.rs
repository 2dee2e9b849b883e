//! Text that arrives in pieces, checked as it arrives.

use crate::error::DecodeError;

/// A string under construction that refuses the first byte that cannot be UTF-8.
///
/// Whole characters go into the string at once; at most three bytes of one whose end is still to
/// come wait beside it. So nothing is checked twice, and the string is finished without a pass
/// over all of it.
#[derive(Debug, Default)]
pub(crate) struct Utf8Buffer {
    text: String,
    waiting: [u8; 4],
    waiting_bytes: u8,
}

impl Utf8Buffer {
    /// Bytes so far, those that wait included.
    pub(crate) fn len(&self) -> usize {
        self.text.len() + usize::from(self.waiting_bytes)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Makes room for `additional` bytes, and no more.
    pub(crate) fn reserve_exact(&mut self, additional: usize) {
        // What waits has been counted by the caller, and is not in the string yet.
        self.text.reserve_exact(additional + usize::from(self.waiting_bytes));
    }

    /// Appends the next bytes.
    ///
    /// # Errors
    ///
    /// `InvalidUtf8` as soon as no continuation could make them valid.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let bytes = self.complete_waiting(bytes)?;
        match simdutf8::compat::from_utf8(bytes) {
            Ok(text) => self.text.push_str(text),
            Err(error) if error.error_len().is_some() => return Err(DecodeError::InvalidUtf8),
            Err(error) => {
                // The piece ends inside a character.
                let (whole, cut) = bytes.split_at(error.valid_up_to());
                let whole = simdutf8::basic::from_utf8(whole);
                self.text.push_str(whole.map_err(|_| DecodeError::InvalidUtf8)?);
                for &byte in cut {
                    self.wait(byte);
                }
            }
        }
        Ok(())
    }

    /// The whole text.
    ///
    /// # Errors
    ///
    /// `InvalidUtf8` when it ends inside a character.
    pub(crate) fn finish(self) -> Result<String, DecodeError> {
        if self.waiting_bytes == 0 { Ok(self.text) } else { Err(DecodeError::InvalidUtf8) }
    }

    /// Adds bytes to the waiting character until it is whole, and returns what is left of them.
    fn complete_waiting<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], DecodeError> {
        while self.waiting_bytes > 0 {
            let Some((&byte, rest)) = bytes.split_first() else {
                break;
            };
            self.wait(byte);
            bytes = rest;
            let waiting = self.waiting.get(..usize::from(self.waiting_bytes)).unwrap_or_default();
            match std::str::from_utf8(waiting) {
                Ok(character) => {
                    self.text.push_str(character);
                    self.waiting_bytes = 0;
                }
                Err(error) if error.error_len().is_some() => return Err(DecodeError::InvalidUtf8),
                Err(_) => {}
            }
        }
        Ok(bytes)
    }

    /// A character is at most four bytes and leaves with its last one, so there is always room.
    fn wait(&mut self, byte: u8) {
        if let Some(slot) = self.waiting.get_mut(usize::from(self.waiting_bytes)) {
            *slot = byte;
            self.waiting_bytes += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push_all(pieces: &[&[u8]]) -> Result<String, DecodeError> {
        let mut buffer = Utf8Buffer::default();
        for piece in pieces {
            buffer.push(piece)?;
        }
        buffer.finish()
    }

    #[test]
    fn characters_may_be_cut_anywhere() {
        let text = "κόσμε 𝄞 ascii ￿ \u{10ffff}".as_bytes();
        for a in 0..text.len() {
            for b in a..text.len() {
                let joined = push_all(&[&text[..a], &text[a..b], &text[b..]]);
                assert_eq!(joined.unwrap().as_bytes(), text);
            }
        }
    }

    #[test]
    fn the_first_impossible_byte_fails() {
        // A surrogate, a character beyond U+10FFFF, overlong forms, a stray continuation: each
        // fails at the byte after which nothing could be right.
        let impossible: [&[u8]; 6] =
            [b"\xed\xa0", b"\xf4\x90", b"\xe0\x80", b"\xf0\x80", b"\xc0", b"\x80"];
        for bytes in impossible {
            let mut buffer = Utf8Buffer::default();
            buffer.push(b"ok ").unwrap();
            let (last, before) = bytes.split_last().unwrap();
            for byte in before {
                buffer.push(&[*byte]).unwrap();
            }
            assert_eq!(buffer.push(&[*last]), Err(DecodeError::InvalidUtf8), "{bytes:x?}");
        }
    }

    #[test]
    fn text_must_not_end_inside_a_character() {
        assert_eq!(push_all(&[b"\xe2\x82"]), Err(DecodeError::InvalidUtf8));
    }
}

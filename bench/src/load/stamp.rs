//! What events carry, so that each can be told apart in whatever envelope a server puts around it.

/// What stands before the numbers.
const MARK: &[u8] = b"@@";
const TIME_DIGITS: usize = 12;
const NUMBER_DIGITS: usize = 10;
/// Bytes of a stamp.
pub(crate) const STAMP_BYTES: usize = MARK.len() + TIME_DIGITS + NUMBER_DIGITS;

/// An event's place among those of its topic, and when it was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Microseconds since the load began.
    pub(crate) micros: u64,
    /// From 1.
    pub(crate) number: u64,
}

impl Stamp {
    /// A JSON object of about `bytes` bytes with this stamp in it; without characters that some
    /// envelope would escape beyond the quotes of JSON itself.
    pub(crate) fn data(self, bytes: usize, padding: Padding, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"k\":\"");
        let start = out.len();
        out.extend_from_slice(MARK);
        push_digits(self.micros, TIME_DIGITS, out);
        push_digits(self.number, NUMBER_DIGITS, out);
        debug_assert_eq!(out.len() - start, STAMP_BYTES);
        out.extend_from_slice(b"\",\"p\":\"");
        let left = bytes.saturating_sub(6 + STAMP_BYTES + 9);
        padding.push(left, self.number, out);
        out.extend_from_slice(b"\"}");
    }
}

/// Finds stamps in whatever stands around them.
pub(crate) struct Finder {
    mark: memchr::memmem::Finder<'static>,
}

impl Finder {
    pub(crate) fn new() -> Self {
        Self { mark: memchr::memmem::Finder::new(MARK) }
    }

    /// Every stamp in a frame's payload, in order.
    pub(crate) fn stamps<'a>(&'a self, payload: &'a [u8]) -> impl Iterator<Item = Stamp> + 'a {
        let mut rest = payload;
        std::iter::from_fn(move || {
            loop {
                // What follows a stamp is shorter than one, or there is another.
                if rest.len() < STAMP_BYTES {
                    return None;
                }
                let at = self.mark.find(rest)?;
                let digits = rest.get(at + MARK.len()..)?;
                rest = digits;
                let Some((digits, behind)) = digits.split_first_chunk() else { continue };
                if let Some(stamp) = stamp_of(digits) {
                    rest = behind;
                    return Some(stamp);
                }
            }
        })
    }
}

fn stamp_of(digits: &[u8; TIME_DIGITS + NUMBER_DIGITS]) -> Option<Stamp> {
    let [t @ .., n0, n1, n2, n3, n4, n5, n6, n7, n8, n9] = *digits;
    let (time, number) = (t, [n0, n1, n2, n3, n4, n5, n6, n7, n8, n9]);
    Some(Stamp { micros: digits_of(&time)?, number: digits_of(&number)? })
}

/// What fills an event up to its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Padding {
    /// One letter.
    #[default]
    Plain,
    /// Words and numbers, of which a compressor can make as little as of real events.
    Words,
}

impl Padding {
    fn push(self, bytes: usize, number: u64, out: &mut Vec<u8>) {
        let end = out.len() + bytes;
        if self == Self::Words {
            const WORDS: [&str; 8] =
                ["temperature", "position", "confidence", "status", "running", "left", "ok", "id"];
            let mut random = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            while out.len() + 32 < end {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let word = WORDS.get((random % 8) as usize).copied().unwrap_or("");
                out.extend_from_slice(word.as_bytes());
                out.push(b' ');
                push_digits(random % 100_000, 5, out);
                out.push(b' ');
            }
        }
        out.resize(end.max(out.len()), b'x');
    }
}

fn push_digits(mut value: u64, count: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + count, b'0');
    for digit in out.iter_mut().skip(start).rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Without a branch per digit: a load reads millions of them a second.
fn digits_of(bytes: &[u8]) -> Option<u64> {
    let (mut value, mut are_digits) = (0, true);
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        are_digits &= digit < 10;
        value = value * 10 + u64::from(digit);
    }
    are_digits.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_found_in_any_envelope() {
        let stamps = [Stamp { micros: 17, number: 1 }, Stamp { micros: 999_999, number: 12_345 }];
        let mut payload = b"42[\"event\",@@nothing ".to_vec();
        for stamp in stamps {
            stamp.data(128, Padding::Plain, &mut payload);
        }
        assert_eq!(Finder::new().stamps(&payload).collect::<Vec<_>>(), stamps);
        let mut data = Vec::new();
        for padding in [Padding::Plain, Padding::Words] {
            data.clear();
            stamps[1].data(1024, padding, &mut data);
            assert_eq!(data.len(), 1024);
            assert!(serde_json::from_slice::<serde_json::Value>(&data).is_ok());
        }
    }
}

//! The wire format of Protobuf, as far as proto3 uses it: <https://protobuf.dev/programming-guides/encoding/>.

/// Kinds of values, as keys spell them.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// A value as it stands on the wire, borrowed from the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire<'a> {
    /// Integers and booleans.
    Varint(u64),
    /// Doubles, as bits.
    Fixed64(u64),
    /// Nothing that the protocol uses.
    Fixed32,
    /// Strings, bytes and messages.
    Bytes(&'a [u8]),
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The fields of an encoded message, in order; ends behind the first [`Malformed`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `message`.
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Whether every field of `message` can be read. What its messages hold is not looked at.
    pub(super) fn check(message: &[u8]) -> Result<(), Malformed> {
        Reader::new(message).try_for_each(|field| field.map(drop))
    }

    /// The values of one field of a message that was checked.
    pub(super) fn values(message: &'a [u8], number: u32) -> impl Iterator<Item = Wire<'a>> {
        Self::new(message).flatten().filter(move |field| field.0 == number).map(|(_, wire)| wire)
    }

    fn field(&mut self) -> Result<(u32, Wire<'a>), Malformed> {
        let key = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let (number, kind) = (key >> 3, key & 7);
        if number == 0 {
            return Err(Malformed);
        }
        let wire = match kind {
            VARINT => Wire::Varint(self.varint()?),
            FIXED64 => Wire::Fixed64(u64::from_le_bytes(*self.array()?)),
            FIXED32 => self.array::<4>().map(|_| Wire::Fixed32)?,
            BYTES => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
                self.rest = rest;
                Wire::Bytes(bytes)
            }
            // Groups are of proto2; no language's proto3 writes them.
            _ => return Err(Malformed),
        };
        Ok((number, wire))
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(array)
    }

    /// Seven bits a byte, the lowest first, in at most ten bytes; bits above the 64th are dropped.
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(Malformed)?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u32, Wire<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Appends a message, or only counts its bytes: the length of a message within another stands
/// before it, so that it is counted first and then written in its place, never moved or copied.
pub(super) struct Writer<'o> {
    out: Option<&'o mut Vec<u8>>,
    bytes: usize,
}

impl<'o> Writer<'o> {
    /// Appends to `out`.
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out: Some(out), bytes: 0 }
    }

    /// An integer without sign.
    pub(super) fn uint(&mut self, number: u32, value: u64) {
        self.key(number, VARINT);
        self.varint(value);
    }

    /// An integer that may be negative, as `int64` has it.
    pub(super) fn int(&mut self, number: u32, value: i64) {
        self.uint(number, value.cast_unsigned());
    }

    /// A boolean.
    pub(super) fn bool(&mut self, number: u32, value: bool) {
        self.uint(number, value.into());
    }

    /// A size.
    pub(super) fn size(&mut self, number: u32, value: usize) {
        self.uint(number, value as u64);
    }

    /// A string.
    pub(super) fn str(&mut self, number: u32, text: &str) {
        self.bytes(number, text.as_bytes());
    }

    /// Bytes.
    pub(super) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.key(number, BYTES);
        self.varint(bytes.len() as u64);
        self.put(bytes);
    }

    /// A message, which `body` writes; it is called twice and must write the same.
    pub(super) fn message(&mut self, number: u32, body: impl Fn(&mut Writer<'_>)) {
        let mut counted = Writer { out: None, bytes: 0 };
        body(&mut counted);
        self.key(number, BYTES);
        self.varint(counted.bytes as u64);
        match self.out {
            Some(_) => body(self),
            None => self.bytes += counted.bytes,
        }
    }

    fn key(&mut self, number: u32, kind: u32) {
        self.varint(u64::from(number << 3 | kind));
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.put(&[number as u8 | 0x80]);
            number >>= 7;
        }
        self.put(&[number as u8]);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        if let Some(out) = &mut self.out {
            out.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u32, Wire<'_>)>, Malformed> {
        Reader::new(bytes).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        writer.uint(1, 150);
        writer.int(2, -1);
        writer.bool(16, true);
        writer.message(4, |inner| inner.message(1, |innermost| innermost.bytes(2, &[7; 200])));
        assert_eq!(out.get(..3), Some(&[0x08, 0x96, 0x01][..]));
        let fields = read(&out).unwrap();
        let ints = [(1, Wire::Varint(150)), (2, Wire::Varint(u64::MAX)), (16, Wire::Varint(1))];
        assert_eq!(fields[..3], ints);
        let (4, Wire::Bytes(inner)) = fields[3] else { panic!("{fields:?}") };
        let (1, Wire::Bytes(innermost)) = read(inner).unwrap()[0] else { panic!("{inner:?}") };
        assert_eq!(read(innermost).unwrap(), [(2, Wire::Bytes(&[7; 200]))]);
    }

    #[test]
    fn fixed_values_are_passed_over_or_read() {
        let bytes = [&[0x0d, 1, 2, 3, 4, 0x11][..], &1.5_f64.to_le_bytes()].concat();
        let double = Wire::Fixed64(1.5_f64.to_bits());
        assert_eq!(read(&bytes).unwrap(), [(1, Wire::Fixed32), (2, double)]);
    }

    #[test]
    fn what_is_cut_off_or_none_of_it_is_malformed() {
        for bytes in [
            &b"\x08"[..],
            b"\x80",
            b"\x0a",
            b"\x0a\x01",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            b"\x0d\x01",
            b"\x11\x01\x02",
            b"\x00\x00",
            b"\x0b",
            b"\x0f",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\xff\xff\xff\xff\xff\x01\x00",
        ] {
            assert_eq!(read(bytes), Err(Malformed), "{bytes:x?}");
            assert_eq!(Reader::check(bytes), Err(Malformed), "{bytes:x?}");
        }
    }
}

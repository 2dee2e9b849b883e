use std::fmt;
use std::str::FromStr;

use super::{ParseError, number_and_unit, serde_as_text};

/// A size in bytes: `64KiB`, `1MiB`, `500kB`, or a plain number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// Binary units, largest first, so that `Display` finds the shortest spelling; then decimal ones.
const UNITS: [(&str, u64); 11] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("", 1),
];

impl ByteSize {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many KiB (1,024 bytes); saturates.
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib.saturating_mul(1 << 10))
    }

    /// So many MiB (1,048,576 bytes); saturates.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }

    /// In bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// In bytes, as a length in memory; saturates where addresses have fewer than 64 bits.
    pub fn as_len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |&&(_, bytes): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(bytes);
        let (unit, bytes) = UNITS.iter().find(fits).copied().unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

impl FromStr for ByteSize {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let form = || ParseError::new("write a number and a unit, such as `64KiB` or `1MiB`");
        let (number, unit) = number_and_unit(text).ok_or_else(form)?;
        let (_, bytes) =
            UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| not_a_unit(unit))?;
        number.checked_mul(*bytes).map(Self).ok_or_else(|| ParseError::new("that is too large"))
    }
}

/// `64k` and `64mb` are guessed at, but not taken: 1,000 and 1,024 differ.
fn not_a_unit(unit: &str) -> ParseError {
    let initial = unit.chars().next().map_or('?', |c| c.to_ascii_uppercase());
    ParseError::new(match initial {
        'K' | 'M' | 'G' | 'T' => {
            format!("`{unit}` is not a unit of size: did you mean `{initial}iB`?")
        }
        _ => format!("`{unit}` is not a unit of size: use B, KiB, MiB or GiB"),
    })
}

serde_as_text!(ByteSize);

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{ParseError, number_and_unit, serde_as_text};

/// A length of time in whole milliseconds, written with its unit: `500ms`, `30s`, `10m`, `24h`,
/// `7d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timespan(u64);

/// Largest first, so that `Display` finds the shortest spelling.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Timespan {
    /// So many milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// So many seconds; saturates.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000))
    }

    /// So many minutes; saturates.
    pub const fn from_mins(mins: u64) -> Self {
        Self(mins.saturating_mul(60_000))
    }

    /// So many hours; saturates.
    pub const fn from_hours(hours: u64) -> Self {
        Self(hours.saturating_mul(3_600_000))
    }

    /// Whole milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0
    }
}

impl From<Timespan> for Duration {
    fn from(span: Timespan) -> Self {
        Self::from_millis(span.0)
    }
}

impl fmt::Display for Timespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        // A single day reads better as 24h.
        let fits = |(unit, ms): &&(&str, u64)| {
            self.0.is_multiple_of(*ms) && (*unit != "d" || self.0 > *ms)
        };
        let (unit, ms) = UNITS.iter().find(fits).copied().unwrap_or(("ms", 1));
        write!(f, "{}{unit}", self.0 / ms)
    }
}

impl FromStr for Timespan {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let form =
            || ParseError::new("write a number and a unit, such as `500ms`, `30s`, `10m` or `24h`");
        let (number, unit) = number_and_unit(text).ok_or_else(form)?;
        if unit.is_empty() {
            return Err(ParseError::new(format!(
                "the unit is missing: write `{text}s` for seconds"
            )));
        }
        let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| {
            ParseError::new(format!("`{unit}` is not a unit of time: use ms, s, m, h or d"))
        })?;
        number.checked_mul(*ms).map(Self).ok_or_else(|| ParseError::new("that is too long"))
    }
}

serde_as_text!(Timespan);

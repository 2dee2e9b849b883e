use std::fmt;
use std::str::FromStr;

use super::{ParseError, Timespan, digits_with_underscores, serde_as_text};

/// How many in how long: `100/min`, `10/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many; at least one.
    pub count: u32,
    /// In how long.
    pub per: Period,
}

/// The time that a rate counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// `/s`
    Second,
    /// `/min`
    Minute,
    /// `/h`
    Hour,
}

impl Period {
    const ALL: [Self; 3] = [Self::Second, Self::Minute, Self::Hour];

    fn as_str(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
        }
    }
}

impl Rate {
    /// Whether another one lets more through.
    pub(crate) fn is_slower(self, other: Self) -> bool {
        let per_hour = |rate: Self| {
            let hour_ms = Timespan::from_hours(1).as_ms();
            u64::from(rate.count) * (hour_ms / Timespan::from(rate.per).as_ms())
        };
        per_hour(self) < per_hour(other)
    }
}

impl From<Period> for Timespan {
    fn from(period: Period) -> Self {
        match period {
            Period::Second => Self::from_secs(1),
            Period::Minute => Self::from_mins(1),
            Period::Hour => Self::from_hours(1),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per.as_str())
    }
}

impl FromStr for Rate {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let form = || ParseError::new("write how many in how long, such as `100/min` or `10/s`");
        let (count, per) = text.split_once('/').ok_or_else(form)?;
        let count = digits_with_underscores(count.trim()).ok_or_else(form)?;
        let count = u32::try_from(count).map_err(|_| ParseError::new("that is too many"))?;
        if count == 0 {
            return Err(ParseError::new("a rate of none would let nothing through"));
        }
        let per = per.trim();
        let per =
            Period::ALL.into_iter().find(|period| period.as_str() == per).ok_or_else(|| {
                ParseError::new(format!("`{per}` is not a time of a rate: use s, min or h"))
            })?;
        Ok(Self { count, per })
    }
}

serde_as_text!(Rate);

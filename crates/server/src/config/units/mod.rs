use std::fmt;

mod bytes;
mod network;
mod rate;
mod timespan;

pub use bytes::ByteSize;
pub(super) use network::without_password;
pub use network::{EndpointPath, HostName, Url, WebOrigin};
pub use rate::{Period, Rate};
pub use timespan::Timespan;

/// Why a text is not the value that is wanted, as the end of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

impl ParseError {
    pub(super) fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}

/// Splits `30s` into its digits, with `_` between them taken out, and its unit.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    Some((digits_with_underscores(digits)?, unit.trim_start()))
}

/// Reads `100_000`. Underscores stand between digits, as in TOML.
pub(super) fn digits_with_underscores(text: &str) -> Option<u64> {
    if text.split('_').any(|part| part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// A number of many digits in groups of three; anything else as it is.
pub(super) fn grouped(value: impl fmt::Display) -> String {
    let text = value.to_string();
    if text.len() < 5 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return text;
    }
    let mut grouped = String::new();
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (text.len() - at).is_multiple_of(3) {
            grouped.push('_');
        }
        grouped.push(digit);
    }
    grouped
}

/// Lets a value with `Display` and `FromStr` be text in serde's formats.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(input)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
use serde_as_text;

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use serde_json::value::RawValue;

use super::wire::{Reader, Wire};
use crate::command::Mode;
use crate::dialects::spelling::object::{Items, Object, Text};
use crate::error::Error;
use crate::json::check_depth;

/// Longest name of a device, user, group or idempotency key, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// What a field is called in JSON, and its number in `tidings.proto`.
pub(super) type Key = (&'static str, u32);

/// Whether a device can have this name.
pub fn is_device(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// Where a value stands in a message; spelled out only for errors.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    /// The body of a verb.
    Verb(&'static str),
    /// A field of an object.
    Field(&'p Path<'p>, &'static str),
    /// An item of a list.
    Item(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verb(verb) => f.write_str(verb),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, at) => write!(f, "{parent}[{at}]"),
        }
    }
}

/// The fields of one object, however it is encoded.
#[expect(clippy::large_enum_variant, reason = "on the stack, while one message is read")]
pub(super) enum Fields<'a> {
    /// A JSON object.
    Json(Object<'a>),
    /// A Protobuf message whose fields can be read.
    Protobuf(&'a [u8]),
}

impl<'a> Fields<'a> {
    /// The field of that key, if it is there; in Protobuf the last one counts.
    pub(super) fn get<'p>(&self, path: &'p Path<'p>, (name, number): Key) -> Option<Value<'p, 'a>> {
        let raw = match *self {
            Self::Json(ref object) => Raw::Json(object.get(name)?),
            Self::Protobuf(message) => {
                let last = Reader::values(message, number).last()?;
                Raw::Protobuf { last, all: (message, number) }
            }
        };
        Some(Value { raw, path: Path::Field(path, name) })
    }

    /// Whether empty values may be left out.
    pub(super) fn is_protobuf(&self) -> bool {
        matches!(self, Self::Protobuf(_))
    }

    /// The field of that key, or the error that it is missing.
    pub(super) fn require<'p>(&self, path: &'p Path<'p>, key: Key) -> Result<Value<'p, 'a>, Error> {
        let (name, _) = key;
        self.get(path, key).ok_or_else(|| Error::bad_request(format!("{path}.{name} is missing")))
    }
}

/// A value as it came.
#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    /// Valid JSON text.
    Json(&'a RawValue),
    /// A value of Protobuf.
    Protobuf {
        /// The value; where the field stands several times, the last one.
        last: Wire<'a>,
        /// The message and the number of the field: a list stands there item by item.
        all: (&'a [u8], u32),
    },
}

impl<'a> Raw<'a> {
    /// A value of Protobuf that stands alone.
    pub(super) fn one(wire: Wire<'a>) -> Self {
        Self::Protobuf { last: wire, all: (&[], 0) }
    }
}

/// A value of a message, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Value<'p, 'a> {
    /// As it came.
    pub(super) raw: Raw<'a>,
    /// Where it stands.
    pub(super) path: Path<'p>,
}

impl<'a> Value<'_, 'a> {
    /// The error that this value is not `what`.
    pub(super) fn must_be(&self, what: impl fmt::Display) -> Error {
        Error::bad_request(format!("{} must be {what}", self.path))
    }

    /// `error` with the place in front.
    pub(super) fn explain(&self, mut error: Error) -> Error {
        error.message = format!("{}: {}", self.path, error.message);
        error
    }

    /// A string.
    pub(super) fn text(&self, what: &str) -> Result<Cow<'a, str>, Error> {
        let text = match self.raw {
            Raw::Json(raw) => serde_json::from_str(raw.get()).ok().map(|Text(text)| text),
            Raw::Protobuf { last: Wire::Bytes(bytes), .. } => {
                std::str::from_utf8(bytes).ok().map(Cow::Borrowed)
            }
            Raw::Protobuf { .. } => None,
        };
        text.ok_or_else(|| self.must_be(what))
    }

    /// A string that names something: not empty, bounded, without control characters.
    pub(super) fn name(&self) -> Result<Cow<'a, str>, Error> {
        self.short_text(NAME_BYTES_MAX)
    }

    /// A string of 1 to `bytes_max` bytes without control characters.
    pub(super) fn short_text(&self, bytes_max: usize) -> Result<Cow<'a, str>, Error> {
        let text = self.text("a string")?;
        if !(1..=bytes_max).contains(&text.len()) {
            return Err(self.must_be(format_args!("1 to {bytes_max} bytes long")));
        }
        if text.chars().any(char::is_control) {
            return Err(self.must_be("a string without control characters"));
        }
        Ok(text)
    }

    /// A string that `parse` understands; its error is told with the place in front.
    pub(super) fn parse<T>(
        &self,
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, Error>,
    ) -> Result<T, Error> {
        parse(&self.text(what)?).map_err(|error| self.explain(error))
    }

    /// Bytes, which only Protobuf has.
    pub(super) fn bytes(&self) -> Result<&'a [u8], Error> {
        match self.raw {
            Raw::Protobuf { last: Wire::Bytes(bytes), .. } => Ok(bytes),
            _ => Err(self.must_be("bytes")),
        }
    }

    /// Valid JSON: the value itself or, in Protobuf, what its bytes hold.
    pub(super) fn json(&self) -> Result<&'a RawValue, Error> {
        let Raw::Json(raw) = self.raw else {
            let bytes = self.bytes()?;
            check_depth(bytes).map_err(|error| self.explain(error))?;
            return serde_json::from_slice(bytes).map_err(|_| self.must_be("valid JSON"));
        };
        Ok(raw)
    }

    /// How many bytes it takes.
    pub(super) fn len(&self) -> usize {
        match self.raw {
            Raw::Json(raw) => raw.get().len(),
            Raw::Protobuf { last: Wire::Bytes(bytes), .. } => bytes.len(),
            Raw::Protobuf { .. } => 0,
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, Error> {
        match self.raw {
            Raw::Json(raw) => raw.get().parse().ok(),
            Raw::Protobuf { last: Wire::Varint(number), .. } => Some(number != 0),
            Raw::Protobuf { .. } => None,
        }
        .ok_or_else(|| self.must_be("true or false"))
    }

    /// An integer that may be negative.
    pub(super) fn signed_integer(&self) -> Option<i64> {
        match self.raw {
            // JSON and Rust spell integers alike, except that Rust also takes `+`, which no JSON has.
            Raw::Json(raw) => raw.get().parse().ok(),
            Raw::Protobuf { last: Wire::Varint(number), .. } => Some(number.cast_signed()),
            Raw::Protobuf { .. } => None,
        }
    }

    /// An integer within `range`.
    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Result<u64, Error> {
        let number = match self.raw {
            Raw::Json(raw) => raw.get().parse().ok(),
            Raw::Protobuf { last: Wire::Varint(number), .. } => Some(number),
            Raw::Protobuf { .. } => None,
        };
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            self.must_be(format_args!("an integer from {} to {}", range.start(), range.end()))
        })
    }

    /// An integer within `range`, for values that are kept in 32 bits.
    pub(super) fn small_integer(&self, range: RangeInclusive<u32>) -> Result<u32, Error> {
        let wide = u64::from(*range.start())..=u64::from(*range.end());
        self.integer(wide).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// How often per second the newest events are read.
    pub(super) fn rate(&self) -> Result<f64, Error> {
        let number = match self.raw {
            Raw::Json(raw) => serde_json::from_str(raw.get()).ok(),
            Raw::Protobuf { last: Wire::Fixed64(bits), .. } => Some(f64::from_bits(bits)),
            Raw::Protobuf { .. } => None,
        };
        number
            .filter(|number| Mode::is_rate(*number))
            .ok_or_else(|| self.must_be(Mode::rate_rule()))
    }

    /// A list of at most `items_max` values.
    pub(super) fn list(&self, what: &str, items_max: usize) -> Result<Vec<Raw<'a>>, Error> {
        let (list, too_many) = match self.raw {
            Raw::Json(raw) => {
                let items = Items::read(raw, items_max).ok_or_else(|| self.must_be(what))?;
                (items.list.into_iter().map(Raw::Json).collect(), items.too_many)
            }
            Raw::Protobuf { all: (message, number), .. } => {
                let mut items = Reader::values(message, number).map(Raw::one);
                let list = items.by_ref().take(items_max).collect();
                (list, items.next().is_some())
            }
        };
        if too_many {
            let message = format!("{} has more than {items_max} items", self.path);
            return Err(Error::bad_request(message));
        }
        Ok(list)
    }

    /// A list where Protobuf has one value, which is then a message with the list as field 1.
    pub(super) fn enclosed(self) -> Result<Self, Error> {
        let Raw::Protobuf { last, .. } = self.raw else { return Ok(self) };
        let all = (self.message("a message with a list")?, 1);
        Ok(Self { raw: Raw::Protobuf { last, all }, path: self.path })
    }

    /// An object, its fields checked: none stands twice in JSON, all can be read in Protobuf.
    pub(super) fn object(&self, what: &str) -> Result<Fields<'a>, Error> {
        let Raw::Json(raw) = self.raw else { return self.message(what).map(Fields::Protobuf) };
        let object: Object<'a> = serde_json::from_str(raw.get()).map_err(|_| self.must_be(what))?;
        object.check(self.path)?;
        Ok(Fields::Json(object))
    }

    /// A message of Protobuf whose fields can be read.
    fn message(&self, what: &str) -> Result<&'a [u8], Error> {
        let Raw::Protobuf { last: Wire::Bytes(message), .. } = self.raw else {
            return Err(self.must_be(what));
        };
        Reader::check(message).map_err(|_| self.must_be(format_args!("a readable message")))?;
        Ok(message)
    }
}

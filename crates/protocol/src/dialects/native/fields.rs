use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::command::Mode;
use crate::error::Error;
use crate::topic::quoted;

/// Most fields of one object of an envelope: more than any version will define, few enough to
/// look for duplicates by comparing.
pub(super) const FIELDS_MAX: usize = 64;

/// Longest name of a device, user, group or idempotency key, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

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

/// A JSON string, borrowed where it has no escapes.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The fields of one object, in order; values are still text.
#[derive(Default)]
pub(super) struct Fields<'a> {
    list: SmallVec<[(Cow<'a, str>, &'a RawValue); 8]>,
    problem: Option<Problem>,
}

/// What is wrong with an object as such.
enum Problem {
    /// The same key stands twice.
    Duplicate(String),
    /// It has more than [`FIELDS_MAX`] fields.
    TooMany,
}

impl Problem {
    /// The error, where `path` names the object.
    fn at(&self, path: impl fmt::Display) -> Error {
        Error::bad_request(match self {
            Self::Duplicate(key) => format!("{path} has the field {} twice", quoted(key)),
            Self::TooMany => format!("{path} has more than {FIELDS_MAX} fields"),
        })
    }
}

impl<'a> Fields<'a> {
    /// Keeps a field. A problem is kept too and what follows is passed over: the fields before it
    /// stay readable, so that the answer can carry the id.
    fn push(&mut self, key: Cow<'a, str>, value: &'a RawValue) {
        if self.problem.is_some() {
            return;
        }
        if self.list.iter().any(|(known, _)| *known == key) {
            self.problem = Some(Problem::Duplicate(key.into_owned()));
        } else if self.list.len() == FIELDS_MAX {
            self.problem = Some(Problem::TooMany);
        } else {
            self.list.push((key, value));
        }
    }

    /// The problem of the object as such, if it has one.
    pub(super) fn check(&self, path: impl fmt::Display) -> Result<(), Error> {
        self.problem.as_ref().map_or(Ok(()), |problem| Err(problem.at(path)))
    }

    /// The field `name`, if it is there.
    pub(super) fn get<'p>(&self, path: &'p Path<'p>, name: &'static str) -> Option<Value<'p, 'a>> {
        let (_, raw) = self.list.iter().find(|(key, _)| key == name)?;
        Some(Value { raw, path: Path::Field(path, name) })
    }

    /// The field `name`, or the error that it is missing.
    pub(super) fn require<'p>(
        &self,
        path: &'p Path<'p>,
        name: &'static str,
    ) -> Result<Value<'p, 'a>, Error> {
        self.get(path, name).ok_or_else(|| Error::bad_request(format!("{path}.{name} is missing")))
    }

    /// Keys and values, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.list.iter().map(|(key, raw)| (&**key, *raw))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some(Text(key)) = map.next_key()? {
                    fields.push(key, map.next_value()?);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// At most so many items of a list, and whether there are more.
struct Items<'a> {
    list: Vec<&'a RawValue>,
    too_many: bool,
}

/// Reads [`Items`], up to the bound.
struct ItemsVisitor {
    items_max: usize,
}

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Items<'de>, A::Error> {
        let mut items = Items { list: Vec::new(), too_many: false };
        while items.list.len() < self.items_max {
            match seq.next_element()? {
                Some(raw) => items.list.push(raw),
                None => return Ok(items),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            items.too_many = true;
        }
        Ok(items)
    }
}

/// A value of a message: valid JSON text, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Value<'p, 'a> {
    /// The text.
    pub(super) raw: &'a RawValue,
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
        serde_json::from_str(self.raw.get()).map(|Text(text)| text).map_err(|_| self.must_be(what))
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

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, Error> {
        match self.raw.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.must_be("true or false")),
        }
    }

    /// An integer within `range`.
    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Result<u64, Error> {
        // JSON and Rust spell integers alike, except that Rust also takes `+`, which no JSON has.
        let number = self.raw.get().parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
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
        let number = serde_json::from_str::<f64>(self.raw.get()).ok();
        number
            .filter(|number| Mode::is_rate(*number))
            .ok_or_else(|| self.must_be(Mode::rate_rule()))
    }

    /// A list of at most `items_max` values.
    pub(super) fn list(&self, what: &str, items_max: usize) -> Result<Vec<&'a RawValue>, Error> {
        let mut deserializer = serde_json::Deserializer::from_str(self.raw.get());
        let items = deserializer.deserialize_seq(ItemsVisitor { items_max });
        let items = items.map_err(|_| self.must_be(what))?;
        if items.too_many {
            let message = format!("{} has more than {items_max} items", self.path);
            return Err(Error::bad_request(message));
        }
        Ok(items.list)
    }

    /// An object, checked for duplicate fields.
    pub(super) fn object(&self, what: &str) -> Result<Fields<'a>, Error> {
        let fields: Fields<'a> =
            serde_json::from_str(self.raw.get()).map_err(|_| self.must_be(what))?;
        fields.check(self.path)?;
        Ok(fields)
    }
}

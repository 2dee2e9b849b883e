use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::error::Error;
use crate::topic::quoted;

/// Most fields of one object of an envelope: more than any version will define, few enough to
/// look for duplicates by comparing.
pub const FIELDS_MAX: usize = 64;

/// A JSON string, borrowed where it has no escapes.
pub struct Text<'a>(pub Cow<'a, str>);

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

/// The fields of one JSON object, in order; values are still text.
#[derive(Default)]
pub struct Object<'a> {
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

impl<'a> Object<'a> {
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

    /// That the object as such is in order; `path` names it in the error.
    ///
    /// # Errors
    /// [`crate::ErrorCode::BadRequest`]: a field stands twice, or there are too many.
    pub fn check(&self, path: impl fmt::Display) -> Result<(), Error> {
        self.problem.as_ref().map_or(Ok(()), |problem| Err(problem.at(path)))
    }

    /// The value of the field `name`, if it is there.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.list.iter().find(|(key, _)| key == name).map(|(_, raw)| *raw)
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.list.iter().map(|(key, raw)| (&**key, *raw))
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut object = Object::default();
                while let Some(Text(key)) = map.next_key()? {
                    object.push(key, map.next_value()?);
                }
                Ok(object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// At most so many items of a JSON list, and whether there are more.
pub struct Items<'a> {
    /// The items, still text.
    pub list: Vec<&'a RawValue>,
    /// Whether the list has more.
    pub too_many: bool,
}

impl<'a> Items<'a> {
    /// Reads a list; `None` where it is none.
    pub fn read(list: &'a RawValue, items_max: usize) -> Option<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(list.get());
        deserializer.deserialize_seq(ItemsVisitor { items_max }).ok()
    }
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

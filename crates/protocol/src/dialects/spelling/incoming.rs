use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::object::{Items, Object, Text};
use crate::json::check_depth;

/// Why a text frame is not an object that a dialect can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not JSON at all.
    #[error("the message is not valid JSON (line {line}, column {column})")]
    NotJson {
        /// Where it stops being JSON.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// It is JSON that nests too deep.
    #[error("{0}")]
    TooDeep(String),
    /// It is JSON, but no object.
    #[error("a message must be a JSON object")]
    NotObject,
    /// A field stands twice, or there are too many.
    #[error("{0}")]
    Ambiguous(String),
}

/// Reads a text frame as an object.
///
/// # Errors
/// Why it cannot be read; the messages are sentences for people.
pub fn object(text: &str) -> Result<Object<'_>, Unreadable> {
    check_depth(text.as_bytes()).map_err(|error| Unreadable::TooDeep(error.message))?;
    let not_json = |error: serde_json::Error| Unreadable::NotJson {
        line: error.line(),
        column: error.column(),
    };
    if !text.trim_ascii_start().starts_with('{') {
        let read = serde_json::from_str::<&RawValue>(text);
        return Err(read.map_or_else(not_json, |_| Unreadable::NotObject));
    }
    let object: Object<'_> = serde_json::from_str(text).map_err(not_json)?;
    object.check("the message").map_err(|error| Unreadable::Ambiguous(error.message))?;
    Ok(object)
}

/// A string.
pub fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(value.get()).ok().map(|Text(text)| text)
}

/// An integer from 0 on.
pub fn integer(value: &RawValue) -> Option<u64> {
    // Rust also takes `+`, which no JSON has.
    value.get().parse().ok()
}

/// `true` or `false`.
pub fn boolean(value: &RawValue) -> Option<bool> {
    value.get().parse().ok()
}

/// An object whose fields stand once.
pub fn fields(value: &RawValue) -> Option<Object<'_>> {
    let object: Object<'_> = serde_json::from_str(value.get()).ok()?;
    object.check("").ok()?;
    Some(object)
}

/// Why a value is not a list of strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStrings {
    /// It is no list, or an item is no string.
    Shape,
    /// It has more items than allowed.
    TooMany,
}

/// A list of at most `items_max` strings.
///
/// # Errors
/// It is not.
pub fn strings(value: &RawValue, items_max: usize) -> Result<Vec<Cow<'_, str>>, NotStrings> {
    let items = Items::read(value, items_max).ok_or(NotStrings::Shape)?;
    if items.too_many {
        return Err(NotStrings::TooMany);
    }
    items.list.into_iter().map(string).collect::<Option<_>>().ok_or(NotStrings::Shape)
}

/// The value as JSON text of its own; `null` where there is none.
pub fn json(value: Option<&RawValue>) -> Bytes {
    value
        .map_or(Bytes::from_static(b"null"), |value| Bytes::copy_from_slice(value.get().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> Unreadable {
        object(text).map(|_| ()).expect_err(text)
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(why("{\"a\":1,\n}"), Unreadable::NotJson { line: 2, column: 1 });
        assert!(matches!(why(""), Unreadable::NotJson { .. }));
        assert!(matches!(why("ping"), Unreadable::NotJson { .. }));
        assert!(matches!(why("[1,2"), Unreadable::NotJson { .. }));
        for text in ["[1]", "1", "\"x\"", " null "] {
            assert_eq!(why(text), Unreadable::NotObject, "{text}");
        }
        assert!(matches!(why(&"[".repeat(100_000)), Unreadable::TooDeep(_)));
        let twice = why(r#"{"type":"a","type":"b"}"#);
        assert_eq!(twice.to_string(), "the message has the field \"type\" twice");
        let many: Vec<String> = (0..1_000).map(|n| format!("\"{n}\":0")).collect();
        let many = why(&format!("{{{}}}", many.join(",")));
        assert!(many.to_string().contains("more than"), "{many}");
    }

    #[test]
    fn fields_are_read_by_their_kind() {
        let text = r#"{"s":"a\u00e9","n":12,"b":true,"l":["x","y"],"m":[1],"o":{"k":1}}"#;
        let read = object(text).unwrap();
        let get = |name| read.get(name).unwrap();
        assert_eq!(string(get("s")).unwrap(), "aé");
        assert_eq!(string(get("n")), None);
        assert_eq!((integer(get("n")), integer(get("s"))), (Some(12), None));
        assert_eq!((boolean(get("b")), boolean(get("n"))), (Some(true), None));
        assert_eq!(strings(get("l"), 2).unwrap(), ["x", "y"]);
        assert_eq!(strings(get("l"), 1), Err(NotStrings::TooMany));
        assert_eq!(strings(get("m"), 9), Err(NotStrings::Shape));
        assert_eq!(strings(get("s"), 9), Err(NotStrings::Shape));
        assert_eq!(fields(get("o")).unwrap().get("k").unwrap().get(), "1");
        assert!(fields(get("l")).is_none());
        assert_eq!(json(read.get("o")), r#"{"k":1}"#);
        assert_eq!(json(None), "null");
    }
}

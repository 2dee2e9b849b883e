use super::fields::{Fields, Key, Path, Raw, Value};
use super::wire::Reader;
use crate::dialects::spelling::object::Object;
use crate::error::Error;
use crate::json::check_depth;
use crate::topic::quoted;

/// The verbs of clients.
const VERBS: [Key; 12] = [
    ("hello", 2),
    ("subscribe", 3),
    ("unsubscribe", 4),
    ("publish", 5),
    ("history", 6),
    ("ack", 8),
    ("ping", 7),
    ("refresh", 12),
    ("call", 9),
    ("handle", 10),
    ("result", 13),
    ("presence", 11),
];

/// The fields of a message's outer object.
pub(super) struct Envelope<'a> {
    fields: Fields<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads the outer object of a JSON text; its verb may still be wrong.
    pub(super) fn json(text: &'a str) -> Result<Self, Error> {
        check_depth(text.as_bytes())?;
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Error::bad_request("a message must be one JSON object"));
        }
        let object: Object<'a> = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let place = format!("line {line}, column {column}");
            Error::bad_request(format!("the message is not valid JSON ({place})"))
        })?;
        Ok(Self { fields: Fields::Json(object) })
    }

    /// Reads the fields of a `ClientMessage`; its verb may still be wrong.
    pub(super) fn protobuf(message: &'a [u8]) -> Result<Self, Error> {
        Reader::check(message)
            .map_err(|_| Error::bad_request("the message is not valid Protobuf"))?;
        Ok(Self { fields: Fields::Protobuf(message) })
    }

    /// The id, where there is one.
    pub(super) fn id(&self) -> Result<Option<i64>, Error> {
        let Some(value) = self.fields.get(&Path::Verb("message"), ("id", 1)) else {
            return Ok(None);
        };
        let id = value.signed_integer();
        id.map(Some)
            .ok_or_else(|| Error::bad_request("id must be an integer from -2^63 to 2^63 - 1"))
    }

    /// The one verb and its body, whatever the body is.
    pub(super) fn verb(&self) -> Result<Value<'static, 'a>, Error> {
        let known = || VERBS.into_iter();
        let mut found = Found::default();
        match &self.fields {
            Fields::Json(object) => {
                object.check("the message")?;
                for (key, raw) in object.iter() {
                    let verb = known().find(|(name, _)| *name == key);
                    found.take(verb, key, Raw::Json(raw))?;
                }
            }
            Fields::Protobuf(message) => {
                for (number, wire) in Reader::new(message).flatten() {
                    let verb = known().find(|(_, known)| *known == number);
                    found.take(verb, "id", Raw::one(wire))?;
                }
            }
        }
        found.verb.ok_or_else(|| {
            let problem = match found.unknown {
                Some(verb) => format!("{} is not a verb", quoted(verb)),
                None => "the message has no verb".to_owned(),
            };
            let known = VERBS.map(|(name, _)| name).join(", ");
            Error::bad_request(format!("{problem}; known are {known}"))
        })
    }

    /// Whether it says hello, whatever else is wrong with it.
    pub(super) fn is_hello(&self) -> bool {
        self.fields.get(&Path::Verb("message"), ("hello", 2)).is_some()
    }
}

/// What was found of a verb so far.
#[derive(Default)]
struct Found<'f, 'a> {
    verb: Option<Value<'static, 'a>>,
    /// The first name that is no verb.
    unknown: Option<&'f str>,
}

impl<'f, 'a> Found<'f, 'a> {
    /// Takes a field, with its key where that is a verb's.
    fn take(&mut self, verb: Option<Key>, name: &'f str, raw: Raw<'a>) -> Result<(), Error> {
        match (verb, self.verb) {
            (Some((verb, _)), Some(Value { path: first, .. })) => {
                let message = format!("a message has one verb, not both {first} and {verb}");
                return Err(Error::bad_request(message));
            }
            (Some((verb, _)), None) => self.verb = Some(Value { raw, path: Path::Verb(verb) }),
            (None, _) if name != "id" && self.unknown.is_none() => self.unknown = Some(name),
            (None, _) => {}
        }
        Ok(())
    }
}

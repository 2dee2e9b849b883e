use super::fields::{Fields, Path, Value};
use crate::error::Error;
use crate::json::check_depth;
use crate::topic::quoted;

/// The verbs of clients.
const VERBS: [&str; 7] = ["hello", "subscribe", "unsubscribe", "publish", "history", "ack", "ping"];
/// Verbs of clients that are known only to be refused with a reason.
const VERBS_OF_LATER: [&str; 5] = ["call", "handle", "presence", "refresh", "result"];

/// The fields of a message's outer object.
pub(super) struct Envelope<'a> {
    fields: Fields<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads the outer object; its verb may still be wrong.
    pub(super) fn read(text: &'a str) -> Result<Self, Error> {
        check_depth(text.as_bytes())?;
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Error::bad_request("a message must be one JSON object"));
        }
        let fields = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let place = format!("line {line}, column {column}");
            Error::bad_request(format!("the message is not valid JSON ({place})"))
        })?;
        Ok(Self { fields })
    }

    /// The id, where there is one.
    pub(super) fn id(&self) -> Result<Option<i64>, Error> {
        let Some(Value { raw, .. }) = self.fields.get(&Path::Verb("message"), "id") else {
            return Ok(None);
        };
        let id = raw
            .get()
            .parse()
            .map_err(|_| Error::bad_request("id must be an integer from -2^63 to 2^63 - 1"))?;
        Ok(Some(id))
    }

    /// The one verb and its body, whatever the body is.
    pub(super) fn verb(&self) -> Result<Value<'static, 'a>, Error> {
        self.fields.check("the message")?;
        let mut found: Option<Value<'static, 'a>> = None;
        let mut unknown = None;
        for (key, raw) in self.fields.iter() {
            match VERBS.into_iter().chain(VERBS_OF_LATER).find(|verb| *verb == key) {
                Some(verb) => {
                    if let Some(Value { path: first, .. }) = found {
                        let message =
                            format!("a message has one verb, not both {first} and {verb}");
                        return Err(Error::bad_request(message));
                    }
                    found = Some(Value { raw, path: Path::Verb(verb) });
                }
                None if key != "id" && unknown.is_none() => unknown = Some(key),
                None => {}
            }
        }
        found.ok_or_else(|| {
            let problem = match unknown {
                Some(verb) => format!("{} is not a verb", quoted(verb)),
                None => "the message has no verb".to_owned(),
            };
            Error::bad_request(format!("{problem}; known are {}", VERBS.join(", ")))
        })
    }

    /// Whether it says hello, whatever else is wrong with it.
    pub(super) fn is_hello(&self) -> bool {
        self.fields.iter().any(|(key, _)| key == "hello")
    }
}

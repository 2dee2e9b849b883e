use std::borrow::Cow;

use bytes::Bytes;

use crate::command::Command;
use crate::dialects::native::fields::{Fields, Path, Text, Value};
use crate::error::Error;
use crate::event::{Audience, Draft, Payload};
use crate::topic::{Topic, quoted};

/// Longest content type, in bytes (RFC 6838 section 4.2 bounds each half at 127).
const CONTENT_TYPE_BYTES_MAX: usize = 255;

/// A publish in a text frame.
pub(super) fn text(verb: Value<'_, '_>) -> Result<Command, Error> {
    let (fields, path) = (verb.object("an object")?, verb.path);
    if let Some(content_type) = fields.get(&path, "content_type") {
        let path = content_type.path;
        return Err(Error::bad_request(format!("{path} belongs into a binary frame")));
    }
    let data = fields.require(&path, "data")?;
    let bytes = Bytes::copy_from_slice(data.raw.get().as_bytes());
    draft(&fields, &path, Payload::Json(bytes))
}

/// A publish whose data are the bytes behind the first line of a binary frame.
pub(super) fn binary(verb: Value<'_, '_>, data: &[u8]) -> Result<Command, Error> {
    let (fields, path) = (verb.object("an object")?, verb.path);
    if let Some(data) = fields.get(&path, "data") {
        let path = data.path;
        return Err(Error::bad_request(format!("{path}: in a binary frame, data follow the line")));
    }
    let content_type = content_type(fields.require(&path, "content_type")?)?;
    let payload =
        Payload::Binary { content_type: content_type.into(), bytes: Bytes::copy_from_slice(data) };
    draft(&fields, &path, payload)
}

/// The first line of a binary frame, and what follows it.
pub(super) fn split_binary(bytes: &[u8]) -> Result<(&str, &[u8]), Error> {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (Some(line), Some(data)) = (parts.next(), parts.next()) else {
        let what = "a binary frame is a line of JSON, a newline, and the data";
        return Err(Error::bad_request(what));
    };
    let line = std::str::from_utf8(line)
        .map_err(|_| Error::bad_request("the first line of a binary frame must be UTF-8"))?;
    Ok((line, data))
}

/// What both frames have in common. The publisher is not the client's to name.
fn draft(fields: &Fields<'_>, path: &Path<'_>, payload: Payload) -> Result<Command, Error> {
    let topic = fields.require(path, "topic")?.parse("a topic", Topic::parse)?;
    let mut draft = Draft::new(topic, payload);
    draft.audience = audience(fields, path)?;
    if let Some(key) = fields.get(path, "key") {
        draft.id = Some(key.name()?.into());
    }
    if let Some(value) = fields.get(path, "headers") {
        draft.headers = Some(headers(value)?);
    }
    Ok(Command::Publish(Box::new(draft)))
}

fn audience(fields: &Fields<'_>, path: &Path<'_>) -> Result<Audience, Error> {
    if fields.get(path, "client").is_some() {
        // Passing it over would show everyone what was meant for one.
        let message = format!("{path}.client is only available in the admin API");
        return Err(Error::bad_request(message));
    }
    match (fields.get(path, "user"), fields.get(path, "group")) {
        (None, None) => Ok(Audience::Everyone),
        (Some(user), None) => Ok(Audience::User(user.name()?.into())),
        (None, Some(group)) => Ok(Audience::Group(group.name()?.into())),
        (Some(_), Some(_)) => {
            Err(Error::bad_request(format!("{path} names both a user and a group; choose one")))
        }
    }
}

/// The text of an object of strings.
fn headers(value: Value<'_, '_>) -> Result<Bytes, Error> {
    const WHAT: &str = "an object of strings";
    for (key, raw) in value.object(WHAT)?.iter() {
        if serde_json::from_str::<Text<'_>>(raw.get()).is_err() {
            return Err(value.must_be(format_args!("{WHAT}; {} is none", quoted(key))));
        }
    }
    Ok(Bytes::copy_from_slice(value.raw.get().as_bytes()))
}

/// A media type in visible ASCII: it will stand in headers of HTTP.
fn content_type<'a>(value: Value<'_, 'a>) -> Result<Cow<'a, str>, Error> {
    let text = value.short_text(CONTENT_TYPE_BYTES_MAX)?;
    let fits = text.contains('/') && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if fits { Ok(text) } else { Err(value.must_be("a media type, such as image/jpeg")) }
}

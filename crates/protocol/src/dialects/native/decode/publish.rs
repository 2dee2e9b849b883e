use std::borrow::Cow;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::command::Command;
use crate::dialects::native::fields::{Fields, Key, Path, Raw, Value};
use crate::dialects::spelling::object::{FIELDS_MAX, Text};
use crate::error::Error;
use crate::event::{Audience, Draft, Payload};
use crate::json::push_str;
use crate::topic::{Topic, quoted};

/// Longest content type, in bytes (RFC 6838 section 4.2 bounds each half at 127).
const CONTENT_TYPE_BYTES_MAX: usize = 255;

/// JSON data; Protobuf's field is called `json`.
const DATA: Key = ("data", 2);
/// Data that are bytes, in Protobuf.
const BINARY: Key = ("binary", 3);
const CONTENT_TYPE: Key = ("content_type", 4);

/// A publish in a text frame, or one of Protobuf.
pub(super) fn publish(verb: Value<'_, '_>) -> Result<Command, Error> {
    let (fields, path) = (verb.object("an object")?, verb.path);
    if let Fields::Protobuf(_) = fields
        && let Some(data) = fields.get(&path, BINARY)
    {
        if fields.get(&path, DATA).is_some() {
            return Err(Error::bad_request(format!("{path} has both json and binary")));
        }
        return draft(&fields, &path, bytes(&fields, &path, data.bytes()?)?);
    }
    if let Some(content_type) = fields.get(&path, CONTENT_TYPE) {
        let path = content_type.path;
        return Err(Error::bad_request(format!("{path} belongs to binary data")));
    }
    let data = fields.require(&path, DATA)?;
    let json = Bytes::copy_from_slice(data.json()?.get().as_bytes());
    draft(&fields, &path, Payload::Json(json))
}

/// A publish whose data are the bytes behind the first line of a binary frame.
pub(super) fn binary(verb: Value<'_, '_>, data: &[u8]) -> Result<Command, Error> {
    let (fields, path) = (verb.object("an object")?, verb.path);
    if let Some(data) = fields.get(&path, DATA) {
        let path = data.path;
        return Err(Error::bad_request(format!("{path}: in a binary frame, data follow the line")));
    }
    draft(&fields, &path, bytes(&fields, &path, data)?)
}

fn bytes(fields: &Fields<'_>, path: &Path<'_>, data: &[u8]) -> Result<Payload, Error> {
    let content_type = content_type(fields.require(path, CONTENT_TYPE)?)?.into();
    Ok(Payload::Binary { content_type, bytes: Bytes::copy_from_slice(data) })
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
    let topic = fields.require(path, ("topic", 1))?.parse("a topic", Topic::parse)?;
    let mut draft = Draft::new(topic, payload);
    draft.audience = audience(fields, path)?;
    if let Some(key) = fields.get(path, ("key", 7)) {
        draft.id = Some(key.name()?.into());
    }
    if let Some(value) = fields.get(path, ("headers", 8)) {
        draft.headers = Some(headers(value)?);
    }
    Ok(Command::Publish(Box::new(draft)))
}

fn audience(fields: &Fields<'_>, path: &Path<'_>) -> Result<Audience, Error> {
    if fields.get(path, ("client", 9)).is_some() {
        // Passing it over would show everyone what was meant for one.
        let message = format!("{path}.client is only available in the admin API");
        return Err(Error::bad_request(message));
    }
    match (fields.get(path, ("user", 5)), fields.get(path, ("group", 6))) {
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
    let Raw::Json(raw) = value.raw else { return headers_of_map(value) };
    let Fields::Json(object) = value.object(WHAT)? else { return Err(value.must_be(WHAT)) };
    for (key, raw) in object.iter() {
        if serde_json::from_str::<Text<'_>>(raw.get()).is_err() {
            return Err(value.must_be(format_args!("{WHAT}; {} is none", quoted(key))));
        }
    }
    Ok(Bytes::copy_from_slice(raw.get().as_bytes()))
}

/// The same of a map of Protobuf, which is a list of pairs; either half may be left out where it
/// is empty, and the last pair of a key counts.
fn headers_of_map(value: Value<'_, '_>) -> Result<Bytes, Error> {
    let mut map: SmallVec<[(Cow<'_, str>, Cow<'_, str>); 8]> = SmallVec::new();
    for raw in value.list("a map of strings", FIELDS_MAX)? {
        let pair = Value { raw, path: value.path };
        let fields = pair.object("a map of strings")?;
        let half = |key| {
            let half = fields.get(&pair.path, key);
            half.map_or(Ok(Cow::Borrowed("")), |half| half.text("a string"))
        };
        let (key, text) = (half(("key", 1))?, half(("value", 2))?);
        map.retain(|(known, _)| *known != key);
        map.push((key, text));
    }
    let mut out = vec![b'{'];
    for (at, (key, text)) in map.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_str(&mut out, key);
        out.push(b':');
        push_str(&mut out, text);
    }
    out.push(b'}');
    Ok(out.into())
}

/// A media type in visible ASCII: it will stand in headers of HTTP.
fn content_type<'a>(value: Value<'_, 'a>) -> Result<Cow<'a, str>, Error> {
    let text = value.short_text(CONTENT_TYPE_BYTES_MAX)?;
    let fits = text.contains('/') && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if fits { Ok(text) } else { Err(value.must_be("a media type, such as image/jpeg")) }
}

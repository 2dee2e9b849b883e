use bytes::Bytes;

use super::patterns;
use crate::command::Command;
use crate::dialects::native::fields::Value;
use crate::dialects::native::{ERROR_MESSAGE_BYTES_MAX, TIMEOUT_MS_MAX};
use crate::error::Error;

/// Longest code of a handler's error, in bytes.
const CODE_BYTES_MAX: usize = 64;

pub(super) fn handle(verb: Value<'_, '_>) -> Result<Command, Error> {
    let (fields, path) = (verb.object("an object")?, verb.path);
    match fields.get(&path, ("commands", 1)) {
        Some(commands) => patterns(commands).map(Command::Handle),
        // Protobuf leaves empty lists out.
        None if fields.is_protobuf() => Ok(Command::Handle(Vec::new())),
        None => Err(Error::bad_request("handle.commands is missing")),
    }
}

pub(super) fn result(verb: Value<'_, '_>) -> Result<Command, Error> {
    let (fields, path) = (verb.object("an object")?, verb.path);
    let call_id = fields.require(&path, ("call_id", 1))?.integer(0..=u64::MAX)?;
    let data = fields.get(&path, ("data", 2));
    let error = fields.get(&path, ("error", 3));
    let result = match (data, error) {
        (Some(data), None) => Ok(Bytes::copy_from_slice(data.json()?.get().as_bytes())),
        (None, Some(value)) => Err(error_of(value)?),
        (None, None) => return Err(Error::bad_request("result has neither data nor error")),
        (Some(_), Some(_)) => {
            return Err(Error::bad_request("result has both data and error; choose one"));
        }
    };
    Ok(Command::Result { call_id, result })
}

/// An error as a handler tells it.
fn error_of(value: Value<'_, '_>) -> Result<Error, Error> {
    let (fields, path) = (value.object("an object")?, value.path);
    let word = fields.require(&path, ("code", 1))?.short_text(CODE_BYTES_MAX)?;
    let message = fields.get(&path, ("message", 2));
    let message = message.map_or(Ok("".into()), |message| message.text("a string"))?;
    if message.len() > ERROR_MESSAGE_BYTES_MAX {
        let message = format!("{path}.message has more than {ERROR_MESSAGE_BYTES_MAX} bytes");
        return Err(Error::bad_request(message));
    }
    let retry_after = fields.get(&path, ("retry_after_ms", 3));
    let retry_after_ms = retry_after.map(|value| value.integer(0..=TIMEOUT_MS_MAX)).transpose()?;
    let details = fields.get(&path, ("details", 4));
    let details = details.map(|details| details.json()).transpose()?;
    Ok(Error::told(&word, &message, retry_after_ms, details.map(|details| details.get())))
}

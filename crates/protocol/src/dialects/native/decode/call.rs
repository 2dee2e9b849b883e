use bytes::Bytes;

use crate::command::{Call, Command};
use crate::dialects::native::TIMEOUT_MS_MAX;
use crate::dialects::native::fields::Value;
use crate::error::Error;
use crate::topic::Topic;

pub(super) fn call(verb: Value<'_, '_>) -> Result<Command, Error> {
    let (fields, path) = (verb.object("an object")?, verb.path);
    let command = fields.require(&path, ("command", 1))?.parse("a command", Topic::parse)?;
    let mut call = Call { command, data: Bytes::from_static(b"null"), timeout_ms: None };
    if let Some(data) = fields.get(&path, ("data", 2)) {
        call.data = Bytes::copy_from_slice(data.json()?.get().as_bytes());
    }
    if let Some(timeout) = fields.get(&path, ("timeout_ms", 3)) {
        call.timeout_ms = Some(timeout.integer(1..=TIMEOUT_MS_MAX)?);
    }
    Ok(Command::Call(Box::new(call)))
}

use super::positions;
use super::subscribe::subscribe;
use crate::command::{Command, Hello, Subscribe};
use crate::dialects::native::LIST_ITEMS_MAX;
use crate::dialects::native::fields::{Path, Value};
use crate::error::Error;

/// Longest token, in bytes.
pub(super) const TOKEN_BYTES_MAX: usize = 8_192;
/// Longest `session`, in bytes: a signed token of an earlier welcome.
const SESSION_BYTES_MAX: usize = 4_096;

pub(super) fn hello(verb: Value<'_, '_>) -> Result<Command, Error> {
    let (fields, path) = (verb.object("an object")?, verb.path);
    let mut hello = Hello::default();
    if let Some(token) = fields.get(&path, ("token", 1)) {
        hello.token = Some(token.short_text(TOKEN_BYTES_MAX)?.into_owned());
    }
    if let Some(takeover) = fields.get(&path, ("takeover", 4)) {
        hello.takeover = takeover.boolean()?;
    }
    if let Some(device) = fields.get(&path, ("device", 2)) {
        hello.device = Some(device.name()?.into());
    }
    if let Some(session) = fields.get(&path, ("session", 3)) {
        hello.session = Some(session.short_text(SESSION_BYTES_MAX)?.into_owned());
    }
    if let Some(resume) = fields.get(&path, ("resume", 5)) {
        hello.resume = positions(resume, "after")?;
    }
    if let Some(list) = fields.get(&path, ("subscriptions", 6)) {
        hello.subscriptions = subscriptions(list)?;
    }
    Ok(Command::Hello(Box::new(hello)))
}

fn subscriptions(list: Value<'_, '_>) -> Result<Vec<Subscribe>, Error> {
    let items = list.list("a list of subscribe bodies", LIST_ITEMS_MAX)?;
    let one = |(at, raw)| subscribe(Value { raw, path: Path::Item(&list.path, at) });
    items.into_iter().enumerate().map(one).collect()
}

use super::hello::TOKEN_BYTES_MAX;
use crate::command::Command;
use crate::dialects::native::fields::Value;
use crate::error::Error;

pub(super) fn refresh(verb: Value<'_, '_>) -> Result<Command, Error> {
    let (fields, path) = (verb.object("an object")?, verb.path);
    let token = fields.require(&path, ("token", 1))?.short_text(TOKEN_BYTES_MAX)?;
    Ok(Command::Refresh { token: token.into_owned() })
}

use crate::command::{Command, History};
use crate::dialects::native::fields::Value;
use crate::dialects::native::{HISTORY_EVENTS_DEFAULT, HISTORY_EVENTS_MAX};
use crate::error::Error;
use crate::pattern::Pattern;
use crate::position::{Epoch, SEQ_MAX, StreamName};

pub(super) fn history(verb: Value<'_, '_>) -> Result<Command, Error> {
    let (fields, path) = (verb.object("an object")?, verb.path);
    let mut history = History {
        topic: fields.require(&path, ("topic", 1))?.parse("a pattern", Pattern::parse)?,
        stream: None,
        epoch: None,
        after: 0,
        limit: HISTORY_EVENTS_DEFAULT,
    };
    if let Some(stream) = fields.get(&path, ("stream", 2)) {
        history.stream = Some(stream.parse("a stream's name", StreamName::parse)?);
    }
    if let Some(epoch) = fields.get(&path, ("epoch", 3)) {
        history.epoch = Some(epoch.parse("an epoch", Epoch::parse)?);
    }
    if let Some(after) = fields.get(&path, ("after", 4)) {
        history.after = after.integer(0..=SEQ_MAX)?;
    }
    if let Some(limit) = fields.get(&path, ("limit", 5)) {
        history.limit = limit.small_integer(1..=HISTORY_EVENTS_MAX)?;
    }
    Ok(Command::History(Box::new(history)))
}

use super::some_patterns;
use crate::command::{Command, Unsubscribe};
use crate::dialects::native::fields::Value;
use crate::error::Error;
use crate::message::SubscriptionId;

pub(super) fn unsubscribe(verb: Value<'_, '_>) -> Result<Command, Error> {
    let (fields, path) = (verb.object("an object")?, verb.path);
    let what = match (fields.get(&path, ("topics", 1)), fields.get(&path, ("subscription", 2))) {
        (Some(topics), None) => Unsubscribe::Topics(some_patterns(topics)?),
        (None, Some(subscription)) => {
            const WHAT: &str = "a subscription's name, such as \"s1\"";
            let name = subscription.text(WHAT)?;
            let id = SubscriptionId::parse(&name).ok_or_else(|| subscription.must_be(WHAT))?;
            Unsubscribe::Subscription(id)
        }
        _ => return Err(verb.must_be("an object with either topics or subscription")),
    };
    Ok(Command::Unsubscribe(what))
}

use bytes::Bytes;
use serde_json::value::RawValue;
use smallvec::smallvec;

use super::{Asked, ERROR, Talk, Told, Wrong};
use crate::command::{Call, Command, Exclude, Request, Start, Subscribe};
use crate::dialect::{Frame, Requests};
use crate::dialects::native::LIST_ITEMS_MAX;
use crate::dialects::spelling::incoming::{self, NotStrings, Unreadable};
use crate::dialects::spelling::members::Members;
use crate::dialects::spelling::object::Object;
use crate::pattern::Pattern;

const INVALID_JSON: &str = "INVALID_JSON";
const INVALID_MESSAGE: &str = "INVALID_MESSAGE";
const INVALID_EVENTS: &str = "INVALID_EVENTS";

impl Talk {
    pub(super) fn read(&mut self, frame: Frame<'_>) -> Result<Requests, Wrong> {
        let Frame::Text(text) = frame else {
            return Err(Wrong::new(INVALID_MESSAGE, "a message must be text"));
        };
        let message = incoming::object(text).map_err(|why| {
            let code = match why {
                Unreadable::NotJson { .. } | Unreadable::TooDeep(_) => INVALID_JSON,
                Unreadable::NotObject | Unreadable::Ambiguous(_) => INVALID_MESSAGE,
            };
            Wrong::new(code, why.to_string())
        })?;
        let kind = message.get("type").and_then(incoming::string).filter(|kind| !kind.is_empty());
        let missing = || Wrong::new(INVALID_MESSAGE, "a message must have a string as its type");
        match &*kind.ok_or_else(missing)? {
            "subscribe" => self.subscribe(&message),
            "unsubscribe" => self.unsubscribe(&message),
            "ping" => Ok(self.ask(Asked::Ping, Command::Ping)),
            "refresh" => self.refresh(&message),
            command => self.command(command, &message),
        }
    }

    fn ask(&mut self, asked: Asked, command: Command) -> Requests {
        smallvec![Request { id: Some(self.pending.keep(asked)), command }]
    }

    /// The patterns that a message names, and whether it names errors: those are subscribed to
    /// from the beginning until the end.
    fn patterns(&self, message: &Object<'_>) -> Result<(Vec<Pattern>, bool), Wrong> {
        let missing = || Wrong::new(INVALID_EVENTS, "name at least one event in events");
        let list = message.get("events").ok_or_else(missing)?;
        let names = incoming::strings(list, LIST_ITEMS_MAX).map_err(|why| {
            Wrong::new(
                INVALID_EVENTS,
                match why {
                    NotStrings::Shape => "events must be a list of strings".to_owned(),
                    NotStrings::TooMany => format!("events may name at most {LIST_ITEMS_MAX}"),
                },
            )
        })?;
        if names.is_empty() {
            return Err(missing());
        }
        let others = names.iter().filter(|name| **name != ERROR);
        let patterns = others.map(|name| self.names.pattern(name)).collect::<Result<_, _>>();
        let patterns = patterns.map_err(|error| Wrong::new(INVALID_EVENTS, error.message))?;
        Ok((patterns, names.iter().any(|name| name == ERROR)))
    }

    fn subscribe(&mut self, message: &Object<'_>) -> Result<Requests, Wrong> {
        let (mut topics, errors) = self.patterns(message)?;
        self.lists_errors |= errors;
        if topics.is_empty() {
            // There already, which makes the answer one without a change.
            topics.extend(self.names.pattern(ERROR));
        }
        let (except, filter, start, mode) = (Vec::new(), None, Start::Now, self.mode);
        let body = Subscribe { topics, except, filter, start, mode };
        Ok(self.ask(Asked::Subscribe, Command::Include(Box::new(body))))
    }

    fn unsubscribe(&mut self, message: &Object<'_>) -> Result<Requests, Wrong> {
        let (patterns, errors) = self.patterns(message)?;
        let errors = errors && std::mem::take(&mut self.lists_errors);
        let asked = Asked::Unsubscribe { errors };
        Ok(self.ask(asked, Command::Exclude(Exclude::Named(patterns))))
    }

    fn refresh(&mut self, message: &Object<'_>) -> Result<Requests, Wrong> {
        let token = message.get("token").and_then(incoming::string);
        let missing = || Wrong::new(INVALID_MESSAGE, "a refresh must have a token, a string");
        let token = token.ok_or_else(missing)?.into_owned();
        Ok(self.ask(Asked::Refresh, Command::Refresh { token }))
    }

    fn command(&mut self, name: &str, message: &Object<'_>) -> Result<Requests, Wrong> {
        let command = self.names.command(name).map_err(|error| {
            let message = format!("no message and no command is called so: {}", error.message);
            Wrong::new(INVALID_MESSAGE, message)
        })?;
        let data = message.get("data");
        let own = |raw: &RawValue| Bytes::copy_from_slice(raw.get().as_bytes());
        let blob_id = data
            .and_then(|raw| Members::of(raw.get().as_bytes())?.value("blob_id"))
            .map(Bytes::copy_from_slice);
        let told = Told { command: name.to_owned(), id: message.get("id").map(own), blob_id };
        let data = data.map_or(Bytes::from_static(b"{}"), own);
        let call = Call { command, data, timeout_ms: None };
        Ok(self.ask(Asked::Command(told), Command::Call(Box::new(call))))
    }
}

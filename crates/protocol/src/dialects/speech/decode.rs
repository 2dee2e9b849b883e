use std::borrow::Cow;

use bytes::Bytes;
use smallvec::smallvec;

use super::{ALL, Asked, EVERYTHING, Talk, Told};
use crate::command::{Call, Command, Exclude, Request};
use crate::dialect::{Misspelled, Requests};
use crate::dialects::native::LIST_ITEMS_MAX;
use crate::dialects::spelling::incoming::{self, NotStrings, Unreadable};
use crate::dialects::spelling::object::Object;
use crate::error::Error;

/// Longest id that a client may give a command, in bytes.
const ID_BYTES_MAX: usize = 255;

impl Talk {
    /// Reads a text frame: JSON that is no command means nothing.
    pub(super) fn read(&mut self, text: &str) -> Result<Requests, Misspelled> {
        let message = match incoming::object(text) {
            Ok(message) => message,
            Err(Unreadable::NotObject) => return Ok(Requests::new()),
            Err(why @ Unreadable::Ambiguous(_)) => return Err(self.wrong("bad_request", why)),
            Err(why) => return Err(self.wrong("invalid_json", why)),
        };
        let Some(command) = message.get("command").and_then(incoming::string) else {
            return Ok(Requests::new());
        };
        let (id, id_error) = match id(&message) {
            Ok(id) => (id, None),
            Err(error) => (None, Some(error)),
        };
        let told = Told { command: command.into_owned(), id };
        match id_error.map_or_else(|| self.carry_out(&told, &message), Err) {
            Ok(requests) => Ok(requests),
            Err(error) => Err(self.pending.refuse(Asked::Command(told), error)),
        }
    }

    fn wrong(&mut self, word: &'static str, why: Unreadable) -> Misspelled {
        self.pending.refuse(Asked::Wrong(word), Error::bad_request(why.to_string()))
    }

    fn carry_out(&mut self, told: &Told, message: &Object<'_>) -> Result<Requests, Error> {
        let data = incoming::json(message.get("data"));
        match &*told.command {
            "subscribe" => self.subscribe(told, message),
            "unsubscribe" => self.unsubscribe(told, message),
            "audio_start" => {
                let announced = self.audio.start(&data)?;
                Ok(self.ask(told, announced))
            }
            "audio_end" => {
                let announced = self.audio.end(&data);
                Ok(self.ask(told, announced))
            }
            other => {
                let call = Call { command: self.root.topic(other)?, data, timeout_ms: None };
                Ok(self.ask(told, Command::Call(Box::new(call))))
            }
        }
    }

    fn ask(&mut self, told: &Told, command: Command) -> Requests {
        let id = self.pending.keep(Asked::Command(told.clone()));
        smallvec![Request { id: Some(id), command }]
    }

    /// What is named takes the place of everything, and adds to what was named before.
    fn subscribe(&mut self, told: &Told, message: &Object<'_>) -> Result<Requests, Error> {
        let names = names(message)?.unwrap_or_default();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let session = message.get("session_id").filter(|raw| raw.get() != "null");
        let session = session.map(|raw| {
            let wrong = || Error::bad_request("session_id must be a string");
            incoming::string(raw).ok_or_else(wrong)
        });
        let wanted = self.wanted(&names, session.transpose()?.as_deref())?;
        if !wanted.except.is_empty() {
            return Ok(self.ask(told, Command::Include(Box::new(wanted))));
        }
        let everything = Exclude::Named(vec![self.root.pattern(ALL)?]);
        // First the new, then the old: nothing is missed between.
        let mut narrowing = self.ask(told, Command::Exclude(everything));
        let answered = narrowing.first().and_then(|request| request.id).unwrap_or_default();
        let id = Some(self.pending.keep(Asked::Step(answered)));
        let include = Request { id, command: Command::Include(Box::new(wanted)) };
        narrowing.insert(0, include);
        Ok(narrowing)
    }

    fn unsubscribe(&mut self, told: &Told, message: &Object<'_>) -> Result<Requests, Error> {
        let names = names(message)?.unwrap_or_default();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let what = if names.is_empty() || names.contains(&EVERYTHING) {
            Exclude::All
        } else {
            Exclude::Selected(self.patterns(&names)?)
        };
        Ok(self.ask(told, Command::Exclude(what)))
    }
}

/// The events that a message names; an empty list names none, which is an error.
fn names<'a>(message: &Object<'a>) -> Result<Option<Vec<Cow<'a, str>>>, Error> {
    let Some(list) = message.get("events").filter(|raw| raw.get() != "null") else {
        return Ok(None);
    };
    let names = incoming::strings(list, LIST_ITEMS_MAX).map_err(|why| {
        Error::bad_request(match why {
            NotStrings::Shape => "events must be a list of names".to_owned(),
            NotStrings::TooMany => format!("events may name at most {LIST_ITEMS_MAX}"),
        })
    })?;
    if names.is_empty() {
        return Err(Error::bad_request("events must name at least one event, or be left out"));
    }
    Ok(Some(names))
}

/// The client's own id, as it stands.
fn id(message: &Object<'_>) -> Result<Option<Bytes>, Error> {
    let Some(raw) = message.get("id") else { return Ok(None) };
    let is_short = raw.get().len() <= ID_BYTES_MAX && !raw.get().starts_with(['{', '[']);
    if is_short {
        return Ok(Some(incoming::json(Some(raw))));
    }
    let message = format!("id must be a string or a number of at most {ID_BYTES_MAX} bytes");
    Err(Error::bad_request(message))
}

use bytes::Bytes;
use smallvec::smallvec;

use super::{Asked, Code, Talk, Told, Wanted, Wrong};
use crate::command::{Call, Command, Exclude, Request, Start, Subscribe};
use crate::dialect::{Frame, Requests};
use crate::dialects::native::{LAST_EVENTS_MAX, LIST_ITEMS_MAX};
use crate::dialects::spelling::incoming::{self, NotStrings, Unreadable};
use crate::dialects::spelling::members::push_members;
use crate::dialects::spelling::object::Object;
use crate::error::Error;
use crate::json::push_str;
use crate::pattern::Pattern;
use crate::topic::quoted;

/// The name of the list in messages, and the one that is understood too.
const EVENTS: [&str; 2] = ["events", "event_types"];

impl Talk {
    pub(super) fn read(&mut self, frame: Frame<'_>) -> Result<Requests, Wrong> {
        let Frame::Text(text) = frame else {
            return Err(Wrong::new(Code::InvalidMessageType, "a message must be text"));
        };
        if text.trim_ascii() == "ping" {
            return Ok(self.ask(Asked::Word, Command::Ping));
        }
        let message = incoming::object(text).map_err(unreadable)?;
        let kind = match message.get("type").map(|raw| (raw.get(), incoming::string(raw))) {
            None | Some(("null", _)) => {
                return Err(Wrong::new(Code::MissingType, "a message must have a type"));
            }
            Some((_, Some(kind))) if kind.is_empty() => {
                return Err(Wrong::new(Code::MissingType, "the type of a message is empty"));
            }
            Some((_, Some(kind))) => kind,
            Some((_, None)) => {
                let message = "the type of a message must be a string";
                return Err(Wrong::new(Code::InvalidMessageType, message));
            }
        };
        match &*kind {
            "subscribe" => self.subscribe(&message),
            "unsubscribe" => self.unsubscribe(&message),
            "command" => self.command(&message),
            "ping" => {
                let time = message.get("timestamp");
                Ok(self.ask(Asked::Ping(incoming::json(time)), Command::Ping))
            }
            other => {
                let message = format!("there are no messages of the type {}", quoted(other));
                Err(Wrong::new(Code::UnknownMessageType, message))
            }
        }
    }

    fn ask(&mut self, asked: Asked, command: Command) -> Requests {
        smallvec![Request { id: Some(self.pending.keep(asked)), command }]
    }

    fn subscribe(&mut self, message: &Object<'_>) -> Result<Requests, Wrong> {
        let wanted = wanted(message)?;
        let start = start(message)?;
        let mut topics = Vec::with_capacity(2 * wanted.events.len());
        for event in &wanted.events {
            topics.push(self.of_all(event)?);
            topics.push(self.of_room(&wanted, event)?);
        }
        let (except, filter, mode) = (Vec::new(), None, self.mode);
        let body = Subscribe { topics, except, filter, start, mode };
        Ok(self.ask(Asked::Subscribe(wanted), Command::Include(Box::new(body))))
    }

    fn unsubscribe(&mut self, message: &Object<'_>) -> Result<Requests, Wrong> {
        let wanted = wanted(message)?;
        let mut selected = Vec::with_capacity(2 * wanted.events.len());
        // What reaches every room stays as long as the client is in any.
        let mut orphaned = Vec::with_capacity(wanted.events.len());
        for event in &wanted.events {
            selected.push(self.of_room(&wanted, event)?);
            let of_all = self.of_all(event)?;
            let in_any = self.names.of_room(None, event).map_err(not_named)?;
            orphaned.push((of_all, in_any));
        }
        let (left, asked) = (Command::Exclude(Exclude::Selected(selected)), wanted);
        let mut requests =
            self.ask(Asked::Unsubscribe(asked), Command::Exclude(Exclude::Orphaned(orphaned)));
        // The answer is that of the last, which knows what is left.
        requests.insert(0, Request { id: None, command: left });
        Ok(requests)
    }

    fn of_all(&self, event: &str) -> Result<Pattern, Wrong> {
        self.names.of_all(event).map_err(not_named)
    }

    fn of_room(&self, wanted: &Wanted, event: &str) -> Result<Pattern, Wrong> {
        self.names.of_room(wanted.room.as_deref(), event).map_err(not_named)
    }

    /// A command is confirmed whatever becomes of it, and then has a result.
    fn command(&mut self, message: &Object<'_>) -> Result<Requests, Wrong> {
        let name = message.get("command").and_then(incoming::string).unwrap_or_default();
        if name.is_empty() {
            return Err(Wrong::new(Code::MissingCommand, "a command must be named by a string"));
        }
        let room = room(message)?;
        let command = self.names.command(&name);
        let command = command.map_err(|error| Wrong::new(Code::ProcessingError, error.message))?;
        let data = data(message, room.as_deref());
        let told = Told { command: name.into_owned(), room };
        let call = Command::Call(Box::new(Call { command, data, timeout_ms: None }));
        let mut requests = self.ask(Asked::Received(told.clone()), Command::Ping);
        requests.extend(self.ask(Asked::Command(told), call));
        Ok(requests)
    }
}

fn unreadable(why: Unreadable) -> Wrong {
    let code = match why {
        Unreadable::NotJson { .. } | Unreadable::TooDeep(_) => Code::InvalidJson,
        Unreadable::NotObject => Code::InvalidMessageType,
        Unreadable::Ambiguous(_) => Code::ProcessingError,
    };
    Wrong::new(code, why.to_string())
}

fn not_named(error: Error) -> Wrong {
    let message =
        format!("events and rooms are names without dots or wildcards: {}", error.message);
    Wrong::new(Code::InvalidEvents, message)
}

fn wanted(message: &Object<'_>) -> Result<Wanted, Wrong> {
    let empty = || Wrong::new(Code::EmptyEvents, "name at least one event in events");
    let list = EVENTS.iter().find_map(|name| message.get(name)).ok_or_else(empty)?;
    let events = incoming::strings(list, LIST_ITEMS_MAX).map_err(|why| {
        Wrong::new(
            Code::InvalidEvents,
            match why {
                NotStrings::Shape => "events must be a list of strings".to_owned(),
                NotStrings::TooMany => format!("events may name at most {LIST_ITEMS_MAX}"),
            },
        )
    })?;
    if events.is_empty() {
        return Err(empty());
    }
    let events = events.into_iter().map(std::borrow::Cow::into_owned).collect();
    Ok(Wanted { events, room: room(message)? })
}

fn room(message: &Object<'_>) -> Result<Option<String>, Wrong> {
    let Some(raw) = message.get("room").filter(|raw| raw.get() != "null") else { return Ok(None) };
    match incoming::string(raw) {
        Some(room) if room.is_empty() => Ok(None),
        Some(room) => Ok(Some(room.into_owned())),
        None => Err(Wrong::new(Code::ProcessingError, "room must be a string")),
    }
}

/// How many events that are kept are wanted first.
fn start(message: &Object<'_>) -> Result<Start, Wrong> {
    let Some(raw) = message.get("replay").filter(|raw| raw.get() != "null") else {
        return Ok(Start::Now);
    };
    match incoming::integer(raw) {
        Some(0) => Ok(Start::Now),
        Some(count) => {
            let count = u32::try_from(count).unwrap_or(LAST_EVENTS_MAX);
            Ok(Start::Last(count.min(LAST_EVENTS_MAX)))
        }
        None => {
            let message = "replay must be the number of events that are wanted";
            Err(Wrong::new(Code::ProcessingError, message))
        }
    }
}

/// What a command is given: its arguments as they stand, and the room among them.
fn data(message: &Object<'_>, room: Option<&str>) -> Bytes {
    let args = message.get("args").filter(|raw| raw.get() != "null");
    let Some(room) = room else {
        return args.map_or(Bytes::from_static(b"{}"), |args| incoming::json(Some(args)));
    };
    let mut data = b"{\"room\":".to_vec();
    push_str(&mut data, room);
    if let Some(args) = args
        && !push_members(args.get().as_bytes(), &["room"], &mut data)
    {
        data.extend_from_slice(b",\"args\":");
        data.extend_from_slice(args.get().as_bytes());
    }
    data.push(b'}');
    data.into()
}

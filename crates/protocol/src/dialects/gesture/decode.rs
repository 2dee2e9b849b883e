use smallvec::smallvec;

use super::{Asked, Talk};
use crate::command::{Command, Exclude, Request, Start, Subscribe};
use crate::dialect::{Frame, Requests};
use crate::dialects::native::LIST_ITEMS_MAX;
use crate::dialects::spelling::incoming::{self, NotStrings};
use crate::dialects::spelling::object::Object;
use crate::error::Error;
use crate::pattern::Pattern;

impl Talk {
    pub(super) fn read(&mut self, frame: Frame<'_>) -> Result<Requests, Error> {
        let Frame::Text(text) = frame else {
            return Err(Error::bad_request("a message must be text"));
        };
        let message = incoming::object(text).map_err(|why| Error::bad_request(why.to_string()))?;
        let kind = message.get("type").and_then(incoming::string).filter(|kind| !kind.is_empty());
        let kind = kind.ok_or_else(|| Error::bad_request("type must be a string, not empty"))?;
        match &*kind {
            "subscribe" => {
                let (names, topics) = self.channels(&message)?;
                let (except, filter, start, mode) = (Vec::new(), None, Start::Now, self.mode);
                let body = Subscribe { topics, except, filter, start, mode };
                Ok(self.ask(Asked::Subscribe(names), Command::Include(Box::new(body))))
            }
            "unsubscribe" => {
                let (names, topics) = self.channels(&message)?;
                let what = Exclude::Selected(topics);
                Ok(self.ask(Asked::Unsubscribe(names), Command::Exclude(what)))
            }
            "ping" => Ok(self.ask(Asked::Ping, Command::Ping)),
            "heartbeat" => Ok(self.ask(Asked::Heartbeat, Command::Ping)),
            other => Ok(self.ask(Asked::Other(other.to_owned()), Command::Ping)),
        }
    }

    fn ask(&mut self, asked: Asked, command: Command) -> Requests {
        smallvec![Request { id: Some(self.pending.keep(asked)), command }]
    }

    /// The channels that a message names, and their topics.
    fn channels(&self, message: &Object<'_>) -> Result<(Vec<String>, Vec<Pattern>), Error> {
        let missing = || Error::bad_request("channels must be a list of names");
        let list = message.get("channels").ok_or_else(missing)?;
        let names = incoming::strings(list, LIST_ITEMS_MAX).map_err(|why| match why {
            NotStrings::Shape => missing(),
            NotStrings::TooMany => {
                Error::bad_request(format!("channels may name at most {LIST_ITEMS_MAX}"))
            }
        })?;
        if names.is_empty() {
            return Err(Error::bad_request("channels must name at least one"));
        }
        let topics = names.iter().map(|name| self.root.pattern(name)).collect::<Result<_, _>>()?;
        Ok((names.into_iter().map(std::borrow::Cow::into_owned).collect(), topics))
    }
}

use crate::dialects::spelling::root::Root;
use crate::error::Error;
use crate::message::Interest;
use crate::pattern::Pattern;
use crate::topic::Topic;

/// How rooms and events are called.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    root: Root,
}

impl Names {
    pub(super) fn new(root: Option<Topic>) -> Self {
        Self { root: Root::new(root) }
    }

    /// The room of a topic, where it has one, and the event.
    pub(super) fn split<'a>(&self, topic: &'a Topic) -> (Option<&'a str>, &'a str) {
        let name = self.root.name_of(topic);
        match name.rsplit_once('.') {
            Some((room, event)) => (Some(room), event),
            None => (None, name),
        }
    }

    /// The event of every room.
    pub(super) fn of_all(&self, event: &str) -> Result<Pattern, Error> {
        self.token(event)?;
        self.root.pattern(event)
    }

    /// The event in a room, or in each where none is named.
    pub(super) fn of_room(&self, room: Option<&str>, event: &str) -> Result<Pattern, Error> {
        self.token(event)?;
        room.map_or(Ok(()), |room| self.token(room))?;
        self.root.pattern(&format!("{}.{event}", room.unwrap_or("*")))
    }

    /// The command that clients call so.
    pub(super) fn command(&self, name: &str) -> Result<Topic, Error> {
        self.root.topic(name)
    }

    /// Rooms and events are one token each: of `a.b` nobody could tell which is which.
    fn token(&self, text: &str) -> Result<(), Error> {
        self.root.topic(text)?;
        if text.contains('.') {
            return Err(Error::bad_request("it has a dot"));
        }
        Ok(())
    }

    /// The events of subscriptions, each once, in the order in which they were asked for.
    pub(super) fn events<'a>(&self, all: &'a [Interest]) -> Vec<&'a str> {
        let mut events = Vec::new();
        let mut known = std::collections::HashSet::new();
        for interest in all {
            let event = interest.topic.tokens().last().unwrap_or_default();
            if known.insert(event) {
                events.push(event);
            }
        }
        events
    }
}

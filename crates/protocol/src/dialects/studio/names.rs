use std::borrow::Cow;

use crate::dialects::spelling::root::Root;
use crate::error::Error;
use crate::message::Interest;
use crate::pattern::Pattern;
use crate::topic::Topic;

/// How events are called. A final `*` stands for the rest of a name, however it goes on.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    root: Root,
}

impl Names {
    pub(super) fn new(root: Option<Topic>) -> Self {
        Self { root: Root::new(root) }
    }

    /// The name of an event.
    pub(super) fn event<'a>(&self, topic: &'a Topic) -> &'a str {
        self.root.name_of(topic)
    }

    /// The pattern that clients call so.
    pub(super) fn pattern(&self, name: &str) -> Result<Pattern, Error> {
        match name.strip_suffix('*') {
            Some(start) => self.root.pattern(&format!("{start}>")),
            None => self.root.pattern(name),
        }
    }

    /// What clients call a pattern.
    pub(super) fn name<'a>(&self, pattern: &'a Pattern) -> Cow<'a, str> {
        let text = self.root.strip(pattern.as_str()).unwrap_or(pattern.as_str());
        match text.strip_suffix('>') {
            Some(start) => Cow::Owned(format!("{start}*")),
            None => Cow::Borrowed(text),
        }
    }

    /// The names of subscriptions, each once, in the order in which they were asked for.
    pub(super) fn of_all<'a>(&self, all: &'a [Interest]) -> Vec<Cow<'a, str>> {
        let mut known = std::collections::HashSet::new();
        let topics = all.iter().map(|interest| &interest.topic);
        topics.filter(|topic| known.insert(topic.as_str())).map(|topic| self.name(topic)).collect()
    }

    /// The command that clients call so.
    pub(super) fn command(&self, name: &str) -> Result<Topic, Error> {
        self.root.topic(name)
    }
}

use std::sync::Arc;

use protocol::{Audience, ClientId, Event, Filter, Pattern, Topic};

/// Which events are asked for, and who asks.
#[derive(Clone, Debug)]
pub struct Selector {
    /// Patterns to take.
    pub topics: Vec<Pattern>,
    /// Patterns to leave out.
    pub except: Vec<Pattern>,
    /// What must hold of the data.
    pub filter: Option<Arc<Filter>>,
    /// Who asks; `None` is the operator, who sees every audience.
    pub viewer: Option<Viewer>,
}

impl Selector {
    /// Whether the event is asked for and may be seen.
    pub fn selects(&self, event: &Event) -> bool {
        self.takes(event.topic())
            && self.viewer.as_ref().is_none_or(|viewer| viewer.sees(&event.draft.audience))
            && self.filter.as_ref().is_none_or(|filter| filter.accepts(&event.draft.payload))
    }

    /// Whether the topic is asked for.
    pub fn takes(&self, topic: &Topic) -> bool {
        self.topics.iter().any(|pattern| pattern.matches(topic))
            && !self.except.iter().any(|pattern| pattern.matches(topic))
    }
}

/// Whom audiences are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The connection.
    pub client: ClientId,
    /// The authenticated user.
    pub user: Option<Arc<str>>,
    /// Groups that the connection is a member of.
    pub groups: Vec<Arc<str>>,
}

impl Viewer {
    /// Whether an event of this audience is for the viewer.
    pub fn sees(&self, audience: &Audience) -> bool {
        match audience {
            Audience::Everyone => true,
            Audience::User(user) => self.user.as_ref() == Some(user),
            Audience::Group(group) => self.groups.contains(group),
            Audience::Client(client) => self.client == *client,
        }
    }
}

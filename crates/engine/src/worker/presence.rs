use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use protocol::{Answer, Command, Error, Pattern, Request as ClientRequest, Topic};

use super::{Now, Request, Ticket, Worker};
use crate::grants::Action;

/// Who watches something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Users, sorted, each once.
    pub users: BTreeSet<Arc<str>>,
    /// Connections, of users or not.
    pub clients: u64,
}

impl Presence {
    /// Adds what another worker has.
    pub fn add(&mut self, other: Self) {
        self.users.extend(other.users);
        self.clients += other.clients;
    }
}

impl Worker {
    /// Which of this worker's clients subscribe to some topic that `topics` selects. It looks only
    /// at subscriptions whose patterns have such a topic.
    pub fn presence(&self, topics: &Pattern) -> Presence {
        let mut found = Vec::new();
        self.index.overlapping(topics, &mut found);
        let subscriptions = found.into_iter().filter_map(|key| self.index.get(key));
        let places: HashSet<u32> = subscriptions.map(|subscription| subscription.session).collect();
        let mut presence = Presence::default();
        for session in places.into_iter().filter_map(|place| self.sessions.get(place as usize)) {
            if !session.is_closing {
                presence.clients += 1;
                presence.users.extend(session.user.clone());
            }
        }
        presence
    }

    /// The topics that this worker's clients subscribe to by name, without a wildcard, of those
    /// that `within` selects.
    pub fn topics_within(&self, within: &Pattern) -> BTreeSet<Topic> {
        let mut found = Vec::new();
        self.index.overlapping(within, &mut found);
        let subscriptions = found.into_iter().filter_map(|key| self.index.get(key));
        let patterns = subscriptions.flat_map(|subscription| self.index.topics(subscription));
        let topics = patterns.filter_map(|pattern| pattern.as_topic());
        topics.filter(|topic| within.matches(topic)).collect()
    }

    /// A client asks for it. Its later commands wait for the answer, so that there is one question
    /// of each client at a time.
    pub(super) fn ask_presence(&mut self, ticket: Ticket, topics: Pattern) -> Result<(), Error> {
        let Some(session) = self.session_mut(ticket.client) else { return Ok(()) };
        session.grants.authorize(Action::Subscribe, &topics)?;
        let command = Command::Presence(topics.clone());
        session.rare_mut().reading = Some(ClientRequest { id: ticket.id, command });
        self.requests.push_back(Request::Presence { ticket, topics });
        Ok(())
    }

    /// All workers were asked.
    pub fn handle_presence(&mut self, now: Now, ticket: Ticket, presence: Presence) {
        let Presence { users, clients } = presence;
        let users = users.into_iter().collect();
        self.handle_history(now, ticket, Ok(Answer::Presence { users, clients }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_have_is_one() {
        let of = |users: &[&str], clients| Presence {
            users: users.iter().map(|user| Arc::from(*user)).collect(),
            clients,
        };
        let mut all = of(&["eve", "ann"], 3);
        all.add(of(&["bob", "ann"], 2));
        assert_eq!(all, of(&["ann", "bob", "eve"], 5));
    }
}

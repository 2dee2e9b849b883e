use protocol::{
    Answer, Command, Error, Exclude, Interest, Pattern, Request as ClientRequest, Start, Subscribe,
};

use super::{ClientKey, Ticket, Worker};
use crate::index::SubscriptionKey;
use crate::session::Subscribing;

/// Subscriptions of a client as one set of patterns.
impl Worker {
    /// Subscribes to what the client does not have yet.
    pub(super) fn include(&mut self, ticket: Ticket, mut body: Subscribe) -> Result<(), Error> {
        let key = ticket.client;
        if body.start == Start::Now {
            let is_new = |pattern: &Pattern| !self.has(key, pattern, &body);
            let new: Vec<Pattern> = body.topics.iter().filter(|p| is_new(p)).cloned().collect();
            if new.is_empty() && !body.topics.is_empty() {
                self.reply(key, ticket.id, Ok(Answer::Included(self.interests(key))));
                return Ok(());
            }
            body.topics = new;
        }
        self.may_subscribe(key, std::slice::from_ref(&body))?;
        let bodies = vec![body.clone()];
        let request = ClientRequest { id: ticket.id, command: Command::Include(Box::new(body)) };
        self.start_subscribing(key, request, None, bodies);
        Ok(())
    }

    /// Whether the client subscribes to just that pattern in just that way.
    fn has(&self, key: ClientKey, pattern: &Pattern, body: &Subscribe) -> bool {
        let Some(node) = self.index.find(pattern) else { return false };
        let subscriptions = self.session(key).into_iter().flat_map(|s| &s.subscriptions);
        subscriptions.filter_map(|one| self.index.get(*one)).any(|one| {
            one.names(node)
                && one.mode == body.mode
                && **one.except() == *body.except
                && self.index.filter(one) == body.filter.as_ref()
        })
    }

    /// What is subscribed already and is to be otherwise from now on goes on where the client is
    /// in its streams, which may be behind their heads.
    pub(super) fn go_on_where_it_is(&self, key: ClientKey, bodies: &mut Vec<Subscribe>) {
        let mut changed = Vec::new();
        for body in bodies.iter_mut().filter(|body| body.start == Start::Now) {
            let (before, new) = body.topics.drain(..).partition(|topic| self.names(key, topic));
            body.topics = new;
            if !Vec::is_empty(&before) {
                let streams = self.streams_of(&before).into_iter();
                let places = streams.filter_map(|at| self.place_in(key, at)).collect();
                let start = Start::Positions(places);
                changed.push(Subscribe { topics: before, start, ..body.clone() });
            }
        }
        bodies.retain(|body| !body.topics.is_empty());
        bodies.append(&mut changed);
    }

    /// Whether the client subscribes to just that pattern in any way.
    fn names(&self, key: ClientKey, pattern: &Pattern) -> bool {
        let Some(node) = self.index.find(pattern) else { return false };
        let mut subscriptions = self.session(key).into_iter().flat_map(|s| &s.subscriptions);
        subscriptions.any(|one| self.index.get(*one).is_some_and(|one| one.names(node)))
    }

    /// Whether every subscription of a command can begin where it is to: what they replace ends
    /// first.
    pub(super) fn can_begin(&self, subscribing: &Subscribing) -> Result<(), Error> {
        for (place, body) in subscribing.bodies.iter().enumerate() {
            for stream in self.streams_of(&body.topics) {
                self.start_at(stream, subscribing, place)?;
            }
        }
        Ok(())
    }

    /// Ends the subscriptions to patterns that are about to begin anew. Their readers stay, for
    /// those that begin.
    pub(super) fn end_named(&mut self, key: ClientKey, bodies: &[Subscribe]) {
        for pattern in bodies.iter().flat_map(|body| &body.topics) {
            self.end_topic(key, pattern);
        }
    }

    /// The client may name the patterns that leaving these out takes.
    fn may_leave_out(&self, key: ClientKey, patterns: &[Pattern]) -> Result<(), Error> {
        let Some(session) = self.session(key) else { return Ok(()) };
        let subscriptions = session.subscriptions.iter().filter_map(|one| self.index.get(*one));
        let held: usize = subscriptions.map(|one| one.pattern_count()).sum();
        let wider = |pattern: &Pattern| {
            let stays = |one: &&SubscriptionKey| self.takes_more(**one, pattern);
            session.subscriptions.iter().filter(stays).count()
        };
        self.may_hold(session, held + patterns.iter().map(wider).sum::<usize>())
    }

    /// Takes patterns out of what the client subscribes to.
    pub(super) fn exclude(&mut self, ticket: Ticket, what: Exclude) -> Result<(), Error> {
        let key = ticket.client;
        let removed = match what {
            Exclude::Named(patterns) => {
                patterns.into_iter().filter(|pattern| self.end_topic(key, pattern)).collect()
            }
            Exclude::Selected(patterns) => {
                self.may_leave_out(key, &patterns)?;
                patterns.into_iter().filter(|one| self.exclude_selected(key, one)).collect()
            }
            Exclude::Orphaned(pairs) => {
                let all = self.interests(key);
                let is_orphan = |of: &Pattern| !all.iter().any(|one| of.contains(&one.topic));
                let orphans = pairs.into_iter().filter(|(_, of)| is_orphan(of));
                let orphans: Vec<Pattern> = orphans.map(|(pattern, _)| pattern).collect();
                orphans.into_iter().filter(|pattern| self.end_topic(key, pattern)).collect()
            }
            Exclude::All => {
                let removed = self.interests(key).into_iter().map(|one| one.topic).collect();
                let all = self.session(key).map(|s| s.subscriptions.clone()).unwrap_or_default();
                for subscription in all {
                    self.end(key, subscription, None);
                }
                removed
            }
        };
        self.clean_up(key.place);
        let all = self.interests(key);
        self.reply(key, ticket.id, Ok(Answer::Excluded { removed, all }));
        Ok(())
    }

    /// Nothing that `pattern` selects is subscribed to any more; whether something was.
    fn exclude_selected(&mut self, key: ClientKey, pattern: &Pattern) -> bool {
        let mut found = false;
        for interest in self.interests(key) {
            if pattern.contains(&interest.topic) {
                found |= self.end_topic(key, &interest.topic);
            }
        }
        let wider: Vec<SubscriptionKey> = self
            .session(key)
            .into_iter()
            .flat_map(|session| session.subscriptions.iter().copied())
            .filter(|one| self.takes_some(*one, pattern))
            .collect();
        for subscription in wider {
            let topics = self.index.get(subscription).map(|one| self.index.topics(one));
            self.note_ending(key, subscription, &topics.unwrap_or_default().into());
            self.index.leave_out(subscription, pattern);
            found = true;
        }
        found
    }

    fn takes_some(&self, subscription: SubscriptionKey, pattern: &Pattern) -> bool {
        let Some(one) = self.index.get(subscription) else { return false };
        self.index.topics(one).iter().any(|topic| topic.overlaps(pattern))
            && !one.except().iter().any(|except| except.contains(pattern))
    }

    /// Whether something of a subscription is left where a pattern is left out of it.
    fn takes_more(&self, subscription: SubscriptionKey, pattern: &Pattern) -> bool {
        let topics = self.index.get(subscription).map(|one| self.index.topics(one));
        let mut topics = topics.into_iter().flatten();
        self.takes_some(subscription, pattern) && topics.any(|topic| !pattern.contains(&topic))
    }

    /// All that a client subscribes to, in the order in which it asked.
    pub(super) fn interests(&self, key: ClientKey) -> Vec<Interest> {
        let subscriptions = self.session(key).into_iter().flat_map(|s| &s.subscriptions);
        let mut interests = Vec::new();
        for one in subscriptions.filter_map(|one| self.index.get(*one)) {
            let (filter, mode) = (self.index.filter(one).cloned(), one.mode);
            for topic in self.index.topics(one) {
                interests.push(Interest { topic, filter: filter.clone(), mode });
            }
        }
        interests
    }
}

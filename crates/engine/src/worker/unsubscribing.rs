use std::sync::Arc;

use protocol::{Answer, Error, ErrorCode, Pattern, Unsubscribe};

use super::{ClientKey, Ticket, Worker};
use crate::index::{NodeKey, SubscriptionKey};
use crate::session::{Ending, Replay};
use crate::streams::StreamIndex;

impl Worker {
    pub(super) fn unsubscribe(&mut self, ticket: Ticket, what: Unsubscribe) -> Result<(), Error> {
        match what {
            Unsubscribe::Subscription(id) => {
                let found = self.find(ticket.client, |subscription| subscription.id == id);
                let Some(key) = found else {
                    let message = format!("there is no subscription `{id}`");
                    return Err(Error::new(ErrorCode::NotFound, message));
                };
                self.end(ticket.client, key, None);
                self.clean_up(ticket.client.place);
            }
            Unsubscribe::Topics(topics) => {
                let found = topics.iter().find(|pattern| !self.end_topic(ticket.client, pattern));
                self.clean_up(ticket.client.place);
                if let Some(missing) = found {
                    let message = format!("there is no subscription to `{missing}`");
                    return Err(Error::new(ErrorCode::NotFound, message));
                }
            }
        }
        self.reply(ticket.client, ticket.id, Ok(Answer::Unsubscribed));
        Ok(())
    }

    fn find(
        &self,
        key: ClientKey,
        is_it: impl Fn(&crate::index::Subscription) -> bool,
    ) -> Option<SubscriptionKey> {
        let keys = self.session(key)?.subscriptions.iter().copied();
        keys.into_iter().find(|key| self.index.get(*key).is_some_and(&is_it))
    }

    /// Takes a pattern out of every subscription that names it; whether one did.
    pub(super) fn end_topic(&mut self, client: ClientKey, pattern: &Pattern) -> bool {
        let mut found = false;
        // The node goes with the last subscription that names the pattern.
        while let Some(node) = self.index.find(pattern)
            && let Some(key) = self.find(client, |subscription| subscription.names(node))
        {
            found = true;
            let is_last = self.index.get(key).is_some_and(|other| other.topic_count() == 1);
            self.end(client, key, (!is_last).then_some((pattern, node)));
        }
        found
    }

    /// Ends a subscription, or takes one pattern out of it.
    pub(super) fn end(
        &mut self,
        client: ClientKey,
        key: SubscriptionKey,
        topic: Option<(&Pattern, NodeKey)>,
    ) {
        let Some(subscription) = self.index.get(key) else { return };
        let topics: Arc<[Pattern]> = match topic {
            Some((topic, _)) => [topic.clone()].into(),
            None => self.index.topics(subscription).into(),
        };
        self.note_ending(client, key, &topics);
        match topic {
            Some((_, node)) => drop(self.index.remove_topic(key, node)),
            None => self.remove_subscription(client, key),
        }
    }

    /// Topics of a subscription are about to end. Readers of one stream that are at different
    /// places agree on where, so that what one of them left to another is neither lost nor sent
    /// twice.
    pub(super) fn note_ending(
        &mut self,
        client: ClientKey,
        key: SubscriptionKey,
        topics: &Arc<[Pattern]>,
    ) {
        let Some(subscription) = self.index.get(key) else { return };
        let (except, mode) = (subscription.except().clone(), subscription.mode);
        let filter = self.index.filter(subscription).cloned();
        for at in self.streams_of(topics) {
            let (Some(spec), Some(stream)) = (self.table.spec(at), self.streams.get(at.get()))
            else {
                continue;
            };
            let (read, mode) = (stream.read, mode.narrowed(spec.mode));
            let Some(session) = self.sessions.get_mut(client.place as usize) else { return };
            let readers = || session.readers.iter().filter(|reader| reader.stream == at);
            let until = readers().map(|reader| reader.position(read)).max().unwrap_or(0);
            if readers().all(|reader| reader.position(read) == until) {
                continue;
            }
            let (topics, except, filter) = (topics.clone(), except.clone(), filter.clone());
            let rare = session.rare_mut();
            let began = rare.beginnings.iter().find(|b| b.subscription == key && b.stream == at);
            let after = began.map_or(0, |beginning| beginning.after);
            if after >= until {
                continue;
            }
            let ending = Ending { topics, except, filter, mode, stream: at, after, until };
            if !rare.endings.iter_mut().any(|other| other.extend(&ending)) {
                rare.endings.push(ending);
            }
        }
    }

    /// Drops what belongs to patterns that a client has unsubscribed from.
    pub(super) fn clean_up(&mut self, place: u32) {
        self.drop_replays(place);
        self.drop_idle_readers(place);
        self.queue(place);
    }

    fn remove_subscription(&mut self, client: ClientKey, key: SubscriptionKey) {
        self.index.remove(key);
        let Some(session) = self.session_mut(client) else { return };
        session.subscriptions.retain(|other| *other != key);
        if let Some(rare) = &mut session.rare {
            rare.beginnings.retain(|beginning| beginning.subscription != key);
            rare.replays.retain(|replay| replay.subscription != key);
            // Another subscription may get the key.
            if let Some(remembering) = &mut rare.remembering {
                remembering.forget(key);
            }
        }
    }

    /// Drops the histories of subscriptions in streams that they do not reach into any more.
    fn drop_replays(&mut self, place: u32) {
        let Some(session) = self.sessions.get(place as usize) else { return };
        let replays = session.rare.iter().flat_map(|rare| &rare.replays);
        let is_left = |replay: &&Replay| {
            let subscription = self.index.get(replay.subscription);
            !subscription.is_some_and(|subscription| {
                self.streams_of(&self.index.topics(subscription)).contains(&replay.stream)
            })
        };
        let left: Vec<(SubscriptionKey, StreamIndex)> =
            replays.filter(is_left).map(|replay| (replay.subscription, replay.stream)).collect();
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        if let Some(rare) = session.rare.as_mut().filter(|_| !left.is_empty()) {
            rare.replays.retain(|replay| !left.contains(&(replay.subscription, replay.stream)));
        }
    }

    /// Drops readers that serve no subscription any more, present or ending.
    pub(super) fn drop_idle_readers(&mut self, place: u32) {
        self.drop_endings(place);
        let Some(session) = self.sessions.get(place as usize) else { return };
        let idle: Vec<usize> =
            (0..session.readers.len()).filter(|reader| !self.is_needed(session, *reader)).collect();
        if !idle.is_empty() {
            // What is cached names readers by their places, which change now.
            self.index.forget_matches();
        }
        for reader in idle.into_iter().rev() {
            let Some(session) = self.sessions.get_mut(place as usize) else { return };
            let gone = session.readers.remove(reader);
            if let Some(stream) = self.streams.get_mut(gone.stream.get()) {
                stream.readers -= 1;
            }
            session.forget_gaps(gone.stream);
        }
        self.forget_places(place);
    }

    /// Drops endings in streams of which nothing is subscribed: there is nobody left whom they
    /// could keep from sending what was sent.
    fn drop_endings(&mut self, place: u32) {
        let Some(session) = self.sessions.get(place as usize) else { return };
        if session.rare.as_ref().is_none_or(|rare| rare.endings.is_empty()) {
            return;
        }
        let subscriptions = session.subscriptions.iter().filter_map(|key| self.index.get(*key));
        let topics: Vec<Pattern> =
            subscriptions.flat_map(|found| self.index.topics(found)).collect();
        let streams = self.streams_of(&topics);
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        session.rare_mut().endings.retain(|ending| streams.contains(&ending.stream));
    }

    fn is_needed(&self, session: &crate::session::Session, reader: usize) -> bool {
        let Some(reader) = session.readers.get(reader) else { return false };
        let Some(spec) = self.table.spec(reader.stream) else { return false };
        let serves = session.subscriptions.iter().filter_map(|key| self.index.get(*key)).any(
            |subscription| {
                let mode = subscription.mode.narrowed(spec.mode);
                mode == reader.mode
                    && self.streams_of(&self.index.topics(subscription)).contains(&reader.stream)
            },
        );
        let mut endings = session.rare.iter().flat_map(|rare| &rare.endings);
        serves || endings.any(|ending| ending.stream == reader.stream && ending.mode == reader.mode)
    }
}

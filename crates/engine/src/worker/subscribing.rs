use std::sync::Arc;

use protocol::{
    Answer, Command, Error, ErrorCode, Hello, Pattern, Position, Request as ClientRequest, Start,
    Subscribe, Subscribed, SubscriptionId, Unsubscribe,
};
use smallvec::SmallVec;

use super::locating::StartAt;
use super::remembering::note_beginning;
use super::{ClientKey, Request, Ticket, Worker};
use crate::grants::Action;
use crate::index::{NodeKey, SubscriptionKey};
use crate::session::{Beginning, Ending, Reader, Replay, Subscribing};
use crate::streams::StreamIndex;

impl Worker {
    pub(super) fn hello(&mut self, ticket: Ticket, hello: Hello) -> Result<(), Error> {
        let key = ticket.client;
        let Some(session) = self.session(key) else { return Ok(()) };
        let is_subscribed = session.subscriptions.iter().any(|one| {
            let remembering = session.rare.as_ref().and_then(|rare| rare.remembering.as_ref());
            !remembering.is_some_and(|remembering| remembering.is_restored(*one))
        });
        if session.counts.commands_in > 1 || is_subscribed {
            return Err(Error::bad_request("hello must be the first message of a connection"));
        }
        self.may_subscribe(ticket.client, &hello.subscriptions)?;
        self.set_device(ticket.client, hello.device.clone());
        self.restore_id(ticket.client, &hello);
        let resume = (!hello.resume.is_empty()).then(|| hello.resume.clone());
        let bodies = hello.subscriptions.clone();
        let request = ClientRequest { id: ticket.id, command: Command::Hello(Box::new(hello)) };
        let says_where = resume.is_some() || !bodies.is_empty();
        if says_where {
            self.forget_left(key);
        }
        self.start_subscribing(key, request, resume, bodies);
        if !says_where {
            self.restore_left(key);
        }
        Ok(())
    }

    /// Gives a client the id and the groups that it had on an earlier connection.
    fn restore_id(&mut self, key: ClientKey, hello: &Hello) {
        let restored = hello.session.as_ref().and_then(|token| self.tokens.open(token));
        let Some(session) = self.session_mut(key) else { return };
        let (before, id) = (session.client, restored.unwrap_or(session.client));
        if id == before && hello.device.is_none() {
            return;
        }
        session.client = id;
        if self.by_client.get(&before) == Some(&key.place) {
            self.by_client.remove(&before);
        }
        self.by_client.insert(id, key.place);
        if restored.is_some() {
            let user = self.session(key).and_then(|session| session.user.clone());
            for group in self.tokens.groups(id, user.as_deref()) {
                self.set_group(key, &group, true);
            }
        }
        let device = hello.device.clone();
        self.requests.push_back(Request::Restored { client: key, id, device, before });
    }

    pub(super) fn subscribe(&mut self, ticket: Ticket, body: Subscribe) -> Result<(), Error> {
        if self.claim(ticket, &body) {
            return Ok(());
        }
        self.may_subscribe(ticket.client, std::slice::from_ref(&body))?;
        let bodies = vec![body.clone()];
        let request = ClientRequest { id: ticket.id, command: Command::Subscribe(Box::new(body)) };
        self.start_subscribing(ticket.client, request, None, bodies);
        Ok(())
    }

    pub(super) fn may_subscribe(&self, key: ClientKey, bodies: &[Subscribe]) -> Result<(), Error> {
        let Some(session) = self.session(key) else { return Ok(()) };
        let subscriptions = session.subscriptions.iter().filter_map(|key| self.index.get(*key));
        let held: usize = subscriptions.map(|subscription| subscription.pattern_count()).sum();
        // Those that ended count until every reader has passed their end.
        let endings = session.rare.iter().flat_map(|rare| &rare.endings);
        let held = held + endings.map(Ending::pattern_count).sum::<usize>();
        let asked: usize = bodies.iter().map(|body| body.topics.len() + body.except.len()).sum();
        if held + asked > session.subscriptions_max as usize {
            let message =
                format!("at most {} patterns may be subscribed", session.subscriptions_max);
            return Err(Error::new(ErrorCode::TooManySubscriptions, message));
        }
        for body in bodies {
            if body.topics.is_empty() {
                return Err(Error::bad_request("topics must name at least one pattern"));
            }
            for pattern in &body.topics {
                session.grants.authorize(Action::Subscribe, pattern)?;
            }
        }
        Ok(())
    }

    fn start_subscribing(
        &mut self,
        key: ClientKey,
        request: ClientRequest,
        resume: Option<Vec<Position>>,
        bodies: Vec<Subscribe>,
    ) {
        let (to_locate, found, attempt) = (Vec::new(), Vec::new(), 0);
        let mut subscribing = Subscribing { request, resume, bodies, attempt, to_locate, found };
        match self.locate(key, &mut subscribing) {
            Ok(true) => {}
            Ok(false) => return self.begin_all(key, subscribing),
            Err(error) => return self.reply(key, subscribing.request.id, Err(error)),
        }
        if let Some(session) = self.session_mut(key) {
            session.rare_mut().subscribing = Some(subscribing);
        }
    }

    /// Begins all subscriptions of a command at once, or none of them, and answers it.
    pub(super) fn begin_all(&mut self, key: ClientKey, subscribing: Subscribing) {
        let mut begun = Vec::new();
        for body in &subscribing.bodies {
            self.prepare(key, body);
        }
        for body in 0..subscribing.bodies.len() {
            match self.begin(key, &subscribing, body) {
                Ok(one) => begun.push(one),
                Err(error) => {
                    for (subscription, _) in begun {
                        self.end(key, subscription, None);
                    }
                    self.clean_up(key.place);
                    return self.reply(key, subscribing.request.id, Err(error));
                }
            }
        }
        let subscriptions: Vec<Subscribed> = begun.into_iter().map(|(_, one)| one).collect();
        let Some(session) = self.session(key) else { return };
        let answer = if let Command::Hello(_) = subscribing.request.command {
            let (client, user) = (session.client, session.user.clone());
            Some(Answer::Hello { client, user, subscriptions })
        } else {
            subscriptions.into_iter().next().map(Answer::Subscribed)
        };
        if let Some(answer) = answer {
            self.reply(key, subscribing.request.id, Ok(answer));
        }
        self.queue(key.place);
    }

    /// Follows the streams of a subscription that is about to begin.
    pub(super) fn prepare(&mut self, key: ClientKey, body: &Subscribe) {
        for stream in self.streams_of(&body.topics) {
            self.watch(stream);
            self.settle_epoch(key, stream);
        }
    }

    /// What begins in a new epoch begins behind the gap that tells of it.
    fn settle_epoch(&mut self, key: ClientKey, stream: StreamIndex) {
        let mut readers = self.session(key).into_iter().flat_map(|session| &session.readers);
        if readers.any(|reader| reader.stream == stream && reader.is_reset) {
            self.tell_epoch(key.place, stream);
        }
    }

    /// Begins a subscription in each of its streams.
    pub(super) fn begin(
        &mut self,
        key: ClientKey,
        subscribing: &Subscribing,
        place: usize,
    ) -> Result<(SubscriptionKey, Subscribed), Error> {
        let gone = || Error::new(ErrorCode::Internal, "the client is gone");
        let body = subscribing.bodies.get(place).ok_or_else(gone)?;
        let mut starts = SmallVec::<[(StreamIndex, Option<StartAt>); 4]>::new();
        for stream in self.streams_of(&body.topics) {
            starts.push((stream, self.start_at(stream, subscribing, place)?));
        }
        let session = self.session_mut(key).ok_or_else(gone)?;
        session.subscription_last += 1;
        let id = SubscriptionId(session.subscription_last);
        let Subscribe { mode, topics, except, filter, .. } = body;
        let (place, except, filter) = (key.place, except.clone(), filter.as_ref());
        let subscription = self.index.insert(place, id, *mode, topics, except, filter);
        if let Some(session) = self.session_mut(key) {
            session.subscriptions.push(subscription);
        }
        let mut truncated = false;
        let mut positions = Vec::new();
        for (stream, start) in starts {
            truncated |= start.as_ref().is_some_and(|start| start.truncated);
            positions.extend(self.begin_in(place, (subscription, id), body, stream, start));
        }
        let topics = body.topics.clone();
        Ok((subscription, Subscribed { subscription: id, topics, positions, truncated }))
    }

    /// Begins a subscription in one stream; the position after which it holds.
    fn begin_in(
        &mut self,
        place: u32,
        (key, id): (SubscriptionKey, SubscriptionId),
        body: &Subscribe,
        at: StreamIndex,
        start: Option<StartAt>,
    ) -> Option<Position> {
        let spec = self.table.spec(at)?;
        let (name, mode) = (spec.name.clone(), body.mode.narrowed(spec.mode));
        let stream = self.streams.get(at.get())?;
        let (read, epoch) = (stream.read, stream.epoch.clone());
        let session = self.sessions.get_mut(place as usize)?;
        let asked = start.as_ref().map_or(read, |start| start.after.min(read));
        let is_reset = start.is_some_and(|start| start.is_reset);
        let is_first = session.readers.iter().all(|reader| reader.stream != at);
        let begun = Position { stream: name.clone(), epoch: epoch.clone(), seq: asked };
        note_beginning(session, begun, is_first);
        let mut readers = session.readers.iter().filter(|reader| reader.stream == at);
        // History comes apart from the live order, unless every reader of the stream begins there.
        let joins =
            readers.all(|reader| reader.position(read) == asked && reader.is_reset == is_reset);
        let after = if joins { asked } else { read };
        // Where nothing is kept behind the old epoch, its gap is still to be told.
        if after > asked || (is_reset && !joins) {
            let (subscription, stream, cursor, until) = (key, at, asked, read);
            let (is_latest, is_stored) = (mode.latest, body.start == Start::Stored);
            let replay =
                Replay { subscription, id, stream, is_latest, is_reset, is_stored, cursor, until };
            session.rare_mut().replays.push(replay);
            session.pause(at, read);
        }
        let is_reset = is_reset && joins;
        let is_live = after == read && !is_reset && session.replay(at).is_none();
        let reader = Reader {
            stream: at,
            mode,
            is_live,
            is_reset,
            cursor: after,
            due_ms: 0,
            timer_ms: 0,
            until: 0,
            marked: after,
        };
        self.read_for(place, key, reader);
        Some(Position { stream: name, epoch, seq: after })
    }

    /// Lets the session's reader of that stream and mode serve a subscription after the reader's
    /// `cursor`; makes the reader where there is none.
    fn read_for(&mut self, place: u32, key: SubscriptionKey, mut reader: Reader) {
        let (at, after) = (reader.stream, reader.cursor);
        let priority =
            |stream: StreamIndex| self.table.spec(stream).map_or(0, |spec| spec.priority);
        let Some(stream) = self.streams.get_mut(at.get()) else { return };
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        session.is_behind |= !reader.is_live;
        let readers = || session.readers.iter().filter(|other| other.stream == at);
        let is_served = readers().any(|other| other.mode == reader.mode);
        // What the client was told of the stream, until a mark tells it more.
        reader.marked = readers().map(|other| other.marked).min().unwrap_or(after);
        // Whichever reader is still before that place must not leave its events to this one.
        if readers().any(|other| other.position(stream.read) < after) {
            let beginning = Beginning { subscription: key, stream: at, after };
            session.rare_mut().beginnings.push(beginning);
        }
        if is_served {
            return;
        }
        let behind = session.readers.iter().position(|other| priority(other.stream) < priority(at));
        // Most clients have one reader; left to itself the list would begin with room for four.
        session.readers.reserve_exact(1);
        session.readers.insert(behind.unwrap_or(session.readers.len()), reader);
        stream.readers += 1;
    }

    pub(super) fn streams_of(&self, topics: &[Pattern]) -> SmallVec<[StreamIndex; 4]> {
        let mut streams = SmallVec::new();
        for pattern in topics {
            for stream in self.table.streams_of(pattern) {
                if !streams.contains(&stream) {
                    streams.push(stream);
                }
            }
        }
        streams
    }

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
    fn end_topic(&mut self, client: ClientKey, pattern: &Pattern) -> bool {
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

    /// Ends a subscription, or takes one pattern out of it. Readers of one stream that are at
    /// different places agree on where it ended, so that what one of them left to another is
    /// neither lost nor sent twice.
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
        let (except, mode) = (subscription.except().clone(), subscription.mode);
        let filter = self.index.filter(subscription).cloned();
        for at in self.streams_of(&topics) {
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
        match topic {
            Some((_, node)) => drop(self.index.remove_topic(key, node)),
            None => self.remove_subscription(client, key),
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

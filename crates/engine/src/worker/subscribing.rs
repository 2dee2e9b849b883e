use std::collections::HashSet;

use protocol::{
    Answer, Command, Error, ErrorCode, Hello, Pattern, Position, Request as ClientRequest, Start,
    Subscribe, Subscribed, SubscriptionId,
};
use smallvec::SmallVec;

use super::locating::StartAt;
use super::remembering::note_beginning;
use super::{ClientKey, Request, Ticket, Worker};
use crate::grants::Action;
use crate::index::SubscriptionKey;
use crate::session::{Beginning, Ending, Reader, Replay, Session, Subscribing};
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
        if hello.token.is_some() {
            self.authenticate(ticket, Command::Hello(Box::new(hello)));
            return Ok(());
        }
        self.begin_hello(ticket, hello)
    }

    /// Goes on with a hello whose client is known.
    pub(super) fn begin_hello(&mut self, ticket: Ticket, hello: Hello) -> Result<(), Error> {
        let key = ticket.client;
        self.may_subscribe(ticket.client, &hello.subscriptions)?;
        self.set_device(ticket.client, hello.device.clone());
        self.restore_id(ticket.client, &hello);
        let resume = (!hello.resume.is_empty()).then(|| hello.resume.clone());
        let bodies = hello.subscriptions.clone();
        // Carried out anew elsewhere, it need not be asked about again.
        let hello = Hello { token: None, ..hello };
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
        self.by_client.remove(before, key.place);
        self.by_client.insert(key.place, &self.sessions);
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
        self.may_hold(session, held + asked)?;
        self.may_filter(session, bodies)?;
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

    /// Whether a client may name so many patterns.
    pub(super) fn may_hold(&self, session: &Session, patterns: usize) -> Result<(), Error> {
        let most = session.subscriptions_max;
        if patterns <= most as usize {
            return Ok(());
        }
        let message = format!("at most {most} patterns may be subscribed");
        Err(Error::new(ErrorCode::TooManySubscriptions, message))
    }

    /// Whether a client may have the filters of these, too: each distinct one judges each event.
    fn may_filter(&self, session: &Session, bodies: &[Subscribe]) -> Result<(), Error> {
        if bodies.iter().all(|body| body.filter.is_none()) {
            return Ok(());
        }
        let held = session.subscriptions.iter().filter_map(|key| self.index.get(*key));
        let held = held.filter_map(|subscription| self.index.filter(subscription));
        let asked = bodies.iter().filter_map(|body| body.filter.as_ref());
        let distinct: HashSet<_> = held.chain(asked).collect();
        let most = self.limits.filters_max;
        if distinct.len() <= most {
            return Ok(());
        }
        let message = format!("at most {most} different filters may be subscribed with");
        Err(Error::new(ErrorCode::TooManySubscriptions, message))
    }

    pub(super) fn start_subscribing(
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
    pub(super) fn begin_all(&mut self, key: ClientKey, mut subscribing: Subscribing) {
        let mut begun = Vec::new();
        for body in &subscribing.bodies {
            self.prepare(key, body);
        }
        let includes = matches!(subscribing.request.command, Command::Include(_));
        if includes {
            self.go_on_where_it_is(key, &mut subscribing.bodies);
            if let Err(error) = self.can_begin(&subscribing) {
                return self.reply(key, subscribing.request.id, Err(error));
            }
            self.end_named(key, &subscribing.bodies);
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
        let answer = if includes {
            self.clean_up(key.place);
            Some(Answer::Included(self.interests(key)))
        } else if let Command::Hello(_) = subscribing.request.command {
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
        // A client with more has few: left to itself the list would grow by doubling.
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
}

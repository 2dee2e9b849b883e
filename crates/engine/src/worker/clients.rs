use std::io::IoSlice;
use std::sync::Arc;

use protocol::{CloseReason, Command, Message, Request as ClientRequest};
use smallvec::SmallVec;

use super::{ClientKey, Connect, Now, OUTBOX_POOL_MAX, Remembering, Request, SessionView, Worker};
use crate::isolated::isolated;
use crate::render::Renderer as _;
use crate::session::{Rare, Session, SessionCounts};

impl Worker {
    /// A client connects.
    pub fn connect(&mut self, now: Now, connect: Connect) -> ClientKey {
        self.now = now;
        self.generation_last = self.generation_last.wrapping_add(1);
        let Connect { groups, device, remember, .. } = connect;
        let has_left = remember.as_ref().is_some_and(|remember| remember.left.is_some());
        let must_authenticate = connect.must_authenticate;
        let has_rare =
            !groups.is_empty() || device.is_some() || remember.is_some() || must_authenticate;
        let restores = remember.as_ref().is_some_and(|remember| !remember.can_resume);
        let remembering = remember.map(|remember| Box::new(Remembering::new(remember.left)));
        let rare = Rare { groups, device, remembering, must_authenticate, ..Rare::default() };
        let session = Session {
            generation: self.generation_last,
            rendering: connect.rendering,
            is_queued: false,
            is_blocked: false,
            is_closing: false,
            is_behind: false,
            readers: SmallVec::new(),
            outbox: None,
            subscriptions: SmallVec::new(),
            subscription_last: 0,
            heartbeat_ms: connect.heartbeat_ms,
            subscriptions_max: connect.subscriptions_max,
            unanswered: 0,
            append_bytes: 0,
            client: connect.client,
            user: connect.user,
            grants: connect.grants,
            conversation: connect.conversation,
            counts: SessionCounts::default(),
            expiry: None,
            rare: has_rare.then(|| Box::new(rare)),
        };
        let key = self.insert_session(session);
        self.set_expiry(key, connect.expires_at_ms);
        if !connect.opening.is_empty() {
            self.append(key, |out| out.extend_from_slice(&connect.opening));
        }
        if let Some(mut welcome) = connect.welcome {
            welcome.session = self.tokens.seal(connect.client);
            self.tell(key.place, &Message::Welcome(welcome));
        }
        if restores {
            self.restore_left(key);
        }
        if !has_left {
            for body in connect.subscriptions {
                let request = ClientRequest { id: None, command: Command::Include(Box::new(body)) };
                self.carry_out(key, request);
            }
        }
        key
    }

    /// Gives a session its place and makes it findable.
    pub(super) fn insert_session(&mut self, session: Session) -> ClientKey {
        let user = session.user.clone();
        let (generation, heartbeat_ms) = (session.generation, session.heartbeat_ms);
        let groups = session.groups().to_vec();
        let place = self.sessions.insert(session) as u32;
        self.by_client.insert(place, &self.sessions);
        if let Some(user) = user {
            self.by_user.entry(user).or_default().push(place);
        }
        for group in groups {
            self.by_group.entry(group).or_default().push(place);
        }
        let key = ClientKey { place, generation };
        self.schedule_heartbeat(key, heartbeat_ms);
        key
    }

    /// A client is gone.
    pub fn disconnect(&mut self, now: Now, key: ClientKey) {
        self.now = now;
        if self.session(key).is_some() {
            self.remove_session(key.place);
        }
    }

    pub(super) fn remove_session(&mut self, place: u32) -> Option<Session> {
        let session = self.sessions.try_remove(place as usize)?;
        if let Some(expiry) = session.expiry.as_deref() {
            self.expiries.remove(ClientKey { place, generation: session.generation }, *expiry);
        }
        for subscription in &session.subscriptions {
            self.index.remove(*subscription);
        }
        for reader in &session.readers {
            if let Some(stream) = self.streams.get_mut(reader.stream.get()) {
                stream.readers -= 1;
            }
        }
        self.by_client.remove(session.client, place);
        if let Some(user) = &session.user {
            forget(&mut self.by_user, user, place);
        }
        for group in session.groups() {
            forget(&mut self.by_group, group, place);
        }
        if let Some(look) = session.rare.as_ref().and_then(|rare| rare.look.as_ref()) {
            self.forget_look(session.rendering, look.plain);
        }
        Some(session)
    }

    /// Makes a client a member of a group, or takes it out; `false` where there is no such client.
    pub fn set_group(&mut self, key: ClientKey, group: &Arc<str>, is_member: bool) -> bool {
        let Some(session) = self.session_mut(key) else { return false };
        let groups = &mut session.rare_mut().groups;
        groups.retain(|other| other != group);
        if is_member {
            groups.push(group.clone());
        }
        forget(&mut self.by_group, group, key.place);
        if is_member {
            self.by_group.entry(group.clone()).or_default().push(key.place);
        }
        true
    }

    /// Tells a client that it will be closed, and asks for it.
    pub fn close(&mut self, now: Now, key: ClientKey, reason: CloseReason, after_ms: Option<u64>) {
        self.now = now;
        let Some(session) = self.session_mut(key).filter(|session| !session.is_closing) else {
            return;
        };
        session.is_behind = false;
        let reconnect_after_ms = after_ms.or(reason.should_reconnect().then_some(0));
        self.tell(key.place, &Message::Closing { reason, reconnect_after_ms });
        if let Some(session) = self.session_mut(key) {
            session.is_closing = true;
        }
        self.requests.push_back(Request::Close { client: key, reason });
    }

    /// Puts a message into a client's outbox, behind all that is there.
    pub(super) fn tell(&mut self, place: u32, message: &Message) {
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        if session.is_closing {
            return;
        }
        let outbox = session.outbox.get_or_insert_with(|| self.outboxes.pop().unwrap_or_default());
        let (renderer, conversation) = (&mut self.renderer, &mut session.conversation);
        let now_ms = self.now.wall_ms;
        let mut spelled = Ok(());
        outbox.push_own(|out| {
            let start = out.len();
            let conversation = conversation.as_mut();
            let rendering = session.rendering;
            spelled = isolated(|| renderer.message(rendering, conversation, now_ms, message, out));
            if spelled.is_err() {
                out.truncate(start);
            }
        });
        // What a dialect leaves unsaid holds no outbox.
        if let Some(mut empty) = session.outbox.take_if(|outbox| outbox.is_empty())
            && self.outboxes.len() < OUTBOX_POOL_MAX
        {
            empty.recycle();
            self.outboxes.push(empty);
        }
        if spelled.is_err() {
            self.fail(place);
        }
        self.queue(place);
    }

    /// A client's conversation broke: nothing more can be said to it.
    pub(super) fn fail(&mut self, place: u32) {
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        if !std::mem::replace(&mut session.is_closing, true) {
            session.is_behind = false;
            let client = ClientKey { place, generation: session.generation };
            self.requests.push_back(Request::Close { client, reason: CloseReason::Internal });
        }
    }

    /// Appends bytes of the transport's own, such as a ping, behind all that waits to be written.
    pub fn append(&mut self, key: ClientKey, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(session) = self.sessions.get_mut(key.place as usize) else { return };
        if session.generation != key.generation {
            return;
        }
        let outbox = session.outbox.get_or_insert_with(|| self.outboxes.pop().unwrap_or_default());
        outbox.push_own(write);
        self.queue(key.place);
    }

    /// Like [`Worker::append`], for the transport's last bytes, such as a close frame: nothing
    /// follows them.
    pub fn append_last(&mut self, key: ClientKey, write: impl FnOnce(&mut Vec<u8>)) {
        self.append(key, write);
        if let Some(session) = self.session_mut(key) {
            (session.is_closing, session.is_behind) = (true, false);
        }
    }

    /// The next client that may have something to write. The transport then calls
    /// [`Worker::gather`], writes, and calls [`Worker::sent`], and [`Worker::blocked`] where the
    /// socket took less than it was shown.
    pub fn poll_transmit(&mut self) -> Option<ClientKey> {
        while let Some(place) = self.ready.pop_front() {
            if let Some(session) = self.sessions.get_mut(place as usize)
                && std::mem::take(&mut session.is_queued)
                && !session.is_blocked
            {
                return Some(ClientKey { place, generation: session.generation });
            }
        }
        None
    }

    /// Fills the client's write and shows it, as far as `room` reaches; how many slices were set.
    pub fn gather<'a>(&'a mut self, key: ClientKey, room: &mut [IoSlice<'a>]) -> usize {
        if self.session(key).is_none() {
            return 0;
        }
        self.fill(key.place);
        let session = self.sessions.get(key.place as usize);
        let outbox = session.and_then(|session| session.outbox.as_ref());
        outbox.map_or(0, |outbox| outbox.gather(room))
    }

    /// The transport wrote `bytes` of what [`Worker::gather`] showed.
    pub fn sent(&mut self, key: ClientKey, bytes: usize) {
        self.counters.bytes_out += bytes as u64;
        let Some(session) = self.session_mut(key) else { return };
        session.counts.bytes_out += bytes as u64;
        let is_behind = session.is_behind;
        let Some(outbox) = &mut session.outbox else { return };
        outbox.advance(bytes);
        let is_empty = outbox.is_empty();
        if is_empty
            && let Some(mut outbox) = session.outbox.take()
            && self.outboxes.len() < OUTBOX_POOL_MAX
        {
            outbox.recycle();
            self.outboxes.push(outbox);
        }
        if is_behind || !is_empty {
            self.queue(key.place);
        }
        self.go_on_waiting(key);
    }

    /// The client's socket takes no more; until [`Worker::handle_writable`] nothing is filled.
    pub fn blocked(&mut self, key: ClientKey) {
        if let Some(session) = self.session_mut(key) {
            session.is_blocked = true;
        }
    }

    /// The client's socket takes more.
    pub fn handle_writable(&mut self, now: Now, key: ClientKey) {
        self.now = now;
        if let Some(session) = self.session_mut(key) {
            session.is_blocked = false;
            self.queue(key.place);
        }
    }

    /// Whether the client has bytes that its socket has not taken.
    pub fn has_pending(&self, key: ClientKey) -> bool {
        self.session(key).is_some_and(|session| session.outbox.is_some())
    }

    /// Bytes that wait to be written to the client.
    pub fn pending_bytes(&self, key: ClientKey) -> usize {
        let outbox = self.session(key).and_then(|session| session.outbox.as_ref());
        outbox.map_or(0, |outbox| outbox.bytes())
    }

    /// Bytes that wait in the client's write, and bytes of its own that are held for it.
    pub fn outbox_bytes(&self, key: ClientKey) -> (usize, usize) {
        let outbox = self.session(key).and_then(|session| session.outbox.as_ref());
        outbox.map_or((0, 0), |outbox| (outbox.bytes(), outbox.held_bytes()))
    }

    /// Whether the transport should read what the client sends: not while an earlier command
    /// or too many publishes wait, nor while the client does not take its answers.
    pub fn is_accepting(&self, key: ClientKey) -> bool {
        self.session(key).is_some_and(|session| {
            let answers = session.outbox.as_ref().is_some_and(|outbox| outbox.is_full());
            let waits = session.must_wait() || self.is_full_of(session);
            !waits && !answers && !session.is_closing
        })
    }

    /// Whether a client is not read because too much of what it published, or called, waits.
    pub fn is_held_back(&self, key: ClientKey) -> bool {
        self.session(key).is_some_and(|session| self.is_full_of(session) && !session.is_closing)
    }

    fn is_full_of(&self, session: &Session) -> bool {
        session.unanswered >= self.limits.unanswered_max
            || session.append_bytes >= self.limits.append_bytes_max
    }

    /// What a client did so far.
    pub fn counts(&self, key: ClientKey) -> Option<SessionCounts> {
        self.session(key).map(|session| session.counts)
    }

    /// What an operator sees of a client.
    pub fn view(&self, key: ClientKey) -> Option<SessionView> {
        let session = self.session(key)?;
        let subscriptions = session.subscriptions.iter().filter_map(|key| self.index.get(*key));
        let lag = session.readers.iter().map(|reader| {
            let read = self.streams.get(reader.stream.get()).map_or(0, |stream| stream.read);
            read.saturating_sub(reader.position(read))
        });
        Some(SessionView {
            topics: subscriptions.flat_map(|found| self.index.topics(found)).collect(),
            groups: session.groups().to_vec(),
            lag_events: lag.max().unwrap_or(0),
            outbox_bytes: session.outbox.as_ref().map_or(0, |outbox| outbox.bytes()),
            positions: self.positions(session),
            counts: session.counts,
        })
    }

    /// Every client, in no order.
    pub fn clients(&self) -> impl Iterator<Item = ClientKey> {
        self.sessions.iter().map(|(place, session)| ClientKey {
            place: place as u32,
            generation: session.generation,
        })
    }
}

fn forget(places: &mut std::collections::HashMap<Arc<str>, Vec<u32>>, name: &Arc<str>, place: u32) {
    if let Some(list) = places.get_mut(name) {
        list.retain(|other| *other != place);
        if list.is_empty() {
            places.remove(name);
        }
    }
}

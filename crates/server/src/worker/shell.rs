use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use engine::{ClientKey, Now, Request, StreamIndex, Worker};
use protocol::{ClientId, CloseReason};
use tokio::task::AbortHandle;
use websocket::Inflater;

use super::held::Held;
use super::inbox::{Input, WakeInbox};
use super::knowing::Shown;
use super::link::Failure;
use crate::absent::{Continuity, Heir, Word};
use crate::auth::Principal;
use crate::commands::Caller;
use crate::endpoint::{Coming, Endpoint};
use crate::http::Routes;
use crate::node::Node;
use crate::registry::Connected;
use crate::rendering::Looks;
use crate::session_token::Returning;
use crate::transports::{body, websocket as ws};

/// Slices of one write; more go into the next.
const SLICES_MAX: usize = 64;
/// The worker's buffer for reading.
const SCRATCH_BYTES: usize = 64 << 10;

/// A worker's state: the engine, and what it reads from and writes to.
pub(crate) struct Shell {
    pub(crate) node: Arc<Node>,
    pub(crate) place: usize,
    pub(crate) engine: Worker,
    pub(crate) routes: Rc<Routes>,
    /// By the client's place in the engine.
    pub(super) clients: Vec<Option<Client>>,
    /// One buffer for all clients: an idle client holds none.
    pub(crate) scratch: Vec<u8>,
    pub(crate) inflater: Inflater,
    /// Streams of which more is there than one burst.
    behind: Vec<StreamIndex>,
    /// Clients that are not read until the engine takes commands from them again.
    unread: Vec<ClientKey>,
    /// Publishes that wait for a stream's consumers.
    pub(super) held: Held,
    /// Writes that were tried, each a system call.
    pub(crate) writes: u64,
    /// Until when the worker's loop rests, in ms of its clock, where it does.
    pub(super) sleeps_until_ms: Option<u64>,
}

/// A client's connection.
pub(crate) struct Client {
    key: ClientKey,
    pub(crate) id: ClientId,
    pub(super) connected_at_ms: u64,
    pub(crate) peer: Peer,
    /// How it is remembered when its connection ends, where it is.
    continuity: Option<Box<Continuity>>,
    /// Where it came to.
    pub(crate) endpoint: Rc<Endpoint>,
    /// Who it is, where that is known.
    pub(super) principal: Option<Box<Principal>>,
    /// Ends it unless it shows soon who it is.
    pub(super) watch: Option<AbortHandle>,
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.abort();
        }
    }
}

/// What carries a client's bytes.
#[derive(Clone)]
pub(crate) enum Peer {
    /// Written to as soon as there is something.
    WebSocket(Rc<ws::Peer>),
    /// Takes what there is when its connection can take it.
    Body(Rc<body::Peer>),
}

impl Shell {
    pub(super) fn new(node: Arc<Node>, place: usize) -> Self {
        let wake = Arc::new(WakeInbox(node.inbox(place).unwrap_or_default()));
        let engine = Worker::new(
            place as u64,
            node.table.clone(),
            node.broker.as_ref(),
            wake,
            Box::new(Looks::new(&node.looks.looks, node.plain_streams())),
            Box::new(Returning(node.clone())),
            node.worker_limits(),
        );
        let routes = Rc::new(crate::http::routes(&node));
        Self {
            node,
            place,
            engine,
            routes,
            clients: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
            inflater: Inflater::new(),
            behind: Vec::new(),
            unread: Vec::new(),
            held: Held::default(),
            writes: 0,
            sleeps_until_ms: None,
        }
    }

    pub(crate) fn now(&self) -> Now {
        self.node.clock.now()
    }

    /// A client comes, to the place that was kept for it.
    pub(crate) fn connect(&mut self, coming: Coming, peer: Peer) -> ClientKey {
        let Coming { connect, about, reservation, continuity, is_new, .. } = coming;
        let (endpoint, refusal, principal) = (coming.endpoint, coming.refusal, coming.principal);
        let (now, id, user) = (self.now(), connect.client, connect.user.clone());
        let must_authenticate = connect.must_authenticate;
        let key = self.engine.connect(now, connect);
        let connected_at_ms = about.connected_at_ms;
        let about = Connected { worker: self.place, key, ..about };
        self.node.registry.insert(id, about, reservation);
        if let Some(Continuity { identity, .. }) = continuity.as_ref().filter(|_| is_new) {
            let heir = Heir { worker: self.place, client: key, since: Instant::now() };
            self.node.absent.expect(identity, heir);
        }
        let at = key.place as usize;
        if self.clients.len() <= at {
            self.clients.resize_with(at + 1, || None);
        }
        if let Some(place) = self.clients.get_mut(at) {
            let continuity = continuity.map(Box::new);
            let watch =
                must_authenticate.then(|| super::knowing::watch(&self.node, self.place, key));
            *place = Some(Client {
                key,
                id,
                connected_at_ms,
                peer,
                continuity,
                endpoint,
                principal,
                watch,
            });
        }
        if user.is_some() {
            // What changed while it came.
            for group in self.node.memberships.of(user.as_deref(), &[]) {
                self.engine.set_group(key, &group, true);
            }
        }
        if let Some(reason) = refusal {
            self.engine.close(now, key, reason, None);
        }
        if self.node.is_draining() {
            // It was admitted before the drain began, and the others have been told already.
            self.engine.close(now, key, CloseReason::Draining, None);
        }
        key
    }

    /// A client is gone.
    pub(crate) fn disconnect(&mut self, key: ClientKey) {
        let now = self.now();
        self.remember(key);
        self.count_departure(key);
        self.forget_publisher(key);
        self.node.commands.handlers.gone((self.place, key));
        self.engine.disconnect(now, key);
        let is_it = |client: &mut Client| client.key == key;
        let gone = self.clients.get_mut(key.place as usize).and_then(|at| at.take_if(is_it));
        if let Some(client) = gone {
            if self.node.registry.remove(client.id, self.place, key) {
                self.node.memberships.leave(now.ms, client.id);
            }
            self.node.metrics.closed(wall_since(client.connected_at_ms));
        }
    }

    /// Keeps what a client has, for when it comes back; or gives it to the connection with which
    /// it has come back before anybody could know that this one was dead.
    pub(super) fn remember(&mut self, key: ClientKey) {
        let Some((continuity, heard)) = self.end_continuity(key) else { return };
        let Some(remembered) = self.engine.remember(key) else { return };
        let node = &self.node;
        let heir = node.absent.heir(&continuity, heard, crate::clock::wall_ms());
        let inbox = heir.and_then(|heir| Some((heir.client, node.inbox(heir.worker)?)));
        let Some((heir, inbox)) = inbox else { return node.remember(&continuity, remembered) };
        inbox.push(Input::Do(Box::new(move |shell| {
            let now = shell.now();
            if !shell.engine.adopt(now, heir, remembered.clone()) {
                shell.node.remember(&continuity, remembered);
            }
        })));
    }

    /// A client has no more to expect; how it was to be remembered, and when it was last heard.
    pub(super) fn end_continuity(&mut self, key: ClientKey) -> Option<(Continuity, Instant)> {
        let place = self.clients.get_mut(key.place as usize)?.as_mut();
        let client = place.filter(|client| client.key == key)?;
        let continuity = *client.continuity.take()?;
        let heard = match &client.peer {
            Peer::WebSocket(peer) => peer.heard_at(&self.node.clock),
            Peer::Body(_) => Instant::now(),
        };
        self.node.absent.expect_no_more(&continuity.first, self.place, key);
        Some((continuity, heard))
    }

    /// A client that is known by its token has another one now. What an earlier connection had it
    /// may still get as who it was when it came.
    pub(super) fn remember_by(&mut self, key: ClientKey, who: &Principal) {
        let continuity = self.client_mut(key).and_then(|client| client.continuity.as_mut());
        let (Some(continuity), Some(mark)) = (continuity, who.mark) else { return };
        if matches!(continuity.identity.word, Word::Token(_)) {
            continuity.identity.word = Word::Token(mark);
            continuity.expires_at_ms = who.expires_at_ms;
        }
    }

    pub(super) fn client_mut(&mut self, key: ClientKey) -> Option<&mut Client> {
        let client = self.clients.get_mut(key.place as usize)?.as_mut()?;
        (client.key == key).then_some(client)
    }

    pub(crate) fn client(&self, key: ClientKey) -> Option<&Client> {
        let client = self.clients.get(key.place as usize)?.as_ref()?;
        (client.key == key).then_some(client)
    }

    /// Every client.
    pub(crate) fn clients(&self) -> impl Iterator<Item = (ClientKey, &Client)> {
        self.clients.iter().flatten().map(|client| (client.key, client))
    }

    /// The clients of the endpoint of that id.
    pub(crate) fn clients_at(&self, id: &str) -> impl Iterator<Item = (ClientKey, &Client)> {
        self.clients().filter(move |(_, client)| *client.endpoint.way.id == *id)
    }

    /// Something came in.
    pub(super) fn handle(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Stream(at) => {
                if !self.behind.contains(&at) {
                    self.behind.push(at);
                }
            }
            Input::Appended(ticket, result) => self.engine.handle_appended(now, ticket, result),
            Input::Page(at, after, result) => self.engine.handle_page(now, at, after, result),
            Input::Newest(at, after, page) => self.engine.handle_newest(now, at, after, page),
            Input::Located(ticket, at, result) => {
                self.engine.handle_located(now, ticket, at, result);
            }
            Input::Cursor(ticket, at, result) => {
                self.engine.handle_cursor(now, ticket, at, result);
            }
            Input::Acknowledged(ticket, result) => {
                self.engine.handle_acknowledged(now, ticket, result);
            }
            Input::History(ticket, result) => self.engine.handle_history(now, ticket, result),
            Input::Called(ticket, result) => self.engine.handle_called(now, ticket, result),
            Input::Opened(stream) => self.release(stream),
            Input::Do(what) => what(self),
            Input::Accepted(..) | Input::Attached(_) | Input::Stop => {}
        }
    }

    pub(super) fn handle_due(&mut self) {
        let now = self.now();
        if self.engine.next_timer().is_some_and(|at_ms| at_ms <= now.ms) {
            self.engine.handle_timer(now);
        }
    }

    pub(super) fn next_timer(&self) -> Option<u64> {
        self.engine.next_timer()
    }

    /// Takes one burst of each stream that has something new; whether there is more.
    pub(super) fn pump(&mut self) -> bool {
        if self.node.is_stopped() {
            return false;
        }
        let now = self.now();
        let engine = &mut self.engine;
        self.behind.retain(|at| engine.handle_stream(now, *at));
        !self.behind.is_empty()
    }

    /// Lets clients write what they can, and does what the engine asks for, until nothing is left.
    pub(crate) fn flush(&mut self) {
        loop {
            while let Some(key) = self.engine.poll_transmit() {
                self.transmit(key);
            }
            let Some(request) = self.engine.poll_request() else { break };
            self.carry_out(request);
        }
        self.read_again();
        self.wake_for_timer();
    }

    /// A client's task may have set a timer that is due before the worker's loop looks again.
    fn wake_for_timer(&mut self) {
        let Some(until_ms) = self.sleeps_until_ms else { return };
        if self.engine.next_timer().is_some_and(|at_ms| at_ms < until_ms) {
            self.sleeps_until_ms = None;
            if let Some(inbox) = self.node.inbox(self.place) {
                inbox.wake();
            }
        }
    }

    fn transmit(&mut self, key: ClientKey) {
        let Some(client) = self.client(key) else { return };
        match client.peer.clone() {
            Peer::WebSocket(peer) => self.write(key, &peer),
            Peer::Body(peer) => peer.wake(),
        }
    }

    /// Writes as much as the socket takes.
    fn write(&mut self, key: ClientKey, peer: &ws::Peer) {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = self.engine.gather(key, &mut slices);
        let slices = slices.get(..count).unwrap_or_default();
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        if wanted == 0 {
            peer.wake_if_closing();
            return;
        }
        let outcome = peer.try_write(slices);
        self.writes += 1;
        match outcome {
            Ok(written) => {
                self.engine.sent(key, written);
                if written < wanted {
                    self.engine.blocked(key);
                    peer.wait_for_room(self.now().ms);
                } else {
                    peer.wake_if_closing();
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                self.engine.blocked(key);
                peer.wait_for_room(self.now().ms);
            }
            Err(_) => {
                self.count_failure(key, Failure::Write);
                self.engine.blocked(key);
                peer.fail();
            }
        }
    }

    fn carry_out(&mut self, request: Request) {
        let Some(inbox) = self.node.inbox(self.place) else { return };
        let broker = &self.node.broker;
        match request {
            Request::Append { ticket, stream, draft } => self.publish(ticket, stream, draft),
            Request::Read { stream, after, bytes_max } => {
                let answer = move |page| inbox.push(Input::Page(stream, after, page));
                broker.read(stream, after, bytes_max, Box::new(answer));
            }
            Request::ReadNewest { stream, after, bytes_max } => {
                let answer = move |page| inbox.push(Input::Newest(stream, after, page));
                broker.read_newest(stream, after, bytes_max, Box::new(answer));
            }
            Request::Locate { ticket, stream, selector, what } => {
                let answer = move |located| inbox.push(Input::Located(ticket, stream, located));
                broker.locate(stream, *selector, what, Box::new(answer));
            }
            Request::Cursor { ticket, stream, device } => {
                self.load_cursor(ticket, stream, device);
            }
            Request::Acknowledge { ticket, device, positions } => {
                self.acknowledge(ticket, device, positions);
            }
            Request::History { ticket, stream, viewer, history } => {
                let selector = engine::Selector {
                    topics: vec![history.topic.clone()],
                    except: Vec::new(),
                    filter: None,
                    viewer: Some(viewer),
                };
                let answer = move |result| inbox.push(Input::History(ticket, result));
                engine::history::read(broker.clone(), stream, selector, *history, Box::new(answer));
            }
            Request::Status { ticket } => self.tell_status(ticket),
            Request::Authenticate { ticket, token, device, takeover, is_refresh } => {
                let shown = Shown { device, takeover, is_refresh };
                self.authenticate(ticket, &token, shown);
            }
            Request::Presence { ticket, topics } => {
                let node = self.node.clone();
                tokio::task::spawn_local(async move {
                    let presence = crate::presence::of(&node, &topics).await;
                    inbox.push(Input::Do(Box::new(move |shell| {
                        let now = shell.now();
                        shell.engine.handle_presence(now, ticket, presence);
                    })));
                });
            }
            Request::Call { ticket, call, client, user } => {
                self.call(ticket, *call, Caller { client: Some(client), user });
            }
            Request::Handle { ticket, patterns } => self.become_handler(ticket, patterns),
            Request::Result { ticket, call_id, result } => self.result(ticket, call_id, result),
            Request::Heartbeat { client } => self.heartbeat(client),
            Request::Restored { client, id, device, before } => {
                self.restored(client, id, device, before);
            }
            Request::Close { client, reason } => self.close_transport(client, reason),
        }
    }

    /// A client that nothing is taken from at the moment is not read until it does.
    pub(crate) fn leave_unread(&mut self, key: ClientKey) {
        if !self.unread.contains(&key) {
            self.unread.push(key);
        }
    }

    fn read_again(&mut self) {
        let mut unread = std::mem::take(&mut self.unread);
        unread.retain(|key| {
            let Some(client) = self.client(*key) else { return false };
            if !self.is_accepting(*key) {
                return true;
            }
            if let Peer::WebSocket(peer) = &client.peer {
                peer.wake();
            }
            false
        });
        self.unread = unread;
    }
}

fn wall_since(wall_ms: u64) -> u64 {
    crate::clock::wall_ms().saturating_sub(wall_ms)
}

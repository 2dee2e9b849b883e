use std::net::SocketAddr;
use std::sync::Arc;

use engine::{ClientKey, Connect, Grants, Remember, Rendering};
use protocol::dialects;
use protocol::dialects::native::Native;
use protocol::{ClientId, Dialect, Opened, Request, Welcome};

use crate::absent::{Continuity, Identity, Word};
use crate::config::{Allow, Config, Endpoint as Configured, Rate, Timespan, WebOrigin};
use crate::node::Node;
use crate::registry::{Connected, Reservation, Way};
use crate::rendering::Compression;
use crate::transports::Transport;

/// One way to spell what is said at an endpoint; clients choose among several by subprotocol.
#[derive(Clone)]
pub(crate) struct Spelling {
    pub(crate) dialect: Arc<dyn Dialect>,
    /// How its events look.
    pub(crate) rendering: Rendering,
    /// How they look to clients that agree on compression, where it is wanted.
    pub(crate) deflated: Option<Rendering>,
}

/// What can be spoken at an endpoint.
#[derive(Clone)]
pub(crate) struct Spoken {
    /// Where nothing is chosen.
    pub(crate) first: Spelling,
    /// What else can be chosen.
    pub(crate) others: Vec<Spelling>,
}

impl Spoken {
    fn all(&self) -> impl Iterator<Item = &Spelling> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// A path that speaks one dialect, as the workers see it.
pub(crate) struct Endpoint {
    /// Its path, and how its clients come.
    pub(crate) way: Arc<Way>,
    pub(crate) listen: SocketAddr,
    pub(crate) spoken: Spoken,
    pub(crate) grants: Arc<Grants>,
    pub(crate) origins: Vec<WebOrigin>,
    pub(crate) heartbeat_ms: u32,
    /// How long it is kept what a client had that dropped, where it is.
    pub(crate) remember_ms: Option<u64>,
    pub(crate) message_bytes_max: usize,
    pub(crate) subscriptions_max: u32,
    pub(crate) messages: Option<Rate>,
    pub(crate) connections_per_address: Option<Rate>,
    pub(crate) concurrent_per_address: Option<u32>,
}

impl Endpoint {
    /// The subprotocols of all that is spoken.
    pub(crate) fn subprotocols(&self) -> Vec<&'static str> {
        self.spoken.all().flat_map(|spelling| spelling.dialect.subprotocols()).copied().collect()
    }

    /// What a client speaks that agreed on a subprotocol or on none.
    pub(crate) fn spelling_of(&self, subprotocol: Option<&str>) -> &Spelling {
        let mut found = self.spoken.all().filter(|spelling| {
            spelling.dialect.subprotocols().iter().any(|known| Some(*known) == subprotocol)
        });
        found.next().unwrap_or(&self.spoken.first)
    }

    /// What is spoken at an endpoint, without its looks.
    pub(crate) fn dialects(configured: &Configured) -> (Arc<dyn Dialect>, Vec<Arc<dyn Dialect>>) {
        let (root, names) = (configured.root.clone(), configured.names.clone());
        dialects::of(configured.dialect.as_str(), &dialects::Settings { root, names })
    }

    /// How strongly messages of an endpoint are compressed, if at all.
    pub(crate) fn compression(configured: &Configured) -> Option<Compression> {
        let wanted = configured.compression.as_ref()?;
        let level = u8::try_from(wanted.level).unwrap_or(9);
        Some(Compression { bytes_min: wanted.above.as_len(), level })
    }

    /// How a client is remembered, where it is. A device is an identity only together with its
    /// user: its name alone is anybody's guess.
    fn continuity(
        &self,
        user: Option<Arc<str>>,
        device: Option<Arc<str>>,
        cookie: Option<Arc<str>>,
    ) -> Option<Continuity> {
        let remember_ms = self.remember_ms?;
        let word = match device.filter(|_| user.is_some()) {
            Some(device) => Word::Device(device),
            None => Word::Cookie(cookie?),
        };
        let identity = Identity { endpoint: self.way.endpoint.clone(), user, word };
        Some(Continuity { identity, remember_ms })
    }
}

/// Every WebSocket endpoint of the configuration.
pub(crate) fn all(node: &Node) -> Vec<Endpoint> {
    let config = node.config();
    let endpoints = config.endpoints.iter();
    endpoints
        .zip(&node.looks.of_endpoints)
        .map(|(configured, spoken)| {
            let (path, spoken) = (configured.path.as_str(), spoken.clone());
            let plain = node.plain_endpoint(path, Transport::WebSocket, spoken);
            of(&config, configured, plain)
        })
        .collect()
}

/// The endpoint of server-sent events.
pub(crate) fn events(node: &Node) -> Endpoint {
    like_websocket(node, node.native_endpoint("/v1/sse", Transport::ServerSentEvents))
}

/// The endpoint of images.
pub(crate) fn images(node: &Node) -> Endpoint {
    like_websocket(node, node.native_endpoint("/v1/mjpeg", Transport::Mjpeg))
}

/// What is set for `/v1/ws` holds for the other ways to the same events.
fn like_websocket(node: &Node, native: Endpoint) -> Endpoint {
    let config = node.config();
    let mut endpoints = config.endpoints.iter();
    match endpoints.find(|endpoint| endpoint.path.as_str() == "/v1/ws") {
        // Its clients answer no pings; they resume by `Last-Event-ID`.
        Some(configured) => Endpoint { remember_ms: None, ..of(&config, configured, native) },
        None => native,
    }
}

fn of(config: &Config, configured: &Configured, native: Endpoint) -> Endpoint {
    let limits = &configured.limits;
    Endpoint {
        listen: config.listener_of(configured),
        grants: allowing(&native.grants, &configured.allow),
        origins: configured.origins.clone(),
        heartbeat_ms: u32::try_from(configured.heartbeat.as_ms()).unwrap_or(u32::MAX),
        remember_ms: configured.remember.map(Timespan::as_ms),
        message_bytes_max: configured.message_bytes(&config.limits).as_len(),
        subscriptions_max: configured.subscriptions(&config.limits),
        messages: limits.messages,
        connections_per_address: limits.connections_per_address,
        concurrent_per_address: limits.concurrent_per_address,
        ..native
    }
}

/// What clients of an endpoint may do besides what their roles allow.
fn allowing(grants: &Arc<Grants>, allow: &Allow) -> Arc<Grants> {
    if *allow == Allow::default() {
        return grants.clone();
    }
    let mut grants = Grants::clone(grants);
    grants.subscribe.extend_from_slice(&allow.subscribe);
    grants.publish.extend_from_slice(&allow.publish);
    grants.command.extend_from_slice(&allow.command);
    Arc::new(grants)
}

/// A client that arrived at an endpoint.
pub(crate) struct Arrival {
    pub(crate) client: ClientId,
    /// None within the process.
    pub(crate) address: Option<SocketAddr>,
    /// The device that it named with its request.
    pub(crate) device: Option<Arc<str>>,
    /// The cookie by which it is known again, where the endpoint gives one.
    pub(crate) cookie: Option<Arc<str>>,
    /// What it asked for with its request.
    pub(crate) requests: Vec<Request>,
    /// What it speaks.
    pub(crate) spelling: Spelling,
    /// Its side of that, which has begun.
    pub(crate) opened: Opened,
    /// It agreed on compression.
    pub(crate) deflates: bool,
    /// The place that is kept for it; none within the process.
    pub(crate) reservation: Option<Reservation>,
    /// What it is sent first of all: the answer that granted its upgrade.
    pub(crate) opening: Vec<u8>,
}

/// A client whose session is about to begin.
pub(crate) struct Coming {
    pub(crate) connect: Connect,
    pub(crate) about: Connected,
    pub(crate) reservation: Option<Reservation>,
    /// How it is remembered, where it is.
    pub(crate) continuity: Option<Continuity>,
    /// It has no place of an earlier connection.
    pub(crate) is_new: bool,
}

impl Arrival {
    /// A client that speaks the native dialect and names nothing yet.
    pub(crate) fn native(endpoint: &Endpoint, address: Option<SocketAddr>) -> Self {
        Self {
            client: new_client_id(),
            address,
            device: None,
            cookie: None,
            requests: Vec::new(),
            spelling: endpoint.spoken.first.clone(),
            opened: Opened::new(Native),
            deflates: false,
            reservation: None,
            opening: Vec::new(),
        }
    }

    /// What the engine and the registry need to know of it, and what it asked for.
    pub(crate) fn into_connect(self, node: &Node, endpoint: &Endpoint) -> (Coming, Vec<Request>) {
        let (client, spelling) = (self.client, &self.spelling);
        let user: Option<Arc<str>> = None;
        let continuity = endpoint.continuity(user.clone(), self.device.clone(), self.cookie);
        let left = continuity
            .as_ref()
            .and_then(|continuity| node.absent.take(node.clock.now().ms, &continuity.identity));
        let is_new = left.is_none();
        let can_resume = spelling.dialect.can_resume();
        let welcome = Welcome {
            client,
            session: String::new(),
            node: node.name.clone(),
            user: user.clone(),
            heartbeat_ms: u64::from(endpoint.heartbeat_ms),
            message_bytes_max: endpoint.message_bytes_max,
            subscriptions_max: endpoint.subscriptions_max as usize,
        };
        // Bodies of answers have no first message; the positions of server-sent events are in the
        // events' ids.
        let is_welcomed =
            !matches!(endpoint.way.transport, Transport::ServerSentEvents | Transport::Mjpeg);
        let connect = Connect {
            client,
            user: user.clone(),
            groups: Vec::new(),
            device: self.device.clone(),
            grants: endpoint.grants.clone(),
            rendering: spelling.deflated.filter(|_| self.deflates).unwrap_or(spelling.rendering),
            conversation: self.opened.conversation,
            subscriptions: self.opened.subscriptions,
            heartbeat_ms: endpoint.heartbeat_ms,
            subscriptions_max: endpoint.subscriptions_max,
            opening: self.opening,
            remember: continuity.as_ref().map(|_| Remember { left, can_resume }),
            welcome: is_welcomed.then(|| Box::new(welcome)),
        };
        let about = Connected {
            worker: 0,
            key: ClientKey { place: 0, generation: 0 },
            user,
            device: self.device,
            address: self.address,
            way: endpoint.way.clone(),
            connected_at_ms: crate::clock::wall_ms(),
        };
        (
            Coming { connect, about, reservation: self.reservation, continuity, is_new },
            self.requests,
        )
    }
}

/// An id that begins with the time, so that a listing in the order of ids is one in the order of
/// arrival (UUID version 7, RFC 9562).
pub(crate) fn new_client_id() -> ClientId {
    ClientId(uuid::Uuid::now_v7().as_u128())
}

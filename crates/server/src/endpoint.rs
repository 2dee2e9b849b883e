use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use engine::{ClientKey, Connect, Grants, Remember, Rendering};
use protocol::dialects;
use protocol::dialects::native::Native;
use protocol::{ClientId, CloseReason, Dialect, Error, ErrorCode, Opened, Request, Welcome};

use crate::absent::{Continuity, Identity, Word};
use crate::auth::{Bounds, Principal, Standing};
use crate::config::{
    Access, Allow, Config, Endpoint as Configured, EndpointPath, Rate, Refusal, Timespan,
    TokenPlace, WebOrigin,
};
use crate::node::Node;
use crate::registry::{Connected, Devices, Known, Reservation, Way};
use crate::rendering::Compression;
use crate::transports::Transport;

/// When a device that is too many may try again, in ms.
const DEVICES_RETRY_MS: u64 = 5_000;

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
    /// Its other paths.
    pub(crate) aliases: Vec<EndpointPath>,
    pub(crate) listen: SocketAddr,
    pub(crate) spoken: Spoken,
    /// Of who is anonymous.
    pub(crate) grants: Arc<Grants>,
    /// What all of its clients may do, whoever they are.
    pub(crate) allow: Allow,
    /// Whether clients need a token.
    pub(crate) access: Access,
    /// Where it may come from.
    pub(crate) tokens: Vec<TokenPlace>,
    pub(crate) refusal: Refusal,
    pub(crate) devices_max: Option<u32>,
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
    /// Whether it is at a path of a listener.
    pub(crate) fn is_at(&self, path: &str, listen: SocketAddr) -> bool {
        let is_alias = || self.aliases.iter().any(|alias| alias.as_str() == path);
        self.listen == listen && (*self.way.endpoint == *path || is_alias())
    }

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

    /// Whether a token may come from there.
    pub(crate) fn takes(&self, place: TokenPlace) -> bool {
        self.tokens.contains(&place)
    }

    /// What a client may do here.
    ///
    /// # Errors
    /// `unauthorized` where its user cannot have what its roles give.
    pub(crate) fn standing(&self, node: &Node, principal: &Principal) -> Result<Standing, Error> {
        if !principal.is_known {
            return Ok(Standing { grants: self.grants.clone(), ..Standing::default() });
        }
        let standing = node.authority().standing(principal)?;
        Ok(Standing { grants: allowing(&standing.grants, &self.allow), ..standing })
    }

    /// How many devices a user may have here.
    pub(crate) fn devices(&self, standing: &Standing, takeover: bool) -> Devices {
        Devices { count_max: standing.bounds.devices_max.or(self.devices_max), takeover }
    }

    /// The error for a device that is too many.
    pub(crate) fn too_many_devices(&self) -> Error {
        let message = "the user has as many devices connected as it may (setting \
                       `limits.devices_per_user`)";
        Error::new(ErrorCode::TooManyDevices, message).retry_after(DEVICES_RETRY_MS)
    }

    /// Largest message of a client with bounds of its own.
    pub(crate) fn message_bytes_of(&self, bounds: &Bounds) -> usize {
        bounds.message_bytes_max.unwrap_or(self.message_bytes_max)
    }

    /// How a client is remembered, where it is. A device is an identity only together with its
    /// user: its name alone is anybody's guess. A token is one that nobody else has.
    fn continuity(
        &self,
        principal: &Principal,
        device: Option<Arc<str>>,
        cookie: Option<Arc<str>>,
    ) -> Option<Continuity> {
        let (remember_ms, user) = (self.remember_ms?, principal.user.clone());
        let word = match (device.filter(|_| user.is_some()), principal.mark) {
            (Some(device), _) => Word::Device(device),
            (None, Some(mark)) => Word::Token(mark),
            (None, None) => Word::Cookie(cookie?),
        };
        let identity = Identity { endpoint: self.way.id.clone(), user, word };
        let (first, expires_at_ms) = (identity.clone(), principal.expires_at_ms);
        Some(Continuity { identity, expires_at_ms, first, remember_ms })
    }
}

/// Every WebSocket endpoint of the configuration.
pub(crate) fn all(node: &Node) -> Vec<Endpoint> {
    let config = node.config();
    let endpoints = config.endpoints.iter().zip(&node.looks.of_endpoints);
    endpoints.map(|(configured, spoken)| websocket(node, &config, configured, spoken)).collect()
}

/// The WebSocket endpoint of that id.
pub(crate) fn of_id(node: &Node, id: &str) -> Option<Endpoint> {
    let config = node.config();
    let mut endpoints = config.endpoints.iter().zip(&node.looks.of_endpoints);
    let (configured, spoken) = endpoints.find(|(one, _)| *config.id_of(one) == *id)?;
    Some(websocket(node, &config, configured, spoken))
}

fn websocket(node: &Node, config: &Config, configured: &Configured, spoken: &Spoken) -> Endpoint {
    let (listen, path) = (config.listener_of(configured), configured.path.as_str());
    let plain = node.plain_endpoint(listen, path, Transport::WebSocket, spoken.clone());
    Endpoint { aliases: configured.aliases.clone(), ..of(config, configured, plain) }
}

/// The endpoint of server-sent events.
pub(crate) fn events(node: &Node) -> Endpoint {
    like_websocket(node, node.native_endpoint("/v1/sse", Transport::ServerSentEvents))
}

/// The endpoint of images.
pub(crate) fn images(node: &Node) -> Endpoint {
    like_websocket(node, node.native_endpoint("/v1/mjpeg", Transport::Mjpeg))
}

/// The endpoint of images at a path of their own, for whom an endpoint lets see their topic.
pub(crate) fn images_beside(node: &Node, configured: &Configured, path: &str) -> Endpoint {
    let (config, images) = (node.config(), node.looks.native(Transport::Mjpeg));
    let listen = config.listener_of(configured);
    let images = node.plain_endpoint(listen, path, Transport::Mjpeg, images);
    // Their clients answer no pings, and begin anew.
    Endpoint { remember_ms: None, ..of(&config, configured, images) }
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
        grants: allowing(&native.grants, &configured.allow),
        allow: configured.allow.clone(),
        origins: configured.origins.clone(),
        heartbeat_ms: u32::try_from(configured.heartbeat.as_ms()).unwrap_or(u32::MAX),
        remember_ms: configured.remember.map(Timespan::as_ms),
        message_bytes_max: configured.message_bytes(&config.limits).as_len(),
        subscriptions_max: configured.subscriptions(&config.limits),
        messages: limits.messages,
        connections_per_address: limits.connections_per_address,
        concurrent_per_address: limits.concurrent_per_address,
        access: config.access_of(configured),
        tokens: configured.tokens.clone().unwrap_or_else(|| native.tokens.clone()),
        refusal: configured.refusal,
        devices_max: limits.devices_per_user,
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
    grants.handle.extend_from_slice(&allow.handle);
    Arc::new(grants)
}

/// A client that arrived at an endpoint.
pub(crate) struct Arrival {
    pub(crate) client: ClientId,
    /// Who it is.
    pub(crate) principal: Principal,
    /// What it may do.
    pub(crate) standing: Standing,
    /// Its first message has to say who it is.
    pub(crate) must_authenticate: bool,
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
    /// It is closed at once, having been told of it in no other way.
    pub(crate) refusal: Option<CloseReason>,
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
    /// Where it came to.
    pub(crate) endpoint: Rc<Endpoint>,
    pub(crate) refusal: Option<CloseReason>,
    /// Who it is, where that is known.
    pub(crate) principal: Option<Box<Principal>>,
}

impl Arrival {
    /// A client that speaks the native dialect and names nothing yet.
    pub(crate) fn native(endpoint: &Endpoint, address: Option<SocketAddr>) -> Self {
        Self {
            client: new_client_id(),
            principal: Principal::default(),
            standing: Standing { grants: endpoint.grants.clone(), ..Standing::default() },
            must_authenticate: false,
            address,
            device: None,
            cookie: None,
            requests: Vec::new(),
            spelling: endpoint.spoken.first.clone(),
            opened: Opened::new(Native),
            deflates: false,
            reservation: None,
            opening: Vec::new(),
            refusal: None,
        }
    }

    /// What the engine and the registry need to know of it, and what it asked for.
    pub(crate) fn into_connect(
        self,
        node: &Node,
        endpoint: &Rc<Endpoint>,
    ) -> (Coming, Vec<Request>) {
        let (client, spelling) = (self.client, &self.spelling);
        let user = self.principal.user.clone();
        let device = self.principal.device.clone().or(self.device);
        let cookie = self.cookie.filter(|_| !self.must_authenticate);
        let continuity = endpoint.continuity(&self.principal, device.clone(), cookie);
        let subscriptions_max =
            self.standing.bounds.subscriptions_max.unwrap_or(endpoint.subscriptions_max);
        let left = continuity
            .as_ref()
            .and_then(|continuity| node.absent.take(node.clock.now(), &continuity.identity));
        let is_new = left.is_none();
        let can_resume = spelling.dialect.can_resume();
        let welcome = Welcome {
            client,
            session: String::new(),
            node: node.name.clone(),
            user: user.clone(),
            heartbeat_ms: u64::from(endpoint.heartbeat_ms),
            message_bytes_max: endpoint.message_bytes_of(&self.standing.bounds),
            subscriptions_max: subscriptions_max as usize,
        };
        // Bodies of answers have no first message; the positions of server-sent events are in the
        // events' ids.
        let is_welcomed =
            !matches!(endpoint.way.transport, Transport::ServerSentEvents | Transport::Mjpeg)
                && self.refusal.is_none();
        let connect = Connect {
            client,
            user: user.clone(),
            groups: node.memberships.of(user.as_deref(), &self.principal.groups),
            device: device.clone(),
            grants: self.standing.grants,
            expires_at_ms: self.principal.expires_at_ms,
            must_authenticate: self.must_authenticate,
            rendering: spelling.deflated.filter(|_| self.deflates).unwrap_or(spelling.rendering),
            conversation: self.opened.conversation,
            subscriptions: if self.refusal.is_none() {
                self.opened.subscriptions
            } else {
                Vec::new()
            },
            heartbeat_ms: endpoint.heartbeat_ms,
            subscriptions_max,
            opening: self.opening,
            remember: continuity.as_ref().map(|_| Remember { left, can_resume }),
            welcome: is_welcomed.then(|| Box::new(welcome)),
        };
        let known = Known {
            user,
            device,
            seat: None,
            token_id: self.principal.token_id.clone(),
            issued_at_ms: self.principal.issued_at_ms,
        };
        let about = Connected {
            worker: 0,
            key: ClientKey { place: 0, generation: 0 },
            known: known.boxed(),
            address: self.address,
            way: endpoint.way.clone(),
            connected_at_ms: crate::clock::wall_ms(),
        };
        let (reservation, refusal) = (self.reservation, self.refusal);
        let endpoint = endpoint.clone();
        let principal = self.principal.is_known.then(|| Box::new(self.principal));
        let coming = Coming {
            connect,
            about,
            reservation,
            continuity,
            is_new,
            endpoint,
            refusal,
            principal,
        };
        (coming, if refusal.is_none() { self.requests } else { Vec::new() })
    }
}

/// An id that begins with the time, so that a listing in the order of ids is one in the order of
/// arrival (UUID version 7, RFC 9562).
pub(crate) fn new_client_id() -> ClientId {
    ClientId(uuid::Uuid::now_v7().as_u128())
}

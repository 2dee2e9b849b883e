use std::rc::Rc;
use std::sync::Arc;

use ::websocket::handshake;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use protocol::dialects::native::Native;
use protocol::{ClientId, CloseReason, Dialect, Error, ErrorCode, Opened, Opening};

use super::Peer;
use super::continuity;
use super::error::response;
use super::page::Page;
use super::query;
use super::socket::{Line, Socket};
use super::who::{self, Offered, Shown, Who};
use crate::auth::{Principal, Standing};
use crate::config::Refusal;
use crate::counted::Whom;
use crate::endpoint::{Arrival, Endpoint, new_client_id};
use crate::node::Node;
use crate::registry::{Full, Reservation};
use crate::transports::stream::Stream;
use crate::transports::websocket;
use crate::worker::Shared;

/// Whether the request asks for a WebSocket, rightly or not.
pub(super) fn is_asked_for<B>(request: &Request<B>) -> bool {
    handshake::asks_for_websocket(lines(request.headers()))
}

fn lines(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

/// Answers an upgrade; where it is granted, a session begins once the answer is out.
pub(super) async fn answer(
    shared: &Shared,
    mut request: Request<Incoming>,
    endpoint: &Rc<Endpoint>,
    peer: Peer,
    line: &Line,
) -> Response<Body> {
    let node = shared.borrow().node.clone();
    let minor = u8::from(request.version() == http::Version::HTTP_11);
    let method = request.method().as_str();
    let upgrade = match handshake::Upgrade::http1(method, minor, lines(request.headers())) {
        Ok(upgrade) => upgrade,
        Err(error) => return refuse_handshake(&error),
    };
    let mut reservation = match admit(&node, endpoint, request.headers(), peer) {
        Ok(reservation) => reservation,
        Err(refused) => return refused,
    };
    let subprotocols = endpoint.subprotocols();
    let offered = Offered::read(endpoint, upgrade.protocols(), &subprotocols);
    let protocol = offered.names.iter().copied().find(|name| subprotocols.contains(name));
    let spelling = endpoint.spelling_of(protocol).clone();
    let is_native = spelling.dialect.name() == Native.name();
    let shown = Shown {
        protocol: offered.token,
        can_say_later: is_native,
        ..Shown::of(request.headers(), request.uri())
    };
    let mut refusal = None;
    let (principal, must_authenticate) = match who::identify(&node, endpoint, shown).await {
        Ok(Who::Known(principal)) => (principal, false),
        Ok(Who::Later) => (Principal::default(), true),
        Err(error) if can_be_told_by_close(endpoint, &offered, &error) => {
            refusal = Some(CloseReason::Policy);
            (Principal::default(), false)
        }
        Err(error) => return who::refuse(&error),
    };
    let standing = match endpoint.standing(&node, &principal) {
        Ok(_) if refusal.is_some() => Standing::default(),
        Ok(standing) => standing,
        Err(error) => return who::refuse(&error),
    };
    if !offered.names.is_empty() && protocol.is_none() && !subprotocols.is_empty() {
        let message = format!("subprotocols here: {}", subprotocols.join(", "));
        return response(&Error::bad_request(message), None);
    }
    let client = new_client_id();
    let query = request.uri().query();
    let asked = match Asked::read(query, client, &*spelling.dialect, principal.user.as_deref()) {
        Ok(asked) => asked,
        Err(error) => return response(&error, None),
    };
    let device = principal.device.clone().or(asked.device);
    let takeover = is_native && query::takeover(query);
    if let Err(error) =
        seat(&node, endpoint, &mut reservation, &principal, &standing, device.as_ref(), takeover)
    {
        return response(&error, None);
    }
    // Frames are compressed once for all, with a full window: whoever keeps less gets them plain.
    // Nothing is inflated for who is not known.
    let can_deflate = spelling.deflated.is_some() && !must_authenticate && refusal.is_none();
    let deflate = upgrade.deflate().filter(|deflate| deflate.window_bits() == 15 && can_deflate);
    let accepted = upgrade.accept(protocol.or(offered.alone), deflate);
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in accepted.headers() {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    let is_cookie_needed = refusal.is_none() && !must_authenticate && principal.mark.is_none();
    let remembers = endpoint.remember_ms.filter(|_| is_cookie_needed);
    let cookie = remembers.and_then(|_| continuity::cookie(request.headers()));
    if let Some(cookie) = &cookie {
        answer
            .headers_mut()
            .append(header::SET_COOKIE, continuity::set(cookie, request.uri().path()));
    }
    let (address, deflates) = (Some(peer.address), accepted.deflate().is_some());
    let mut arrival = Arrival {
        client,
        principal,
        standing,
        must_authenticate,
        address,
        device,
        cookie,
        requests: asked.requests,
        spelling,
        opened: asked.opened,
        deflates,
        reservation: Some(reservation),
        refusal,
        opening: Vec::new(),
    };
    line.is_upgrading();
    let (shared, endpoint) = (shared.clone(), endpoint.clone());
    let upgraded = hyper::upgrade::on(&mut request);
    // Boxed where it is awaited: what only the handshake needs is freed with it.
    tokio::task::spawn_local(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let Ok(parts) = upgraded.downcast::<Socket>() else { return };
        let (socket, granted) = parts.io.upgraded();
        arrival.opening = granted;
        websocket::start(&shared, Stream::Tcp(socket), parts.read_buf, &endpoint, arrival);
    });
    answer
}

/// What a request asks for beside the upgrade.
struct Asked {
    device: Option<Arc<str>>,
    requests: Vec<protocol::Request>,
    opened: Opened,
}

impl Asked {
    fn read(
        query: Option<&str>,
        client: ClientId,
        dialect: &dyn Dialect,
        user: Option<&str>,
    ) -> Result<Self, Error> {
        let device = super::query::device(query)?;
        // In the dialect that is our own, queries are what they are everywhere in the API.
        let is_native = dialect.name() == Native.name();
        let subscription = is_native.then(|| super::query::subscription(query, None));
        let requests = subscription.transpose()?.flatten().into_iter().collect();
        let query = super::query::pairs(query);
        let opened = dialect.open(&Opening { client, user, query: &query })?;
        Ok(Self { device, requests, opened })
    }
}

/// Whether a wrong token is answered with an upgrade, and with a close frame then.
fn can_be_told_by_close(endpoint: &Endpoint, offered: &Offered<'_>, error: &Error) -> bool {
    endpoint.refusal == Refusal::Close && offered.token.is_some() && !error.code.is_retryable()
}

/// Keeps a place among the devices of a client's user.
///
/// # Errors
/// `too_many_devices`.
pub(super) fn seat(
    node: &Node,
    endpoint: &Endpoint,
    reservation: &mut Reservation,
    principal: &Principal,
    standing: &Standing,
    device: Option<&Arc<str>>,
    takeover: bool,
) -> Result<(), Error> {
    let Some(user) = &principal.user else { return Ok(()) };
    let devices = endpoint.devices(standing, takeover);
    let gone = reservation.sit(user, device, devices).map_err(|_| endpoint.too_many_devices())?;
    for client in gone {
        node.close_client(&client, CloseReason::TakenOver, None);
    }
    Ok(())
}

fn refuse_handshake(error: &handshake::UpgradeError) -> Response<Body> {
    let told = Error::bad_request(error.to_string());
    let status = StatusCode::from_u16(error.status()).ok();
    let mut refused = response(&told, status);
    for (name, value) in error.headers() {
        refused
            .headers_mut()
            .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    refused
}

/// Keeps a place for a client, or refuses whom the endpoint does not take: foreign pages, and those
/// who are too many.
#[expect(clippy::result_large_err, reason = "the answer is used at once")]
pub(super) fn admit(
    node: &Node,
    endpoint: &Endpoint,
    headers: &HeaderMap,
    peer: Peer,
) -> Result<Reservation, Response<Body>> {
    if !Page::of(headers).is_allowed(endpoint) {
        let message = "pages of this origin may not connect here (setting `origins`)";
        return Err(response(&Error::new(ErrorCode::Forbidden, message), None));
    }
    if node.is_draining() || node.is_stopped() {
        let error =
            Error::new(ErrorCode::Draining, "the server takes no connections at the moment");
        return Err(response(&error.retry_after(1_000), None));
    }
    let ip = peer.address.ip();
    let most = node.config().limits.connections as usize;
    let reservation =
        node.registry.reserve(ip, &endpoint.way.id, most, endpoint.concurrent_per_address);
    let reservation = reservation.map_err(refuse_full)?;
    if let Some(rate) = endpoint.connections_per_address {
        let now_ms = node.clock.now().ms;
        node.addresses.count(Whom::network(ip), &endpoint.way.id, rate, now_ms).map_err(
            |wait_ms| {
                let message = "this address connects more often than it may";
                response(
                    &Error::new(ErrorCode::TooManyConnections, message).retry_after(wait_ms),
                    None,
                )
            },
        )?;
    }
    Ok(reservation)
}

fn refuse_full(full: Full) -> Response<Body> {
    let (message, status) = match full {
        Full::Server => ("the server is full", Some(StatusCode::SERVICE_UNAVAILABLE)),
        Full::Address => ("this address has as many connections as it may", None),
    };
    response(&Error::new(ErrorCode::TooManyConnections, message).retry_after(5_000), status)
}

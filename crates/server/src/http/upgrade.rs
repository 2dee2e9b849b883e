use std::rc::Rc;
use std::sync::Arc;

use ::websocket::handshake;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use protocol::dialects::native::Native;
use protocol::{ClientId, Dialect, Error, ErrorCode, Opened, Opening};

use super::Peer;
use super::continuity;
use super::error::response;
use super::guard::is_same_host;
use super::socket::{Line, Socket};
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
pub(super) fn answer(
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
    let reservation = match admit(&node, endpoint, request.headers(), peer) {
        Ok(reservation) => Some(reservation),
        Err(refused) => return refused,
    };
    let offers_others = !upgrade.protocols().is_empty();
    let subprotocols = endpoint.subprotocols();
    let protocol = upgrade.choose_protocol(&subprotocols);
    if offers_others && protocol.is_none() && !subprotocols.is_empty() {
        let message = format!("subprotocols here: {}", subprotocols.join(", "));
        return response(&Error::bad_request(message), None);
    }
    let spelling = endpoint.spelling_of(protocol).clone();
    let client = new_client_id();
    let asked = match Asked::read(request.uri().query(), client, &*spelling.dialect) {
        Ok(asked) => asked,
        Err(error) => return response(&error, None),
    };
    // Frames are compressed once for all, with a full window: whoever keeps less gets them plain.
    let offered = upgrade.deflate().filter(|deflate| deflate.window_bits() == 15);
    let accepted = upgrade.accept(protocol, offered.filter(|_| spelling.deflated.is_some()));
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in accepted.headers() {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    let cookie = endpoint.remember_ms.and_then(|_| continuity::cookie(request.headers()));
    if let Some(cookie) = &cookie {
        answer.headers_mut().append(header::SET_COOKIE, continuity::set(cookie, endpoint));
    }
    let (address, deflates) = (Some(peer.address), accepted.deflate().is_some());
    let mut arrival = Arrival {
        client,
        address,
        device: asked.device,
        cookie,
        requests: asked.requests,
        spelling,
        opened: asked.opened,
        deflates,
        reservation,
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
    fn read(query: Option<&str>, client: ClientId, dialect: &dyn Dialect) -> Result<Self, Error> {
        let device = super::query::device(query)?;
        // In the dialect that is our own, queries are what they are everywhere in the API.
        let is_native = dialect.name() == Native.name();
        let subscription = is_native.then(|| super::query::subscription(query, None));
        let requests = subscription.transpose()?.flatten().into_iter().collect();
        let query = super::query::pairs(query);
        let opened = dialect.open(&Opening { client, user: None, query: &query })?;
        Ok(Self { device, requests, opened })
    }
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
    if !is_origin_allowed(endpoint, headers) {
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
        node.registry.reserve(ip, &endpoint.way.endpoint, most, endpoint.concurrent_per_address);
    let reservation = reservation.map_err(refuse_full)?;
    if let Some(rate) = endpoint.connections_per_address {
        let now_ms = node.clock.now().ms;
        node.addresses.count(ip, &endpoint.way.endpoint, rate, now_ms).map_err(|wait_ms| {
            let message = "this address connects more often than it may";
            response(&Error::new(ErrorCode::TooManyConnections, message).retry_after(wait_ms), None)
        })?;
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

/// Browsers always name the page's origin; who names none is no browser.
fn is_origin_allowed(endpoint: &Endpoint, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    origins.next().is_none()
        && (is_same_host(origin, headers)
            || endpoint
                .origins
                .iter()
                .any(|allowed| matches!(allowed.as_str(), a if a == "*" || a == origin)))
}

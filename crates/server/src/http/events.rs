use std::rc::Rc;

use engine::Action;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Either;
use protocol::{Command, Error};

use super::error::response;
use super::socket::Line;
use super::{Answer, Peer, query, upgrade, whole};
use crate::endpoint::{Arrival, Endpoint};
use crate::transports::{body, sse};
use crate::worker::Shared;

/// Answers with server-sent events (HTML standard, section 9.2).
pub(super) fn answer<B>(
    shared: &Shared,
    request: &Request<B>,
    endpoint: &Rc<Endpoint>,
    peer: Peer,
    line: &Line,
) -> Answer {
    let node = shared.borrow().node.clone();
    let reservation = match upgrade::admit(&node, endpoint, request.headers(), peer) {
        Ok(reservation) => Some(reservation),
        Err(refused) => return whole(refused),
    };
    let last_id = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let asked = query::subscription(request.uri().query(), last_id).and_then(|asked| {
        asked.ok_or_else(|| Error::bad_request("topics must name at least one pattern"))
    });
    let device = query::device(request.uri().query());
    let asked = asked.and_then(|asked| authorize(endpoint, asked));
    let (device, asked) = match device.and_then(|device| Ok((device, asked?))) {
        Ok(asked) => asked,
        Err(error) => return whole(response(&error, None)),
    };
    let native = Arrival::native(endpoint, Some(peer.address));
    let arrival = Arrival { device, requests: vec![asked], reservation, ..native };
    let events = body::start(shared, endpoint, arrival, sse::FRAME, line.end.clone());
    endless(events, line, "text/event-stream")
}

/// An answer whose body is a session's events.
pub(super) fn endless(events: body::Events, line: &Line, content_type: &'static str) -> Answer {
    line.is_stream();
    let mut answer = Response::new(Either::Right(events));
    let headers = answer.headers_mut();
    // A session that is closed has its connection ended, which must not carry another by then.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that gather an answer before they pass it on would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

/// Refuses with a status what would otherwise be refused in the body.
pub(super) fn authorize(
    endpoint: &Endpoint,
    request: protocol::Request,
) -> Result<protocol::Request, Error> {
    let bodies = match &request.command {
        Command::Subscribe(body) => std::slice::from_ref(&**body),
        Command::Hello(hello) => hello.subscriptions.as_slice(),
        _ => &[],
    };
    for pattern in bodies.iter().flat_map(|body| &body.topics) {
        endpoint.grants.authorize(Action::Subscribe, pattern)?;
    }
    Ok(request)
}

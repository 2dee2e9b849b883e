use std::rc::Rc;

use engine::Action;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Either;
use protocol::{Command, Error};

use super::error::response;
use super::socket::Line;
use super::{Answer, Peer, query, upgrade, whole};
use crate::endpoint::{Arrival, Endpoint};
use crate::transports::sse;
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
    let asked = match asked.and_then(|asked| authorize(endpoint, asked)) {
        Ok(asked) => asked,
        Err(error) => return whole(response(&error, None)),
    };
    let (address, requests) = (Some(peer.address), vec![asked]);
    let spelling = endpoint.spelling.clone();
    let arrival = Arrival { address, requests, spelling, deflates: false, reservation };
    line.is_stream();
    let events = sse::start(shared, endpoint, arrival, line.end.clone());
    let mut answer = Response::new(Either::Right(events));
    let headers = answer.headers_mut();
    // A session that is closed has its connection ended, which must not carry another by then.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that gather an answer before they pass it on would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

/// Refuses with a status what would otherwise be refused in the stream of events.
fn authorize(endpoint: &Endpoint, request: protocol::Request) -> Result<protocol::Request, Error> {
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

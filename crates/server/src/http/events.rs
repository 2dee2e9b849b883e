use std::rc::Rc;

use axum::body::Body;
use engine::{Action, Grants};
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::Either;
use protocol::{Command, Error};

use super::error::response;
use super::socket::Line;
use super::who::{self, Shown, Who};
use super::{Answer, Peer, query, upgrade, whole};
use crate::auth::Principal;
use crate::endpoint::{Arrival, Endpoint};
use crate::node::Node;
use crate::transports::{body, sse};
use crate::worker::Shared;

const CONTENT_TYPE: &str = "text/event-stream";

/// Answers with server-sent events (HTML standard, section 9.2).
pub(super) async fn answer<B>(
    shared: &Shared,
    request: &Request<B>,
    endpoint: &Rc<Endpoint>,
    peer: Peer,
    line: &Line,
) -> Answer {
    let node = shared.borrow().node.clone();
    let mut arrival = match arrive(&node, request, endpoint, peer).await {
        Ok(arrival) => arrival,
        Err(refused) => return whole(refused),
    };
    let last_id = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let asked = query::subscription(request.uri().query(), last_id).and_then(|asked| {
        asked.ok_or_else(|| Error::bad_request("topics must name at least one pattern"))
    });
    match asked.and_then(|asked| authorize(&arrival.standing.grants, asked)) {
        Ok(asked) => arrival.requests = vec![asked],
        Err(error) => return whole(response(&error, None)),
    }
    if request.method() == Method::HEAD {
        return head(CONTENT_TYPE);
    }
    let events = body::start(shared, endpoint, arrival, sse::FRAME, line.end.clone());
    endless(events, line, CONTENT_TYPE)
}

/// A client of an answer that has no end, known and with a place kept for it.
pub(super) async fn arrive<B>(
    node: &Node,
    request: &Request<B>,
    endpoint: &Rc<Endpoint>,
    peer: Peer,
) -> Result<Arrival, Response<Body>> {
    let mut reservation = upgrade::admit(node, endpoint, request.headers(), peer)?;
    let shown = Shown::of(request.headers(), request.uri());
    let principal = match who::identify(node, endpoint, shown).await {
        Ok(Who::Known(principal)) => principal,
        // Only who can send messages is asked to.
        Ok(Who::Later) => Principal::default(),
        Err(error) => return Err(who::refuse(&error)),
    };
    let standing = endpoint.standing(node, &principal).map_err(|error| who::refuse(&error))?;
    let named = query::device(request.uri().query());
    let seated = named.and_then(|named| {
        let device = principal.device.clone().or(named);
        let of = (&principal, &standing, device.as_ref());
        // To ask what would be answered sends no other device away.
        if request.method() != Method::HEAD {
            upgrade::seat(node, endpoint, &mut reservation, of.0, of.1, of.2, false)?;
        }
        Ok(device)
    });
    let device = seated.map_err(|error| response(&error, None))?;
    let (native, reservation) = (Arrival::native(endpoint, Some(peer.address)), Some(reservation));
    Ok(Arrival { principal, standing, device, reservation, ..native })
}

/// An answer whose body is a session's events.
pub(super) fn endless(events: body::Events, line: &Line, content_type: &'static str) -> Answer {
    line.is_stream();
    described(Response::new(Either::Right(events)), content_type)
}

/// What [`endless`] says before its body: all that `HEAD` asks for.
pub(super) fn head(content_type: &'static str) -> Answer {
    described(whole(Response::new(Body::empty())), content_type)
}

fn described(mut answer: Answer, content_type: &'static str) -> Answer {
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
    grants: &Grants,
    request: protocol::Request,
) -> Result<protocol::Request, Error> {
    let bodies = match &request.command {
        Command::Subscribe(body) => std::slice::from_ref(&**body),
        Command::Hello(hello) => hello.subscriptions.as_slice(),
        _ => &[],
    };
    for pattern in bodies.iter().flat_map(|body| &body.topics) {
        grants.authorize(Action::Subscribe, pattern)?;
    }
    Ok(request)
}

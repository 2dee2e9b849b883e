use std::rc::Rc;

use http::{Method, Request};
use protocol::{Command, Error, Mode, Pattern, Start, Subscribe, Topic};

use super::error::response;
use super::events::{arrive, authorize, endless, head};
use super::socket::Line;
use super::{Answer, Peer, query, whole};
use crate::endpoint::Endpoint;
use crate::transports::{body, mjpeg};
use crate::worker::Shared;

/// The topic that stands behind the endpoint's path, decoded.
pub(super) fn topic(path: &str, endpoint: &str) -> Option<String> {
    path.strip_prefix(endpoint)?.strip_prefix('/').map(query::decoded_path)
}

/// Answers with the images of a topic, each in the place of the one before it.
pub(super) async fn answer<B>(
    shared: &Shared,
    request: &Request<B>,
    topic: &str,
    endpoint: &Rc<Endpoint>,
    peer: Peer,
    line: &Line,
) -> Answer {
    let node = shared.borrow().node.clone();
    let mut arrival = match arrive(&node, request, endpoint, peer).await {
        Ok(arrival) => arrival,
        Err(refused) => return whole(refused),
    };
    let asked = images_of(topic, request.uri().query());
    match asked.and_then(|asked| authorize(&arrival.standing.grants, asked)) {
        Ok(asked) => arrival.requests = vec![asked],
        Err(error) => return whole(response(&error, None)),
    }
    if request.method() == Method::HEAD {
        return head(mjpeg::CONTENT_TYPE);
    }
    let images = body::start(shared, endpoint, arrival, mjpeg::FRAME, line.end.clone());
    endless(images, line, mjpeg::CONTENT_TYPE)
}

/// Only the newest image counts: who is slow skips some, and the first one is the kept one.
fn images_of(topic: &str, query: Option<&str>) -> Result<protocol::Request, Error> {
    let mut mode = Mode { latest: true, ..Mode::EVERY };
    if let Some((name, rate)) = query::pairs(query).iter().find(|(name, _)| name == "max_rate") {
        mode.interval_ms = Mode::interval_of_rate(query::rate(name, rate)?);
    }
    let topics = vec![Pattern::from(&Topic::parse(topic)?)];
    let (except, filter, start) = (Vec::new(), None, Start::Last(1));
    let body = Subscribe { topics, except, filter, start, mode };
    Ok(protocol::Request { id: None, command: Command::Subscribe(Box::new(body)) })
}

//! HTTP: upgrades, server-sent events, and the API of both listeners.

/// What is refused before anything else is looked at.
mod guard;
/// A connection's socket, which does not wait for its client for ever.
mod socket;
/// Which page a request is from.
mod page;
/// Who a request is from.
mod who;
/// From a request to a WebSocket.
mod upgrade;
/// The cookie by which a client is known again.
mod continuity;
/// From a request to server-sent events.
mod events;
/// From a request to images.
mod images;
/// What a query asks to be subscribed to.
mod query;
/// What pages of other origins may read.
mod cors;
/// Errors as answers.
mod error;
/// The routes.
mod api;
/// Routes of systems that have their own.
pub(crate) mod systems;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use protocol::Topic;
use socket::{Line, Socket};
use tokio::net::TcpStream;
use tower_service::Service as _;

pub(crate) use api::{Admission, admin_routes, public_routes};

use crate::endpoint::Endpoint;
use crate::listen::{HandshakePlace, Handshakes, Side};
use crate::transports::body::Events;
use crate::worker::Shared;

/// Least buffer that hyper takes for a request's head.
const HEAD_BYTES_MIN: usize = 8 << 10;
/// Most headers of a request.
const HEADERS_MAX: usize = 64;
/// How long a connection of the admin side may rest between two requests.
const ADMIN_REST: Duration = Duration::from_secs(75);

/// The body of an answer: whole, or events for as long as they come.
type Answer = Response<Either<Body, Events>>;

/// What a worker answers requests with.
pub(crate) struct Routes {
    /// WebSocket endpoints.
    pub(crate) endpoints: Vec<Rc<Endpoint>>,
    /// The endpoint of server-sent events.
    pub(crate) events: Rc<Endpoint>,
    /// The endpoint of images, each topic below its path.
    pub(crate) images: Rc<Endpoint>,
    /// Paths of their own that images of one topic have.
    pub(crate) image_paths: Vec<ImagePath>,
    /// What public listeners serve beside endpoints, by their addresses.
    pub(crate) public: Vec<(SocketAddr, Router)>,
    pub(crate) admin: Router,
}

impl Routes {
    /// The endpoint that is in the place of another one, from before a reload.
    pub(crate) fn like(&self, before: &Endpoint) -> Option<&Rc<Endpoint>> {
        let images = self.image_paths.iter().map(|one| &one.endpoint);
        let mut all = self.endpoints.iter().chain([&self.events, &self.images]).chain(images);
        all.find(|endpoint| endpoint.way.id == before.way.id)
    }
}

/// A path at which the images of one topic are.
pub(crate) struct ImagePath {
    pub(crate) topic: Topic,
    pub(crate) endpoint: Rc<Endpoint>,
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug)]
struct Peer {
    address: SocketAddr,
    side: Side,
}

/// Serves a connection that was accepted.
pub(crate) fn serve(shared: &Shared, socket: std::net::TcpStream, address: SocketAddr, side: Side) {
    let node = shared.borrow().node.clone();
    let config = node.config();
    let head_bytes = config.server.handshake_bytes.as_len().max(HEAD_BYTES_MIN);
    let deadline = match side {
        Side::Admin => ADMIN_REST,
        Side::Public(_) => Duration::from_millis(config.server.handshake_deadline.as_ms()),
    };
    let line = Line::default();
    let place = Handshakes::begin(&node, line.end.clone());
    let Ok(socket) = TcpStream::from_std(socket) else { return };
    let socket = Socket::new(socket, node, line.clone());
    let (shared, place) = (shared.clone(), Rc::new(std::cell::Cell::new(Some(place))));
    tokio::task::spawn_local(async move {
        let end = line.end.clone();
        let service = service_fn(move |request| {
            // The first request ends the handshake.
            drop::<Option<HandshakePlace>>(place.take());
            answer(shared.clone(), request, Peer { address, side }, line.clone())
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(deadline)
            .max_buf_size(head_bytes)
            .max_headers(HEADERS_MAX)
            .serve_connection(socket, service)
            .with_upgrades();
        tokio::select! {
            served = connection => {
                if let Err(error) = served {
                    tracing::debug!(%error, %address, "an HTTP connection ended");
                }
            }
            // Its place goes to a newer one, or its client takes nothing any more.
            () = end.notified() => {}
        }
    });
}

async fn answer(
    shared: Shared,
    request: Request<Incoming>,
    peer: Peer,
    line: Line,
) -> Result<Answer, Infallible> {
    let node = shared.borrow().node.clone();
    if let Err(refused) = guard::check(&node, &request, peer) {
        return Ok(whole(refused));
    }
    match peer.side {
        Side::Admin => {
            let routes = shared.borrow().routes.clone();
            Ok(route(&routes.admin, request).await)
        }
        Side::Public(listen) => {
            let readers = cors::Readers::of(&node.config(), &request, listen);
            if let Some(told) = readers.as_ref().and_then(|readers| readers.preflight(&request)) {
                return Ok(whole(told));
            }
            let mut request = request;
            request.extensions_mut().insert(peer);
            let mut answer = answer_public(&shared, request, listen, peer, &line).await;
            if let Some(readers) = readers {
                readers.allow(answer.headers_mut());
            }
            Ok(answer)
        }
    }
}

/// Answers at a public listener.
async fn answer_public(
    shared: &Shared,
    request: Request<Incoming>,
    listen: SocketAddr,
    peer: Peer,
    line: &Line,
) -> Answer {
    let routes = shared.borrow().routes.clone();
    let path = request.uri().path();
    let is_read = matches!(*request.method(), http::Method::GET | http::Method::HEAD);
    if let Some(endpoint) = routes.endpoints.iter().find(|one| one.is_at(path, listen))
        && upgrade::is_asked_for(&request)
    {
        whole(upgrade::answer(shared, request, endpoint, peer, line).await)
    } else if path == &*routes.events.way.endpoint && is_read {
        events::answer(shared, &request, &routes.events, peer, line).await
    } else if is_read
        && let Some(found) = routes.image_paths.iter().find(|one| one.endpoint.is_at(path, listen))
    {
        let (topic, images) = (found.topic.as_str(), &found.endpoint);
        images::answer(shared, &request, topic, images, peer, line).await
    } else if is_read && let Some(topic) = images::topic(path, &routes.images.way.endpoint) {
        images::answer(shared, &request, &topic, &routes.images, peer, line).await
    } else {
        let here = routes.public.iter().find(|(address, _)| *address == listen);
        match here {
            Some((_, router)) => route(router, request).await,
            None => whole(Response::new(Body::empty())),
        }
    }
}

async fn route(router: &Router, request: Request<Incoming>) -> Answer {
    match router.clone().call(request).await {
        Ok(response) => whole(error::spelled(response)),
        Err(never) => match never {},
    }
}

fn whole(response: Response<Body>) -> Answer {
    response.map(Either::Left)
}

fn image_paths(node: &crate::node::Node) -> Vec<ImagePath> {
    let config = node.config();
    let endpoints = config.endpoints.iter().filter_map(|configured| {
        let (path, topic) = systems::images(configured)?;
        let endpoint = Rc::new(crate::endpoint::images_beside(node, configured, path));
        Some(ImagePath { topic, endpoint })
    });
    endpoints.collect()
}

/// Builds what a worker answers with.
pub(crate) fn routes(node: &Arc<crate::node::Node>) -> Routes {
    let endpoints = crate::endpoint::all(node);
    Routes {
        endpoints: endpoints.into_iter().map(Rc::new).collect(),
        events: Rc::new(crate::endpoint::events(node)),
        images: Rc::new(crate::endpoint::images(node)),
        image_paths: image_paths(node),
        public: public_routes(node),
        admin: admin_routes(node),
    }
}

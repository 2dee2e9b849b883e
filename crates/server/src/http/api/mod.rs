//! The API: a file per resource.

/// Every route, once.
mod table;
/// The description of the routes.
mod openapi;
/// What stands at paths without a route.
mod elsewhere;
/// How much may be published at once.
mod admission;
mod call;
mod connections;
mod control;
mod cursors;
mod events;
mod health;
mod metrics;
mod page;
mod presence;
mod publish;
mod streams;
mod tokens;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::routing::get;

pub(crate) use admission::Admission;

use super::error::ApiError;
use crate::node::Node;

/// A handler's result.
type Result<T> = std::result::Result<T, ApiError>;

/// What the admin listener serves.
pub(crate) fn admin_routes(node: &Arc<Node>) -> Router {
    let body_bytes = node.config().limits.body_bytes.as_len();
    let extra = node.extra.lock().clone();
    let mut routes = Router::new();
    for route in table::admin() {
        routes = routes.route(route.path, route.handler);
    }
    let routes = match extra {
        Some(extra) => routes.merge(extra.with_state(())),
        None => routes.route("/", get(page::admin)),
    };
    finish(routes.fallback(elsewhere::admin), node).layer(DefaultBodyLimit::max(body_bytes))
}

/// What public listeners serve beside their endpoints.
pub(crate) fn public_routes(node: &Arc<Node>) -> Vec<(SocketAddr, Router)> {
    let listeners = node.config().public_listeners();
    listeners.into_iter().map(|address| (address, public_routes_at(node, address))).collect()
}

fn public_routes_at(node: &Arc<Node>, address: SocketAddr) -> Router {
    let config = node.config();
    let mut routes = Router::new();
    let page = move |State(node): State<Arc<Node>>| async move { page::public(&node, address) };
    routes = routes.route("/", get(page));
    for route in table::public() {
        routes = routes.route(route.path, route.handler);
    }
    for endpoint in config.endpoints_at(address) {
        if let Some(more) = super::systems::routes(&config, endpoint) {
            routes = routes.merge(more);
        }
    }
    let elsewhere = move |State(node): State<Arc<Node>>, request: Request| async move {
        elsewhere::public(&node, address, &request)
    };
    finish(routes.fallback(elsewhere), node)
}

fn finish(routes: Router<Arc<Node>>, node: &Arc<Node>) -> Router {
    routes
        .method_not_allowed_fallback(|| async {
            let error = protocol::Error::bad_request("this path does not take this method");
            super::error::response(&error, Some(http::StatusCode::METHOD_NOT_ALLOWED))
        })
        .with_state(node.clone())
}

/// An answer of JSON text.
pub(super) fn json(text: Vec<u8>) -> axum::response::Response {
    let content_type = [(http::header::CONTENT_TYPE, "application/json")];
    axum::response::IntoResponse::into_response((content_type, text))
}

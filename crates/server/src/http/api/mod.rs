//! The API: a file per resource.

mod connections;
mod control;
mod events;
mod health;
mod metrics;
mod openapi;
mod page;
mod publish;
mod streams;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, delete, get, post, put};
use protocol::ErrorCode;

use super::error::ApiError;
use crate::node::Node;

/// A handler's result.
type Result<T> = std::result::Result<T, ApiError>;

/// What the admin listener serves.
pub(crate) fn admin_routes(node: &Arc<Node>) -> Router {
    let body_bytes = node.config().limits.body_bytes.as_len();
    let extra = node.extra.lock().clone();
    let mut routes = Router::new();
    for route in table() {
        routes = routes.route(route.path, route.handler);
    }
    let routes = match extra {
        Some(extra) => routes.merge(extra.with_state(())),
        None => routes.route("/", get(page::admin)),
    };
    finish(routes, node).layer(DefaultBodyLimit::max(body_bytes))
}

/// What the public listener serves beside its endpoints.
pub(crate) fn public_routes(node: &Arc<Node>) -> Router {
    let routes = Router::new()
        .route("/", get(page::public))
        .route("/v1/events", get(events::of_topics))
        .route("/healthz", get(health::alive));
    finish(routes, node)
}

/// A route of the admin listener: what serves it, and what its description says.
struct Route {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// Parameters of the query, with what they mean.
    query: &'static [(&'static str, &'static str)],
    /// The schema of the request's body.
    body: Option<&'static str>,
    /// The schema of the answer.
    answer: &'static str,
    handler: MethodRouter<Arc<Node>>,
}

macro_rules! route {
    ($method:ident $path:literal $handler:expr, $summary:literal,
     query $query:expr, body $body:expr, answer $answer:literal) => {
        Route {
            method: stringify!($method),
            path: $path,
            summary: $summary,
            query: $query,
            body: $body,
            answer: $answer,
            handler: $method($handler),
        }
    };
}

/// Every route of the admin API, once: the router and the OpenAPI document are made of it.
fn table() -> Vec<Route> {
    const PAGE: &[(&str, &str)] = &[
        ("after", "read after this seq"),
        ("epoch", "the epoch in which `after` counts"),
        ("limit", "most events to answer"),
        ("topic", "only topics of this pattern"),
    ];
    const CLIENTS: &[(&str, &str)] = &[
        ("user", "only clients of this user"),
        ("limit", "most clients to answer"),
        ("after", "go on behind this client"),
    ];
    vec![
        route!(post "/v1/publish" publish::publish, "Publish an event, or an array of them",
            query &[], body Some("Publish"), answer "Appended"),
        route!(post "/v1/publish/{topic}" publish::publish_raw, "Publish the body as an event's data",
            query &[], body Some("Raw"), answer "Appended"),
        route!(get "/v1/streams" streams::list, "Every stream",
            query &[], body None, answer "Streams"),
        route!(get "/v1/streams/{name}" streams::show, "What a stream holds",
            query &[], body None, answer "Stream"),
        route!(get "/v1/streams/{name}/events" events::of_stream, "Kept events of a stream",
            query PAGE, body None, answer "Events"),
        route!(get "/v1/connections" connections::list, "Who is connected",
            query CLIENTS, body None, answer "Connections"),
        route!(get "/v1/connections/{id}" connections::show, "A client",
            query &[], body None, answer "Connection"),
        route!(delete "/v1/connections/{id}" connections::close, "Close a client",
            query &[], body None, answer "Object"),
        route!(put "/v1/connections/{id}/groups/{group}" connections::join, "Make a client a member of a group",
            query &[], body None, answer "Object"),
        route!(delete "/v1/connections/{id}/groups/{group}" connections::leave, "Take a client out of a group",
            query &[], body None, answer "Object"),
        route!(post "/v1/start" control::start, "Let publishing and delivery go on",
            query &[], body None, answer "Object"),
        route!(post "/v1/stop" control::stop, "Stop publishing and delivery; clients stay",
            query &[], body None, answer "Object"),
        route!(post "/v1/drain" control::drain, "Send clients away, then end",
            query &[], body None, answer "Object"),
        route!(post "/v1/reload" control::reload, "Take up a changed configuration",
            query &[], body None, answer "Object"),
        route!(get "/v1/health" health::health, "Levels and reasons",
            query &[], body None, answer "Health"),
        route!(get "/v1/metrics" metrics::json, "Figures as JSON",
            query &[], body None, answer "Object"),
        route!(get "/metrics" metrics::prometheus, "Figures in the OpenMetrics text format",
            query &[], body None, answer "Text"),
        route!(get "/v1/openapi.json" openapi::document, "This document",
            query &[], body None, answer "Object"),
        route!(get "/healthz" health::alive, "Whether the process lives",
            query &[], body None, answer "Object"),
        route!(get "/readyz" health::ready, "Whether events go through",
            query &[], body None, answer "Ready"),
    ]
}

fn finish(routes: Router<Arc<Node>>, node: &Arc<Node>) -> Router {
    routes
        .fallback(|| async { ApiError::new(ErrorCode::NotFound, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            let error = protocol::Error::bad_request("this path does not take this method");
            super::error::response(&error, Some(http::StatusCode::METHOD_NOT_ALLOWED))
        })
        .with_state(node.clone())
}

/// An answer of JSON text.
fn json(text: Vec<u8>) -> axum::response::Response {
    let content_type = [(http::header::CONTENT_TYPE, "application/json")];
    axum::response::IntoResponse::into_response((content_type, text))
}

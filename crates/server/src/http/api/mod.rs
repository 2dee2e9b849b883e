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
use axum::routing::{get, post, put};
use protocol::ErrorCode;

use super::error::ApiError;
use crate::node::Node;

/// A handler's result.
type Result<T> = std::result::Result<T, ApiError>;

/// What the admin listener serves.
pub(crate) fn admin_routes(node: &Arc<Node>) -> Router {
    let body_bytes = node.config().limits.body_bytes.as_len();
    let extra = node.extra.lock().clone();
    let routes = Router::new()
        .route("/v1/publish", post(publish::publish))
        .route("/v1/publish/{topic}", post(publish::publish_raw))
        .route("/v1/streams", get(streams::list))
        .route("/v1/streams/{name}", get(streams::show))
        .route("/v1/streams/{name}/events", get(events::of_stream))
        .route("/v1/connections", get(connections::list))
        .route("/v1/connections/{id}", get(connections::show).delete(connections::close))
        .route(
            "/v1/connections/{id}/groups/{group}",
            put(connections::join).delete(connections::leave),
        )
        .route("/v1/start", post(control::start))
        .route("/v1/stop", post(control::stop))
        .route("/v1/drain", post(control::drain))
        .route("/v1/reload", post(control::reload))
        .route("/v1/health", get(health::health))
        .route("/v1/metrics", get(metrics::json))
        .route("/metrics", get(metrics::prometheus))
        .route("/v1/openapi.json", get(openapi::document))
        .merge(common_routes());
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
        .merge(common_routes());
    finish(routes, node)
}

fn common_routes() -> Router<Arc<Node>> {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
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

//! Gestures are taken in and told, and questions are answered.

/// What is wrong with a body, field by field.
mod problems;
/// `POST /api/gesture/process`.
mod process;
/// `POST /api/ai/infer`.
mod infer;
/// Health and figures.
mod figures;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use http::{HeaderMap, Uri};
use protocol::dialects::spelling::root::Root;

use super::pace::Pace;
use crate::config::Endpoint;
use crate::node::Node;

/// Every path.
pub(super) const PATHS: &[&str] = &[
    "/api/gesture/process",
    "/api/gestures/process",
    "/api/ai/infer",
    "/health",
    "/api/metrics/websocket",
];

/// What the routes know of the endpoint beside which they are.
struct Beside {
    path: Arc<str>,
    root: Root,
    pace: Pace,
}

/// The routes beside an endpoint.
pub(super) fn routes(endpoint: &Endpoint) -> Router<Arc<Node>> {
    let (path, root) = (endpoint.path.as_str().into(), Root::new(endpoint.root.clone()));
    let beside = Arc::new(Beside { path, root, pace: Pace::new() });
    let (gestures, questions, metrics) = (beside.clone(), beside.clone(), beside);
    let process = move |State(node): State<Arc<Node>>,
                        uri: Uri,
                        headers: HeaderMap,
                        body: Bytes| async move {
        process::process(&node, &gestures, &headers, &uri, &body).await
    };
    let infer = move |State(node): State<Arc<Node>>, uri: Uri, headers: HeaderMap, body: Bytes| async move {
        infer::infer(&node, &questions, &headers, &uri, &body).await
    };
    let health = |State(node): State<Arc<Node>>| async move { figures::health(&node).await };
    let metrics =
        move |State(node): State<Arc<Node>>| async move { figures::metrics(&node, &metrics).await };
    Router::new()
        .route("/api/gesture/process", post(process.clone()))
        .route("/api/gestures/process", post(process))
        .route("/api/ai/infer", post(infer))
        .route("/health", get(health))
        .route("/api/metrics/websocket", get(metrics))
}

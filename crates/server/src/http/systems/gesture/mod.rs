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
use axum::extract::{Request, State};
use axum::routing::{get, post};
use protocol::dialects::spelling::root::Root;

use super::pace::Pace;
use crate::config::{Config, Endpoint};
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
    id: Arc<str>,
    root: Root,
    pace: Pace,
}

/// The routes beside an endpoint.
pub(super) fn routes(config: &Config, endpoint: &Endpoint) -> Router<Arc<Node>> {
    let (id, root) = (config.id_of(endpoint), Root::new(endpoint.root.clone()));
    let beside = Arc::new(Beside { id, root, pace: Pace::new() });
    let (gestures, questions, metrics) = (beside.clone(), beside.clone(), beside);
    let process = move |State(node): State<Arc<Node>>, request: Request| async move {
        process::process(&node, &gestures, request).await
    };
    let infer = move |State(node): State<Arc<Node>>, request: Request| async move {
        infer::infer(&node, &questions, request).await
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

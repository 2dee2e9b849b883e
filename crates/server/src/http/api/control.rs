use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use protocol::Error;
use serde_json::{Value, json};

use super::Result;
use crate::node::Node;

fn answer(value: &Value) -> Response {
    super::json(value.to_string().into_bytes())
}

/// `POST /v1/start`: publishing and delivery go on.
pub(super) async fn start(State(node): State<Arc<Node>>) -> Response {
    node.set_stopped(false);
    tracing::info!("publishing and delivery go on");
    answer(&json!({ "stopped": false }))
}

/// `POST /v1/stop`: nothing is published or delivered until `start`; clients stay.
pub(super) async fn stop(State(node): State<Arc<Node>>) -> Response {
    node.set_stopped(true);
    tracing::info!("publishing and delivery are stopped");
    answer(&json!({ "stopped": true }))
}

/// `POST /v1/drain`: clients are sent away, then the process ends.
pub(super) async fn drain(State(node): State<Arc<Node>>) -> Response {
    let clients = node.registry.len();
    node.begin_drain();
    let deadline_ms = node.config().server.drain_deadline.as_ms();
    answer(&json!({ "draining": true, "clients": clients, "deadline_ms": deadline_ms }))
}

/// `POST /v1/reload`: reads the configuration again; where it is wrong the old one stays whole.
pub(super) async fn reload(State(node): State<Arc<Node>>) -> Result<Response> {
    let changes = crate::reload::reload(&node).await.map_err(Error::bad_request)?;
    Ok(answer(&json!({ "live": changes.live, "restart_needed": changes.restart_needed })))
}

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::state;
use crate::config::{Config, Endpoint};
use crate::node::Node;

/// Every path.
pub(super) const PATHS: &[&str] = &["/health"];

/// The routes beside an endpoint.
pub(super) fn routes(config: &Config, endpoint: &Endpoint) -> Router<Arc<Node>> {
    let id = config.id_of(endpoint);
    let health = move |State(node): State<Arc<Node>>| async move { health(&node, &id).await };
    Router::new().route("/health", get(health))
}

/// `GET /health`: who is connected, and how many events wait for slow clients.
async fn health(node: &Node, id: &Arc<str>) -> Response {
    let at = id.clone();
    let lags = node.ask_all(move |shell| {
        let keys = shell.clients_at(&at).map(|(key, _)| key);
        keys.filter_map(|key| shell.engine.view(key)).map(|view| view.lag_events).sum::<u64>()
    });
    let waiting: u64 = lags.await.into_iter().sum();
    super::json(&json!({
        "status": state(node, "healthy"),
        "active_connections": node.registry.count_at(std::slice::from_ref(id)),
        "active_users": node.registry.users_at(id),
        "message_queue_size": waiting,
    }))
}

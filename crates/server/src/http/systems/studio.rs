use std::collections::HashSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use crate::config::Endpoint;
use crate::node::Node;

/// Every path.
pub(super) const PATHS: &[&str] = &["/health"];

/// The routes beside an endpoint.
pub(super) fn routes(endpoint: &Endpoint) -> Router<Arc<Node>> {
    let path: Arc<str> = endpoint.path.as_str().into();
    let health = move |State(node): State<Arc<Node>>| async move { health(&node, &path).await };
    Router::new().route("/health", get(health))
}

/// `GET /health`: who is connected, and how many events wait for slow clients.
async fn health(node: &Node, path: &str) -> Response {
    let all = node.registry.list(None, None, usize::MAX);
    let here: Vec<_> = all.iter().filter(|(_, client)| *client.way.endpoint == *path).collect();
    let users: HashSet<_> = here.iter().filter_map(|(_, client)| client.user.as_ref()).collect();
    let mut waiting = 0;
    for worker in 0..node.inboxes().len() {
        let of_worker = here.iter().filter(|(_, client)| client.worker == worker);
        let keys: Vec<_> = of_worker.map(|(_, client)| client.key).collect();
        let lag = node.ask(worker, move |shell| {
            let views = keys.iter().filter_map(|key| shell.engine.view(*key));
            views.map(|view| view.lag_events).sum::<u64>()
        });
        waiting += lag.answer().await.unwrap_or(0);
    }
    let status = match (node.is_draining(), node.is_stopped()) {
        (true, _) => "draining",
        (_, true) => "stopped",
        _ => "healthy",
    };
    let answer = json!({
        "status": status,
        "active_connections": here.len(),
        "active_users": users.len(),
        "message_queue_size": waiting,
    });
    crate::http::api::json(answer.to_string().into_bytes())
}

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use protocol::Pattern;
use serde_json::json;

use super::state;
use crate::config::{Access, Config, Endpoint};
use crate::node::Node;

/// Every path.
pub(super) const PATHS: &[&str] = &["/system/status"];

/// The routes beside an endpoint.
pub(super) fn routes(config: &Config, endpoint: &Endpoint) -> Router<Arc<Node>> {
    let id = config.id_of(endpoint);
    let status = move |State(node): State<Arc<Node>>| async move { status(&node, &id) };
    Router::new().route("/system/status", get(status))
}

/// `GET /system/status`: whether the server is up, what it does here, and who is connected.
fn status(node: &Node, id: &Arc<str>) -> Response {
    let config = node.config();
    let endpoint = config.endpoints.iter().find(|endpoint| config.id_of(endpoint) == *id);
    let usual = endpoint.map_or("online", |endpoint| endpoint.status.as_str());
    super::json(&json!({
        "status": state(node, usual),
        "version": env!("CARGO_PKG_VERSION"),
        "uptime": node.uptime_ms() as f64 / 1e3,
        "active_features": endpoint.map(|endpoint| features(&config, endpoint)),
        "active_connections": node.registry.count_at(std::slice::from_ref(id)),
    }))
}

/// What clients of an endpoint can do here.
fn features(config: &Config, endpoint: &Endpoint) -> Vec<&'static str> {
    let below = |name: &str| {
        let root = endpoint.root.as_ref().map(|root| format!("{root}.")).unwrap_or_default();
        Pattern::parse(&format!("{root}{name}")).ok()
    };
    let takes_audio = below("audio.>")
        .is_some_and(|audio| endpoint.allow.publish.iter().any(|p| p.overlaps(&audio)));
    let has_commands =
        below(">").is_some_and(|all| config.commands.iter().any(|route| route.name.overlaps(&all)));
    let needs_token = config.access_of(endpoint) != Access::None;
    let all = [
        ("events", true),
        ("audio", takes_audio),
        ("commands", has_commands),
        ("remember", endpoint.remember.is_some()),
        ("authentication", needs_token),
    ];
    all.into_iter().filter_map(|(name, has_it)| has_it.then_some(name)).collect()
}

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::commands::Commands;
use crate::node::Node;
use crate::probe::{Probe, probe};
use crate::quality::level_of;

/// `GET /healthz`: the process lives.
pub(super) async fn alive() -> Response {
    super::json(br#"{"status":"ok"}"#.to_vec())
}

/// `GET /readyz`: an event has just gone through the broker, and every worker answers.
pub(super) async fn ready(State(node): State<Arc<Node>>) -> Response {
    let Probe { took, reasons } = probe(&node).await;
    let body = json!({
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "probe_ms": took.as_secs_f64() * 1e3,
    });
    let answer = super::json(body.to_string().into_bytes());
    if reasons.is_empty() {
        answer
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, answer).into_response()
    }
}

/// `GET /v1/health`: levels and reasons.
pub(super) async fn health(State(node): State<Arc<Node>>) -> Response {
    let Probe { took, mut reasons } = probe(&node).await;
    let probe_ms = took.as_secs_f64() * 1e3;
    let level = if reasons.is_empty() { level_of(probe_ms) } else { "critical" };
    // Without them the server still delivers, so they make it neither critical nor unready.
    reasons.extend(node.services.reasons());
    let (commands, troubles) = Commands::health(&node);
    reasons.extend(troubles);
    let services: serde_json::Map<String, serde_json::Value> = node
        .services
        .all()
        .into_iter()
        .map(|(name, is_running)| {
            (name.to_string(), if is_running { "running" } else { "stopped" }.into())
        })
        .collect();
    let body = json!({
        "status": if reasons.is_empty() { "ok" } else { "degraded" },
        "level": level,
        "reasons": reasons,
        "probe_ms": probe_ms,
        "services": services,
        "commands": commands,
        "node": &*node.name,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_ms": node.uptime_ms(),
        "connections": node.registry.len(),
        "streams": super::streams::listed(&node).count(),
        "workers": node.inboxes().len(),
        "draining": node.is_draining(),
        "stopped": node.is_stopped(),
    });
    super::json(body.to_string().into_bytes())
}

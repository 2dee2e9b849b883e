use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use protocol::ClientId;
use serde_json::json;

use super::Beside;
use crate::http::systems::{json, tenths};
use crate::node::Node;
use crate::probe::{Probe, probe};
use crate::worker::{Peer, Shell};

/// `GET /health`: whether events get through, and what else works beside the server.
pub(super) async fn health(node: &Node) -> Response {
    let Probe { reasons, .. } = probe(node).await;
    let is_healthy = reasons.is_empty();
    let mut services = serde_json::Map::new();
    let state = |is_up: bool| if is_up { "up" } else { "down" };
    services.insert("events".into(), state(is_healthy).into());
    for (service, is_running) in node.services.all() {
        services.insert(service.to_string(), state(is_running).into());
    }
    let body = json!({
        "status": if is_healthy { "healthy" } else { "unhealthy" },
        "timestamp": crate::clock::wall_ms(),
        "uptime": node.uptime_ms() as f64 / 1e3,
        "services": services,
        "reasons": reasons,
    });
    let answer = json(&body);
    if is_healthy { answer } else { (StatusCode::SERVICE_UNAVAILABLE, answer).into_response() }
}

/// What the clients of an endpoint were sent and said so far, and how fast they answer.
#[derive(Default)]
struct Seen {
    sent: HashMap<ClientId, u64>,
    received: u64,
    latencies_ms: Vec<u64>,
    /// Errors of all that all clients of the server said.
    errors: u64,
    commands: u64,
}

impl Seen {
    async fn gather(node: &Node, id: Arc<str>) -> Self {
        let mut sum = Self::default();
        for part in node.ask_all(move |shell| Self::of(shell, &id)).await {
            sum.sent.extend(part.sent);
            sum.received += part.received;
            sum.latencies_ms.extend(part.latencies_ms);
            sum.errors += part.errors;
            sum.commands += part.commands;
        }
        sum
    }

    /// Those of one worker.
    fn of(shell: &Shell, id: &str) -> Self {
        let counters = shell.engine.counters();
        let mut seen =
            Self { errors: counters.errors, commands: counters.commands, ..Self::default() };
        for (key, client) in shell.clients_at(id) {
            let Some(view) = shell.engine.view(key) else { continue };
            seen.sent.insert(client.id, view.counts.events_out);
            seen.received += view.counts.commands_in;
            if let Peer::WebSocket(peer) = &client.peer {
                seen.latencies_ms.extend(peer.latency().last_ms());
            }
        }
        seen
    }
}

/// `GET /api/metrics/websocket`: of the clients that are connected now.
pub(super) async fn metrics(node: &Node, beside: &Beside) -> Response {
    let seen = Seen::gather(node, beside.id.clone()).await;
    let connected = seen.sent.len();
    let sent: u64 = seen.sent.values().sum();
    let answered = seen.latencies_ms.len();
    let latency_ms =
        (answered > 0).then(|| seen.latencies_ms.iter().sum::<u64>() as f64 / answered as f64);
    // What is not understood is an error and never carried out.
    let error_rate = seen.errors as f64 / seen.commands.max(seen.errors).max(1) as f64;
    let per_second = beside.pace.look(Instant::now(), seen.sent);
    json(&json!({
        "message": "WebSocket metrics",
        "metrics": {
            "activeConnections": connected,
            "connectedClients": connected,
            "totalMessages": sent + seen.received,
            "messagesPerSecond": tenths(per_second),
            "averageLatency": latency_ms,
            "errorRate": error_rate,
        },
    }))
}

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::system::{Seen, System};
use super::{answer, object};
use crate::node::Node;
use crate::probe::{Probe, probe};
use crate::quality::level_of;

/// Clients whose figures are told: the worst ones.
const CLIENTS_MAX: usize = 100;

/// `GET health`: the whole, each stream, and the clients that do worst.
pub(super) async fn health(
    State(node): State<Arc<Node>>,
    Extension(system): Extension<Arc<System>>,
) -> Response {
    let clients = system.clients(&node).await;
    let whole = whole(&node, &clients).await;
    let mut worst: Vec<&Seen> = clients.iter().collect();
    worst.sort_by(|a, b| a.link.quality.total_cmp(&b.link.quality));
    let of_client = |seen: &&Seen| {
        json!({
            "client_id": seen.id.to_string(),
            "level": level(seen.link.latency_ms.map_or(0.0, |ms| ms as f64)),
            "latency_ms": seen.link.latency_ms,
            "quality_score": seen.link.quality,
            "is_alive": seen.link.is_alive,
            "lag": seen.view.lag_events,
        })
    };
    let worst: Vec<Value> = worst.iter().take(CLIENTS_MAX).map(of_client).collect();
    let streams = streams(&node, &system, &clients);
    answer(object! { "system_health": whole, "streams": streams, "clients": worst })
}

/// `GET health/summary`.
pub(super) async fn summary(
    State(node): State<Arc<Node>>,
    Extension(system): Extension<Arc<System>>,
) -> Response {
    let clients = system.clients(&node).await;
    answer(whole(&node, &clients).await)
}

async fn whole(node: &Node, clients: &[Seen]) -> Map<String, Value> {
    let Probe { took, reasons } = probe(node).await;
    let probe_ms = took.as_secs_f64() * 1e3;
    let known = clients.iter().filter_map(|seen| seen.link.latency_ms);
    let (count, sum_ms) = known.fold((0_u32, 0.0), |(n, sum), ms| (n + 1, sum + ms as f64));
    let mean_ms = (count > 0).then(|| sum_ms / f64::from(count));
    let is_healthy = reasons.is_empty() && !node.is_stopped();
    let alive = clients.iter().filter(|seen| seen.link.is_alive).count();
    object! {
        "level": if is_healthy { level(mean_ms.unwrap_or(probe_ms).max(probe_ms)) } else { level(f64::INFINITY) },
        "healthy": is_healthy,
        "running": !node.is_stopped(),
        "reasons": reasons,
        "probe_ms": probe_ms,
        "average_latency_ms": mean_ms,
        "active_connections": clients.len(),
        "healthy_connections": alive,
        "uptime": node.uptime_ms() as f64 / 1e3,
    }
}

/// Each stream: how far it is, what is kept, and who gets it.
pub(super) fn streams(node: &Node, system: &System, clients: &[Seen]) -> Map<String, Value> {
    let of_stream = |(name, topic, at): (&str, &protocol::Topic, engine::StreamIndex)| {
        let state = node.broker.state(at)?;
        let figures = json!({
            "subscribers": clients.iter().filter(|seen| seen.gets(topic)).count(),
            "last_sequence": state.last,
            "first_sequence": state.first,
            "kept_events": (state.last + 1).saturating_sub(state.first),
            "kept_bytes": state.bytes,
        });
        Some((name.to_owned(), figures))
    };
    system.streams(node).filter_map(of_stream).collect()
}

/// How well something does, by its latency.
pub(super) fn level(latency_ms: f64) -> String {
    level_of(latency_ms).to_ascii_uppercase()
}

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::health::streams;
use super::system::{Seen, System};
use super::{answer, object};
use crate::departures::Sums;
use crate::node::Node;

/// `GET metrics`: what went out, images, and connections.
pub(super) async fn metrics(
    State(node): State<Arc<Node>>,
    Extension(system): Extension<Arc<System>>,
) -> Response {
    let clients = system.clients(&node).await;
    let sums = system.sums(&node, &clients);
    let broadcasts = json!({
        "messages_sent": sums.events_out,
        "messages_received": sums.messages_in,
        "bytes_sent": sums.bytes_out,
        "failed_sends": sums.failed_writes,
        "streams": streams(&node, &system, &clients),
    });
    answer(object! {
        "broadcast_stats": broadcasts,
        "frame_metrics": frames(&node, &system, &clients),
        "connection_stats": connections(&sums, clients.len() as u64),
    })
}

fn frames(node: &Node, system: &System, clients: &[Seen]) -> Value {
    let mut streams = system.streams(node);
    let Some((_, topic, at)) = streams.find(|(name, ..)| *name == "frame") else {
        return Value::Null;
    };
    let (Some(state), Some(spec)) = (node.broker.state(at), node.table.spec(at)) else {
        return Value::Null;
    };
    let kept = (state.last + 1).saturating_sub(state.first);
    let interval_ms = spec.mode.interval_ms;
    json!({
        "last_sequence": state.last,
        "kept_frames": kept,
        "kept_bytes": state.bytes,
        "average_bytes": state.bytes.checked_div(kept),
        "target_fps": (interval_ms > 0).then(|| 1e3 / f64::from(interval_ms)),
        "subscribers": clients.iter().filter(|seen| seen.gets(topic)).count(),
    })
}

fn connections(sums: &Sums, active: u64) -> Value {
    let of_answering = |sum: f64| (sums.answering > 0).then(|| sum / sums.answering as f64);
    let failed = sums.failed_writes + sums.time_outs;
    // A share of the clients; one of them may fail in both ways.
    let stability = 1.0 - (failed as f64 / sums.clients.max(1) as f64).min(1.0);
    json!({
        "active_connections": active,
        "total_connections": sums.clients,
        "disconnections": sums.clients - active,
        "messages_sent": sums.events_out,
        "messages_received": sums.messages_in,
        "bytes_sent": sums.bytes_out,
        "bytes_received": sums.bytes_in,
        "failed_sends": sums.failed_writes,
        "timeouts": sums.time_outs,
        "latency_ms": {
            "min": sums.latency_ms.map(|(min, _)| min),
            "max": sums.latency_ms.map(|(_, max)| max),
            "avg": of_answering(sums.latency_mean_ms),
            "jitter": of_answering(sums.jitter_ms),
        },
        "average_duration": sums.connected_ms as f64 / 1e3 / sums.clients.max(1) as f64,
        "stability_score": stability,
    })
}

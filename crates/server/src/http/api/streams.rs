use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use engine::StreamIndex;
use serde_json::{Value, json};

use super::Result;
use crate::node::Node;

/// `GET /v1/streams`.
pub(super) async fn list(State(node): State<Arc<Node>>) -> Response {
    let streams: Vec<Value> = listed(&node).filter_map(|at| describe(&node, at)).collect();
    super::json(json!({ "streams": streams }).to_string().into_bytes())
}

/// `GET /v1/streams/{name}`.
pub(super) async fn show(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
) -> Result<Response> {
    let at = node.table.find(&name)?;
    let state = describe(&node, at).unwrap_or_default();
    Ok(super::json(state.to_string().into_bytes()))
}

/// The streams that listings have: all but the system's.
pub(super) fn listed(node: &Node) -> impl Iterator<Item = StreamIndex> {
    let is_internal = |at: &StreamIndex| {
        node.table.spec(*at).is_some_and(|spec| spec.name.as_str().starts_with('$'))
    };
    node.table.indexes().filter(move |at| !is_internal(at))
}

fn describe(node: &Node, at: StreamIndex) -> Option<Value> {
    let (spec, state) = (node.table.spec(at)?, node.broker.state(at)?);
    let topics: Vec<&str> = spec.topics.iter().map(protocol::Pattern::as_str).collect();
    let bound = |bound: u64| (bound != u64::MAX).then_some(bound);
    let retention = &spec.retention;
    Some(json!({
        "name": state.stream.as_str(),
        "topics": topics,
        "epoch": state.epoch.as_str(),
        "first": state.first,
        "last": state.last,
        "events": (state.last + 1).saturating_sub(state.first),
        "bytes": state.bytes,
        "durability": state.durability.as_str(),
        "priority": spec.priority,
        "deliver": if spec.mode.latest { "latest" } else { "every" },
        "retain": {
            "count": bound(retention.count),
            "age_ms": bound(retention.age_ms),
            "bytes": bound(retention.bytes),
        },
    }))
}

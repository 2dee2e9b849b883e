use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

use crate::metrics::{Figures, push_json, push_prometheus};
use crate::node::Node;

/// `GET /v1/metrics`.
pub(super) async fn json(State(node): State<Arc<Node>>) -> Response {
    let figures = Figures::gather(&node).await;
    super::json(push_json(&figures))
}

/// `GET /metrics`, in the OpenMetrics text format.
pub(super) async fn prometheus(State(node): State<Arc<Node>>) -> Response {
    let figures = Figures::gather(&node).await;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], push_prometheus(&figures)).into_response()
}

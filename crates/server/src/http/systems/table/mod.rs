/// Delivery starts and stops; alerts go out.
mod control;
/// Who is connected.
mod connections;
/// How well everything does.
mod health;
/// What was done so far.
mod metrics;
/// What all of these look at.
mod system;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use protocol::dialects::spelling::time::iso;
use serde_json::{Map, Value};

use crate::config::{Config, Endpoint};
use crate::http::error::{ApiError, spelled};
use crate::node::Node;
use system::System;

pub(in crate::http) use system::frames_of;

/// Every path, each with what serves it.
type Handler = fn() -> MethodRouter<Arc<Node>>;

const ROUTES: [Handler; 11] = [
    || post(control::start),
    || post(control::stop),
    || get(health::health),
    || get(health::summary),
    || get(metrics::metrics),
    || get(connections::list),
    || get(connections::show),
    || post(connections::subscribe),
    || post(connections::unsubscribe),
    || post(connections::disconnect),
    || post(control::alert),
];

/// The paths of [`ROUTES`].
pub(super) const PATHS: &[&str; ROUTES.len()] = &[
    "/api/v1/websocket/system/start",
    "/api/v1/websocket/system/stop",
    "/api/v1/websocket/health",
    "/api/v1/websocket/health/summary",
    "/api/v1/websocket/metrics",
    "/api/v1/websocket/connections",
    "/api/v1/websocket/connections/{id}",
    "/api/v1/websocket/connections/{id}/subscribe",
    "/api/v1/websocket/connections/{id}/unsubscribe",
    "/api/v1/websocket/connections/{id}/disconnect",
    "/api/v1/websocket/broadcast/alert",
];

/// More than any refusal has.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// A handler's result.
type Result<T> = std::result::Result<T, ApiError>;

/// The routes beside an endpoint.
pub(super) fn routes(config: &Config, endpoint: &Endpoint) -> Router<Arc<Node>> {
    let mut routes = Router::new();
    for (path, handler) in PATHS.iter().zip(ROUTES) {
        routes = routes.route(path, handler());
    }
    routes.layer(map_response(stamped)).layer(Extension(Arc::new(System::new(config, endpoint))))
}

/// An answer; every one says when it was given.
fn answer(mut body: Map<String, Value>) -> Response {
    stamp(&mut body);
    super::json(&Value::Object(body))
}

fn stamp(body: &mut Map<String, Value>) {
    body.insert("timestamp".to_owned(), iso(crate::clock::wall_ms()).to_string().into());
}

/// A refusal says it, too, whoever refused.
async fn stamped(answer: Response) -> Response {
    if answer.status().is_success() {
        return answer;
    }
    let (head, body) = spelled(answer).into_parts();
    let text = to_bytes(body, REFUSAL_BYTES_MAX).await.unwrap_or_default();
    let body = match serde_json::from_slice(&text) {
        Ok(mut body) => {
            stamp(&mut body);
            Value::Object(body).to_string().into()
        }
        Err(_) => Body::from(text),
    };
    Response::from_parts(head, body)
}

/// The members of an object that is written down.
macro_rules! object {
    ($($name:literal: $value:expr),* $(,)?) => {{
        let mut object = serde_json::Map::new();
        $(object.insert($name.to_owned(), serde_json::json!($value));)*
        object
    }};
}
use object;

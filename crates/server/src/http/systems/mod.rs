//! The HTTP routes of the systems whose dialects Tidings speaks, a file for each: served on the
//! listener of an endpoint that sets `routes`.

/// How many events per second clients are sent.
mod pace;
/// Who sends what routes take in.
mod input;
mod gesture;
mod speech;
mod studio;
mod table;
mod trainer;

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use protocol::Topic;

use crate::config::{Config, Endpoint};
use crate::node::Node;

/// The routes of a system.
struct System {
    /// The name of its dialect.
    dialect: &'static str,
    /// Every path, as the router spells it: two systems on one listener must not share one.
    paths: &'static [&'static str],
    /// The routes beside an endpoint: exactly those paths.
    routes: fn(&Config, &Endpoint) -> Router<Arc<Node>>,
}

const SYSTEMS: &[System] = &[
    System { dialect: "gesture", paths: gesture::PATHS, routes: gesture::routes },
    System { dialect: "speech", paths: speech::PATHS, routes: speech::routes },
    System { dialect: "studio", paths: studio::PATHS, routes: studio::routes },
    System { dialect: "table", paths: table::PATHS, routes: table::routes },
    System { dialect: "trainer", paths: trainer::PATHS, routes: trainer::routes },
];

fn of(endpoint: &Endpoint) -> Option<&'static System> {
    let name = endpoint.dialect.as_str();
    SYSTEMS.iter().find(|system| endpoint.routes && system.dialect == name)
}

/// The routes beside an endpoint, where it has some.
pub(super) fn routes(config: &Config, endpoint: &Endpoint) -> Option<Router<Arc<Node>>> {
    of(endpoint).map(|system| (system.routes)(config, endpoint))
}

/// Where images of a topic are served beside an endpoint, whose answer has no end.
pub(super) fn images(endpoint: &Endpoint) -> Option<(&'static str, Topic)> {
    table::frames_of(endpoint)
}

/// The paths of the routes beside an endpoint.
pub(crate) fn paths(endpoint: &Endpoint) -> &'static [&'static str] {
    of(endpoint).map_or(&[], |system| system.paths)
}

fn json(value: &serde_json::Value) -> Response {
    crate::http::api::json(value.to_string().into_bytes())
}

/// How the server is, in one word: `usual` where nothing is the matter.
fn state<'a>(node: &Node, usual: &'a str) -> &'a str {
    match (node.is_draining(), node.is_stopped()) {
        (true, _) => "draining",
        (_, true) => "stopped",
        _ => usual,
    }
}

fn tenths(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}

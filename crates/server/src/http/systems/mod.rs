//! The HTTP routes of the systems whose dialects Tidings speaks, a file for each: served on the
//! listener of an endpoint that sets `routes`.

/// The newest event of some topics.
mod newest;
/// How many events per second clients are sent.
mod pace;
mod studio;
mod trainer;

use std::sync::Arc;

use axum::Router;

use crate::config::Endpoint;
use crate::node::Node;

/// The routes of a system.
struct System {
    /// The name of its dialect.
    dialect: &'static str,
    /// Every path, as the router spells it: two systems on one listener must not share one.
    paths: &'static [&'static str],
    /// The routes beside an endpoint: exactly those paths.
    routes: fn(&Endpoint) -> Router<Arc<Node>>,
}

const SYSTEMS: &[System] = &[
    System { dialect: "studio", paths: studio::PATHS, routes: studio::routes },
    System { dialect: "trainer", paths: trainer::PATHS, routes: trainer::routes },
];

fn of(endpoint: &Endpoint) -> Option<&'static System> {
    let name = endpoint.dialect.as_str();
    SYSTEMS.iter().find(|system| endpoint.routes && system.dialect == name)
}

/// The routes beside an endpoint, where it has some.
pub(super) fn routes(endpoint: &Endpoint) -> Option<Router<Arc<Node>>> {
    of(endpoint).map(|system| (system.routes)(endpoint))
}

/// The paths of the routes beside an endpoint.
pub(crate) fn paths(endpoint: &Endpoint) -> &'static [&'static str] {
    of(endpoint).map_or(&[], |system| system.paths)
}

use std::rc::Rc;
use std::sync::Arc;

use crate::config::{Changes, Config, diff};
use crate::node::Node;
use crate::worker::Shell;

/// Reads the configuration anew and lets take hold what can without a restart.
///
/// # Errors
/// Where it is wrong: the old one stays whole. The text names file and line.
pub async fn reload(node: &Arc<Node>) -> Result<Changes, String> {
    let mut new = (node.reread)()?;
    let old = node.config();
    let changes = diff(&old, &new);
    keep_what_needs_a_restart(&old, &mut new);
    node.set_config(new);
    let for_routes = node.clone();
    let take_up = move |shell: &mut Shell| {
        shell.routes = Rc::new(crate::http::routes(&for_routes));
        shell.take_up_roles();
    };
    node.ask_all(take_up).await;
    tracing::info!(live = ?changes.live, restart_needed = ?changes.restart_needed, "reloaded");
    Ok(changes)
}

/// What is bound, opened or counted at the start stays as it was, and so does what rests on it.
fn keep_what_needs_a_restart(old: &Config, new: &mut Config) {
    new.listen.public = old.listen.public;
    new.listen.admin = old.listen.admin;
    new.server.workers = old.server.workers;
    new.broker = old.broker.clone();
    new.streams = old.streams.clone();
    new.sources = old.sources.clone();
    let place = |config: &Config| -> Vec<_> {
        let endpoints = config.endpoints.iter();
        endpoints
            .map(|endpoint| (endpoint.path.clone(), endpoint.aliases.clone(), endpoint.listen))
            .collect()
    };
    if place(old) != place(new) {
        new.endpoints = old.endpoints.clone();
    }
}

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
    let new = (node.reread)()?;
    let mut config = Config::clone(&node.config());
    let changes = diff(&config, &new);
    config.adopt_live(new);
    node.set_config(config);
    let for_routes = node.clone();
    let take_up = move |shell: &mut Shell| {
        shell.routes = Rc::new(crate::http::routes(&for_routes));
        shell.take_up_roles();
    };
    node.ask_all(take_up).await;
    tracing::info!(live = ?changes.live, restart_needed = ?changes.restart_needed, "reloaded");
    Ok(changes)
}

use std::sync::Arc;
use std::time::Duration;

use protocol::{Draft, Payload, Topic};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::intake::Intake;
use crate::config::Source;
use crate::node::Node;
use crate::services::Change;

/// How often it is looked whether clients came or went.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Tells on `<root>.system` how many clients are connected, when that changes, and which services
/// come and go.
pub(super) async fn run(node: Arc<Node>, source: Arc<Source>, mut changes: Receiver<Change>) {
    let Some(root) = &source.root else { return };
    let topic = match Topic::parse(&format!("{root}.system")) {
        Ok(topic) => topic,
        Err(error) => return tracing::error!(%error, "the root of a system source"),
    };
    let endpoints = endpoints_of(&node, root);
    let intake = Intake::new(node.clone(), source.clone());
    let mut every = tokio::time::interval(COUNT_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = 0;
    loop {
        let event = tokio::select! {
            _ = every.tick() => {
                let count = node.registry.count_at(&endpoints);
                if count == told {
                    continue;
                }
                told = count;
                counted(count)
            }
            change = changes.recv() => match change {
                Ok(change) => changed(&change),
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
        };
        let draft = Draft::new(topic.clone(), Payload::Json(event.to_string().into()));
        intake.publish(vec![draft]).await;
    }
}

/// Whose clients are counted: those of endpoints under this root, or else all.
fn endpoints_of(node: &Node, root: &Topic) -> Vec<Arc<str>> {
    let config = node.config();
    let under = config.endpoints.iter().filter(|endpoint| endpoint.root.as_ref() == Some(root));
    under.map(|endpoint| config.id_of(endpoint)).collect()
}

fn counted(count: usize) -> Value {
    let message = match count {
        1 => "1 client is connected".to_owned(),
        count => format!("{count} clients are connected"),
    };
    json!({
        "event": "connection_count",
        "count": count,
        "message": message,
        "timestamp": crate::clock::wall_ms(),
    })
}

fn changed(change: &Change) -> Value {
    json!({
        "event": if change.is_running { "service_started" } else { "service_stopped" },
        "service": &*change.service,
        "message": change.message,
        "timestamp": crate::clock::wall_ms(),
    })
}

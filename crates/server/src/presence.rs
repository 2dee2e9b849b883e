use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use engine::Presence;
use protocol::{Draft, Error, Pattern, Payload, Topic};
use serde_json::json;

use crate::node::Node;

/// The topics of joins and leaves begin with this; a topic's own follows.
const PREFIX: &str = "$presence.";
/// How often watched topics are looked at: what happens in between becomes one event.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Most topics whose joins and leaves are told.
const WATCHED_MAX: usize = 1_000;
/// Most users that an answer or event names, so that it stays of a size that clients take.
pub(crate) const USERS_MAX: usize = 10_000;

/// Who subscribes to some topic that `topics` selects, on this node.
pub(crate) async fn of(node: &Node, topics: &Pattern) -> Presence {
    let topics = topics.clone();
    let mut all = Presence::default();
    for presence in node.ask_all(move |shell| shell.engine.presence(&topics)).await {
        all.add(presence);
    }
    while all.users.len() > USERS_MAX {
        all.users.pop_last();
    }
    all
}

/// Tells joins and leaves of those topics whose `$presence.` topic somebody subscribes to, for
/// ever. Nothing is kept of others, and nothing is done when somebody subscribes or leaves.
pub(crate) async fn watch(node: &Arc<Node>) {
    let Ok(asked) = Pattern::parse(&format!("{PREFIX}>")) else { return };
    let mut known: BTreeMap<Topic, Presence> = BTreeMap::new();
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let for_workers = asked.clone();
        let found = node.ask_all(move |shell| shell.engine.topics_within(&for_workers)).await;
        let watched: BTreeSet<Topic> = found.into_iter().flatten().take(WATCHED_MAX).collect();
        known.retain(|topic, _| watched.contains(topic));
        for topic in watched {
            let Some(of_topic) = topic.as_str().strip_prefix(PREFIX) else { continue };
            let Ok(pattern) = Pattern::parse(of_topic) else { continue };
            let now = of(node, &pattern).await;
            let before = known.entry(topic.clone()).or_default();
            if *before != now {
                tell(node, topic, before, &now);
                *before = now;
            }
        }
    }
}

fn tell(node: &Node, topic: Topic, before: &Presence, now: &Presence) {
    let only = |these: &Presence, those: &Presence| -> Vec<String> {
        these.users.difference(&those.users).map(|user| user.to_string()).collect()
    };
    let data = json!({
        "joined": only(now, before),
        "left": only(before, now),
        "clients": now.clients,
    });
    let Some(stream) = node.table.stream_of(&topic) else { return };
    let draft = Draft::new(topic, Payload::Json(data.to_string().into()));
    let answer = |results: Vec<Result<_, Error>>| {
        for error in results.into_iter().filter_map(Result::err) {
            tracing::debug!(message = %error.message, "the broker refused a presence");
        }
    };
    node.append(stream, vec![draft], Box::new(answer));
}

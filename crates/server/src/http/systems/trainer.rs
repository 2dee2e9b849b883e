use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderMap, Uri};
use protocol::dialects::spelling::time::iso;
use protocol::{ClientId, Error, Event, Pattern, Payload, Topic};
use serde_json::{Map, Value, json};

use super::input::Sender;
use super::pace::Pace;
use super::tenths;
use crate::config::{Config, Endpoint};
use crate::http::error::ApiError;
use crate::http::query::pairs;
use crate::newest::newest;
use crate::node::Node;
use crate::worker::Shell;

/// Every path.
pub(super) const PATHS: &[&str] = &["/api/ws/status"];

/// What the routes know of the endpoint beside which they are.
struct Beside {
    id: Arc<str>,
    root: Option<Topic>,
    pace: Pace,
}

/// The routes beside an endpoint.
pub(super) fn routes(config: &Config, endpoint: &Endpoint) -> Router<Arc<Node>> {
    let (id, root) = (config.id_of(endpoint), endpoint.root.clone());
    let beside = Arc::new(Beside { id, root, pace: Pace::new() });
    let status = move |State(node): State<Arc<Node>>, headers: HeaderMap, uri: Uri| async move {
        // It tells what was published: who may not connect may not read it here.
        if let Err(refused) = Sender::identify(&node, &beside.id, &headers, &uri).await {
            return refused;
        }
        status(&node, &beside, uri.query()).await.into_response()
    };
    Router::new().route("/api/ws/status", get(status))
}

/// `GET /api/ws/status?room=`: who is connected, what they subscribe to, and how the training goes
/// that told of itself last.
async fn status(node: &Node, beside: &Beside, query: Option<&str>) -> Result<Response, ApiError> {
    let room = pairs(query).into_iter().find(|(name, _)| name == "room").map(|(_, room)| room);
    let audience = Audience::gather(node, beside.id.clone()).await;
    let answer = json!({
        "active_connections": audience.sent.len(),
        "training_state": training_state(node, beside, room.as_deref()).await?,
        "subscriptions": audience.subscriptions,
        "messages_per_second": tenths(beside.pace.look(Instant::now(), audience.sent)),
        "timestamp": iso(crate::clock::wall_ms()).to_string(),
    });
    Ok(super::json(&answer))
}

/// The clients of an endpoint at one moment.
#[derive(Default)]
struct Audience {
    /// How many subscribe to each event.
    subscriptions: BTreeMap<String, u64>,
    /// How many events each was sent.
    sent: HashMap<ClientId, u64>,
}

impl Audience {
    async fn gather(node: &Node, id: Arc<str>) -> Self {
        let mut sum = Self::default();
        for Self { subscriptions, sent } in node.ask_all(move |shell| Self::of(shell, &id)).await {
            sum.sent.extend(sent);
            for (event, count) in subscriptions {
                *sum.subscriptions.entry(event).or_default() += count;
            }
        }
        sum
    }

    /// Those of one worker.
    fn of(shell: &Shell, id: &str) -> Self {
        let mut found = Self::default();
        for (key, client) in shell.clients_at(id) {
            let Some(view) = shell.engine.view(key) else { continue };
            found.sent.insert(client.id, view.counts.events_out);
            let events = view.topics.iter().filter_map(|topic| topic.tokens().last());
            for event in events.collect::<HashSet<_>>() {
                *found.subscriptions.entry(event.to_owned()).or_default() += 1;
            }
        }
        found
    }
}

/// How the training goes, as its newest events say: of a room, or of the one that said something
/// last. What nobody said is `null`.
async fn training_state(node: &Node, beside: &Beside, room: Option<&str>) -> Result<Value, Error> {
    let status = newest(node, &topics(beside, room, "training_status")?).await?;
    let progress = newest(node, &topics(beside, room, "training_progress")?).await?;
    let (status, progress) = (object(status.as_ref()), object(progress.as_ref()));
    let one_of = |names: &[&str]| {
        names.iter().find_map(|name| progress.get(*name)).cloned().unwrap_or_default()
    };
    Ok(json!({
        "status": status.get("status").cloned().unwrap_or_default(),
        "current_step": one_of(&["step", "global_step"]),
        "current_epoch": one_of(&["epoch"]),
        "last_loss": one_of(&["loss"]),
        "last_lr": one_of(&["learning_rate"]),
    }))
}

/// The topics of an event: for all rooms, and in one or in any.
fn topics(beside: &Beside, room: Option<&str>, event: &str) -> Result<Vec<Pattern>, Error> {
    if room.is_some_and(|room| room.contains(['.', '*', '>'])) {
        return Err(Error::bad_request("a room is a name without dots or wildcards"));
    }
    let root = beside.root.as_ref().map(|root| format!("{root}.")).unwrap_or_default();
    let room = room.unwrap_or("*");
    [format!("{root}{event}"), format!("{root}{room}.{event}")]
        .iter()
        .map(|text| Pattern::parse(text))
        .collect()
}

fn object(event: Option<&Event>) -> Map<String, Value> {
    let Some(Payload::Json(text)) = event.map(|event| &event.draft.payload) else {
        return Map::new();
    };
    serde_json::from_slice(text).unwrap_or_default()
}

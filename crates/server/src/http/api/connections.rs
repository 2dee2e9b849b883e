use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use engine::{ClientKey, SessionView};
use protocol::{ClientId, CloseReason, Error, ErrorCode};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::Result;
use crate::config::{ByteSize, Rate};
use crate::http::query::{self, pairs};
use crate::node::Node;
use crate::registry::Connected;
use crate::transports::websocket::Changed;
use crate::worker::{Peer, Shell};

/// Clients that are answered where no limit is given, and at most.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// What only the client's worker knows.
struct Live {
    view: SessionView,
    bytes_in: u64,
    latency_ms: Option<u64>,
    is_slow: bool,
}

/// `GET /v1/connections?user=&limit=&after=`.
pub(super) async fn list(
    State(node): State<Arc<Node>>,
    RawQuery(asked): RawQuery,
) -> Result<Response> {
    let (mut user, mut after, mut limit) = (None, None, LIMIT_DEFAULT);
    for (name, value) in pairs(asked.as_deref()) {
        match name.as_str() {
            "user" => user = Some(value),
            "after" => after = Some(ClientId::parse(&value)?),
            "limit" => limit = (query::limit(&value)? as usize).min(LIMIT_MAX),
            _ => {}
        }
    }
    let total = node.registry.len();
    let mut found = node.registry.list(user.as_deref(), after, limit + 1);
    let more = found.len() > limit;
    found.truncate(limit);
    let live = ask_workers(&node, &found).await;
    let described: Vec<Value> = found
        .iter()
        .zip(live)
        .filter_map(|((id, client), live)| Some(describe(*id, client, &live?)))
        .collect();
    let answer = json!({ "connections": described, "total": total, "more": more });
    Ok(super::json(answer.to_string().into_bytes()))
}

/// Asks each worker once for all of its clients among those found.
async fn ask_workers(node: &Node, found: &[(ClientId, Connected)]) -> Vec<Option<Live>> {
    let mut live: Vec<Option<Live>> = found.iter().map(|_| None).collect();
    let mut asked = Vec::new();
    for worker in 0..node.inboxes().len() {
        let of_worker = found.iter().enumerate().filter(|(_, (_, c))| c.worker == worker);
        let (places, keys): (Vec<usize>, Vec<ClientKey>) =
            of_worker.map(|(place, (_, client))| (place, client.key)).unzip();
        if !keys.is_empty() {
            let look = move |shell: &mut Shell| -> Vec<Option<Live>> {
                keys.iter().map(|key| look_at(shell, *key)).collect()
            };
            asked.push((places, node.ask(worker, look)));
        }
    }
    for (places, answer) in asked {
        for (place, found) in places.into_iter().zip(answer.answer().await.unwrap_or_default()) {
            if let Some(slot) = live.get_mut(place) {
                *slot = found;
            }
        }
    }
    live
}

fn look_at(shell: &Shell, key: ClientKey) -> Option<Live> {
    let view = shell.engine.view(key)?;
    let (bytes_in, latency_ms, is_slow) = match &shell.client(key)?.peer {
        Peer::WebSocket(peer) => (peer.bytes_in(), peer.latency().last_ms(), peer.is_slow()),
        Peer::Body(_) => (0, None, view.outbox_bytes > 0),
    };
    Some(Live { view, bytes_in, latency_ms, is_slow })
}

fn describe(id: ClientId, client: &Connected, live: &Live) -> Value {
    let topics: Vec<&str> = live.view.topics.iter().map(protocol::Pattern::as_str).collect();
    let positions: Vec<Value> = live
        .view
        .positions
        .iter()
        .map(|position| {
            json!({
                "stream": position.stream.as_str(),
                "epoch": position.epoch.as_str(),
                "seq": position.seq,
            })
        })
        .collect();
    json!({
        "id": id.to_string(),
        "user": client.known().user.as_deref(),
        "device": client.known().device.as_deref(),
        "groups": live.view.groups.iter().map(|group| &**group).collect::<Vec<_>>(),
        "address": client.address.map(|address| address.to_string()),
        "endpoint": &*client.way.endpoint,
        "dialect": client.way.dialect,
        "transport": client.way.transport.as_str(),
        "connected_at": client.connected_at_ms,
        "subscriptions": topics,
        "positions": positions,
        "messages_in": live.view.counts.commands_in,
        "messages_out": live.view.counts.events_out,
        "bytes_in": live.bytes_in,
        "bytes_out": live.view.counts.bytes_out,
        "latency_ms": live.latency_ms,
        "health": if live.is_slow { "slow" } else { "good" },
        "lag": live.view.lag_events,
    })
}

/// `GET /v1/connections/{id}`.
pub(super) async fn show(
    State(node): State<Arc<Node>>,
    Path(id): Path<String>,
) -> Result<Response> {
    let (id, client) = node.client(&id)?;
    let key = client.key;
    let live = node.ask(client.worker, move |shell| look_at(shell, key)).answer().await.flatten();
    let gone = || Error::new(ErrorCode::NotFound, "the client has just left");
    let described = describe(id, &client, &live.ok_or_else(gone)?);
    Ok(super::json(described.to_string().into_bytes()))
}

/// The body of `PATCH /v1/connections/{id}`; what is not named stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    limits: Bounds,
}

/// Bounds that a live client can be given.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    subscriptions: Option<u32>,
    message_bytes: Option<ByteSize>,
    /// `null` takes the bound away.
    #[serde(default, deserialize_with = "named")]
    messages: Option<Option<Rate>>,
}

/// Reads what may be `null` and is there.
fn named<'de, D: Deserializer<'de>>(
    from: D,
) -> std::result::Result<Option<Option<Rate>>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

/// `PATCH /v1/connections/{id}`: a client's limits from now on; what it has stays.
pub(super) async fn change(
    State(node): State<Arc<Node>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response> {
    let (_, client) = node.client(&id)?;
    let wrong = |error| Error::bad_request(format!("the body: {error}"));
    let Patch { limits } = serde_json::from_slice(&body).map_err(wrong)?;
    let (key, message_bytes_max) = (client.key, limits.message_bytes.map(ByteSize::as_len));
    if message_bytes_max.is_some_and(|bytes| !(1 << 10..=64 << 20).contains(&bytes)) {
        return Err(Error::bad_request("message_bytes must be between 1KiB and 64MiB").into());
    }
    let change = move |shell: &mut Shell| {
        let peer = shell.client(key).map(|client| client.peer.clone())?;
        if let Some(most) = limits.subscriptions {
            shell.engine.set_subscriptions_max(key, most);
        }
        if let Peer::WebSocket(peer) = peer {
            peer.change(Changed { message_bytes_max, messages: limits.messages });
        }
        Some(())
    };
    let gone = || Error::new(ErrorCode::NotFound, "the client has just left");
    node.ask(client.worker, change).answer().await.flatten().ok_or_else(gone)?;
    Ok(super::json(json!({ "changed": id }).to_string().into_bytes()))
}

/// `DELETE /v1/connections/{id}`: the client is told that it is over, and closed.
pub(super) async fn close(
    State(node): State<Arc<Node>>,
    Path(id): Path<String>,
) -> Result<Response> {
    let (_, client) = node.client(&id)?;
    node.close_client(&client, CloseReason::Forbidden, None);
    Ok(super::json(json!({ "closed": id }).to_string().into_bytes()))
}

/// `PUT /v1/connections/{id}/groups/{group}`.
pub(super) async fn join(
    State(node): State<Arc<Node>>,
    Path((id, group)): Path<(String, String)>,
) -> Result<Response> {
    set_group(&node, &id, group, true).await
}

/// `DELETE /v1/connections/{id}/groups/{group}`.
pub(super) async fn leave(
    State(node): State<Arc<Node>>,
    Path((id, group)): Path<(String, String)>,
) -> Result<Response> {
    set_group(&node, &id, group, false).await
}

async fn set_group(node: &Node, id: &str, group: String, is_member: bool) -> Result<Response> {
    let (client_id, client) = node.client(id)?;
    let (key, group) = (client.key, Arc::<str>::from(group));
    let named = group.clone();
    let set = move |shell: &mut Shell| shell.engine.set_group(key, &named, is_member);
    if node.ask(client.worker, set).answer().await != Some(true) {
        return Err(Error::new(ErrorCode::NotFound, "the client has just left").into());
    }
    node.memberships.set(client_id, client.known().user.as_ref(), &group, is_member);
    let answer = json!({ "client": id, "group": &*group, "member": is_member });
    Ok(super::json(answer.to_string().into_bytes()))
}

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use protocol::dialects::spelling::time::iso;
use protocol::{ClientId, CloseReason, Error, ErrorCode, Frame};
use serde_json::{Map, Value, json};

use super::health::level;
use super::system::{Manager, Seen, System};
use super::{Result, answer, object};
use crate::http::query::{limit, pairs};
use crate::node::Node;
use crate::registry::Connected;
use crate::worker::Shell;

/// Clients that are answered where no limit is given.
const LIMIT_DEFAULT: usize = 1_000;

/// `GET connections?limit=`.
pub(super) async fn list(
    _: Manager,
    State(node): State<Arc<Node>>,
    Extension(system): Extension<Arc<System>>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let mut most = LIMIT_DEFAULT;
    for (_, value) in pairs(query.as_deref()).iter().filter(|(name, _)| name == "limit") {
        most = limit(value)? as usize;
    }
    let clients = system.clients(&node).await;
    let described: Vec<Value> =
        clients.iter().take(most).map(|seen| described(&node, &system, seen).into()).collect();
    Ok(answer(object! { "connections": described, "total": clients.len() }))
}

/// `GET connections/{id}`.
pub(super) async fn show(
    _: Manager,
    State(node): State<Arc<Node>>,
    Extension(system): Extension<Arc<System>>,
    Path(id): Path<String>,
) -> Result<Response> {
    let (id, _) = client(&node, &system, &id)?;
    let seen = system.clients(&node).await.into_iter().find(|seen| seen.id == id);
    Ok(answer(described(&node, &system, &seen.ok_or_else(gone)?)))
}

fn described(node: &Node, system: &System, seen: &Seen) -> Map<String, Value> {
    let Seen { id, path, link, sums, view } = seen;
    let connected = node.registry.get(*id);
    let connected = connected.as_ref();
    let user = connected.and_then(|client| client.known().user.as_deref());
    let address = connected.and_then(|client| client.address).map(|address| address.to_string());
    object! {
        "client_id": id.to_string(),
        "user_id": user,
        "device": connected.and_then(|client| client.known().device.as_deref()),
        "address": address,
        "endpoint": &**path,
        "connected_at": iso(link.connected_at_ms).to_string(),
        "uptime": sums.connected_ms as f64 / 1e3,
        "subscriptions": system.names_of(&view.topics),
        "message_count": sums.events_out + sums.messages_in,
        "bytes_sent": sums.bytes_out,
        "bytes_received": sums.bytes_in,
        "quality_score": link.quality,
        "health": link.latency_ms.map(|ms| level(ms as f64)),
        "last_ping_latency": link.latency_ms,
        "is_alive": link.is_alive,
        "lag": view.lag_events,
    }
}

/// `POST connections/{id}/subscribe` with `{"streams","filters"?}` or `?streams=`.
pub(super) async fn subscribe(
    _: Manager,
    State(node): State<Arc<Node>>,
    Extension(system): Extension<Arc<System>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response> {
    let streams = Streams::read(query.as_deref(), &body)?;
    change(&node, &system, ("subscribe", &id), streams).await
}

/// `POST connections/{id}/unsubscribe` with `{"streams"}` or `?streams=`.
pub(super) async fn unsubscribe(
    _: Manager,
    State(node): State<Arc<Node>>,
    Extension(system): Extension<Arc<System>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response> {
    let streams = Streams::read(query.as_deref(), &body)?;
    change(&node, &system, ("unsubscribe", &id), streams).await
}

/// What a request names.
struct Streams {
    known: Vec<String>,
    filters: Value,
}

impl Streams {
    fn read(query: Option<&str>, body: &[u8]) -> Result<Self> {
        let mut asked = Self { known: Vec::new(), filters: Value::Null };
        for (_, names) in pairs(query).iter().filter(|(name, _)| name == "streams") {
            asked.known.extend(names.split(',').map(str::to_owned));
        }
        if !body.trim_ascii().is_empty() {
            let what = "the body must be an object with a list of names as `streams`";
            let wrong = || Error::bad_request(what);
            let mut body: Map<String, Value> = serde_json::from_slice(body).map_err(|_| wrong())?;
            let names = body.get("streams").and_then(Value::as_array).ok_or_else(wrong)?;
            for name in names {
                asked.known.push(name.as_str().ok_or_else(wrong)?.to_owned());
            }
            asked.filters = body.remove("filters").unwrap_or_default();
        }
        if asked.known.is_empty() {
            return Err(Error::bad_request("streams must name at least one stream").into());
        }
        Ok(asked)
    }
}

/// Changes what a client subscribes to as if it had asked itself: it is told so.
async fn change(
    node: &Node,
    system: &System,
    (kind, id): (&str, &str),
    asked: Streams,
) -> Result<Response> {
    let (id, connected) = client(node, system, id)?;
    let is_known = |name: &String| system.dialect.streams().any(|(known, _)| known == name);
    let (streams, rejected): (Vec<String>, Vec<String>) =
        asked.known.into_iter().partition(is_known);
    if streams.is_empty() {
        let message = format!("no such stream: {}", rejected.join(", "));
        return Err(Error::bad_request(message).into());
    }
    let data = json!({ "streams": streams, "filters": asked.filters });
    let message = json!({ "type": kind, "data": data }).to_string();
    let key = connected.key;
    let carried_out = node.ask(connected.worker, move |shell: &mut Shell| {
        let now = shell.now();
        shell.engine.handle_frame(now, key, Frame::Text(&message), None);
        shell.flush();
        shell.engine.view(key)
    });
    let view = carried_out.answer().await.flatten().ok_or_else(gone)?;
    let all = system.names_of(&view.topics);
    let is_done = |name: &&String| all.contains(&name.as_str()) == (kind == "subscribe");
    let done: Vec<&String> = streams.iter().filter(is_done).collect();
    if done.is_empty() {
        let message = "the client may not, or its filters are wrong: it was told why";
        return Err(Error::new(ErrorCode::Forbidden, message).into());
    }
    Ok(answer(object! {
        "message": format!("the client was asked to {kind}"),
        "client_id": id.to_string(),
        "streams": done,
        "all_subscriptions": all,
        "rejected": rejected,
    }))
}

/// `POST connections/{id}/disconnect`.
pub(super) async fn disconnect(
    _: Manager,
    State(node): State<Arc<Node>>,
    Extension(system): Extension<Arc<System>>,
    Path(id): Path<String>,
) -> Result<Response> {
    let (id, connected) = client(&node, &system, &id)?;
    node.close_client(&connected, CloseReason::Forbidden, None);
    let message = "the client is being disconnected";
    Ok(answer(object! { "message": message, "client_id": id.to_string() }))
}

/// A client of the system that speaks its dialect.
fn client(node: &Node, system: &System, id: &str) -> Result<(ClientId, Connected)> {
    let (id, connected) = node.client(id)?;
    if system.has(&connected) { Ok((id, connected)) } else { Err(gone().into()) }
}

fn gone() -> Error {
    Error::new(ErrorCode::NotFound, "no client of that id is connected here")
}

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use protocol::json::push_str;
use protocol::{Draft, Error, ErrorCode, Payload};

use super::system::{Manager, System};
use super::{Result, answer, object};
use crate::http::query::pairs;
use crate::node::Node;
use crate::publishing::append_one;

/// How serious an alert may be.
const LEVELS: [&str; 5] = ["debug", "info", "warning", "error", "critical"];

/// `POST system/start`: publishing and delivery go on.
pub(super) async fn start(_: Manager, State(node): State<Arc<Node>>) -> Response {
    node.set_stopped(false);
    tracing::info!("publishing and delivery go on");
    answer(object! { "message": "publishing and delivery go on" })
}

/// `POST system/stop`: nothing is published or delivered until it starts again; clients stay.
pub(super) async fn stop(_: Manager, State(node): State<Arc<Node>>) -> Response {
    node.set_stopped(true);
    tracing::info!("publishing and delivery are stopped");
    answer(object! { "message": "publishing and delivery are stopped; clients stay" })
}

/// `POST broadcast/alert?level=&message=&code=`.
pub(super) async fn alert(
    _: Manager,
    State(node): State<Arc<Node>>,
    Extension(system): Extension<Arc<System>>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let asked = pairs(query.as_deref());
    let value = |name: &str| asked.iter().find(|(known, _)| known == name).map(|(_, v)| &**v);
    let message = value("message").filter(|message| !message.is_empty());
    let message = message.ok_or_else(|| Error::bad_request("message must be given"))?;
    let level = value("level").unwrap_or("info");
    if !LEVELS.contains(&level) {
        let why = format!("level must be one of {}", LEVELS.join(", "));
        return Err(Error::bad_request(why).into());
    }
    let mut data = b"{\"level\":".to_vec();
    push_str(&mut data, level);
    data.extend_from_slice(b",\"message\":");
    push_str(&mut data, message);
    data.extend_from_slice(b",\"code\":");
    push_str(&mut data, value("code").unwrap_or("ALERT"));
    data.extend_from_slice(b",\"details\":{}}");
    let topic = system.dialect.streams().find(|(name, _)| *name == "alert");
    let (_, topic) = topic.ok_or_else(|| Error::new(ErrorCode::NotFound, "there are no alerts"))?;
    let draft = Draft::new(topic.clone(), Payload::Json(data.into()));
    let appended = append_one(&node, draft).await?;
    let message = "the alert is on its way to everyone who subscribed to alert";
    Ok(answer(object! { "message": message, "level": level, "sequence": appended.seq }))
}

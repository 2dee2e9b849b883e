use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use protocol::{Error, Pattern};
use serde_json::json;

use super::Result;
use crate::http::query::pairs;
use crate::node::Node;

/// `GET /v1/presence?topic=`.
pub(super) async fn presence(
    State(node): State<Arc<Node>>,
    RawQuery(asked): RawQuery,
) -> Result<Response> {
    let topic = pairs(asked.as_deref()).into_iter().find(|(name, _)| name == "topic");
    let (_, topic) = topic.ok_or_else(|| Error::bad_request("topic is missing"))?;
    let presence = crate::presence::of(&node, &Pattern::parse(&topic)?).await;
    let users: Vec<&str> = presence.users.iter().map(|user| &**user).collect();
    let answer = json!({ "users": users, "clients": presence.clients });
    Ok(super::json(answer.to_string().into_bytes()))
}

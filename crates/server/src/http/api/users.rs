use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use protocol::dialects::native::is_device as is_name;
use protocol::{CloseReason, Error};
use serde_json::json;

use super::Result;
use crate::node::Node;

/// `DELETE /v1/users/{user}/connections`.
pub(super) async fn close(
    State(node): State<Arc<Node>>,
    Path(user): Path<String>,
) -> Result<Response> {
    let found = node.registry.of_user(&user);
    for (_, client) in &found {
        node.close_client(client, CloseReason::Forbidden, None);
    }
    Ok(super::json(json!({ "closed": found.len() }).to_string().into_bytes()))
}

/// `PUT /v1/users/{user}/groups/{group}`.
pub(super) async fn join(
    State(node): State<Arc<Node>>,
    Path((user, group)): Path<(String, String)>,
) -> Result<Response> {
    set_group(&node, user, group, true).await
}

/// `DELETE /v1/users/{user}/groups/{group}`.
pub(super) async fn leave(
    State(node): State<Arc<Node>>,
    Path((user, group)): Path<(String, String)>,
) -> Result<Response> {
    set_group(&node, user, group, false).await
}

async fn set_group(node: &Node, user: String, group: String, is_member: bool) -> Result<Response> {
    if !is_name(&user) || !is_name(&group) {
        let message = "user and group must be 1 to 255 bytes without control characters";
        return Err(Error::bad_request(message).into());
    }
    let (user, group) = (Arc::<str>::from(user), Arc::<str>::from(group));
    // First, so that a client that comes meanwhile finds it.
    node.memberships.set_user(&user, &group, is_member);
    let mut clients = 0;
    for (_, client) in node.registry.of_user(&user) {
        let (key, named) = (client.key, group.clone());
        let set =
            node.ask(client.worker, move |shell| shell.engine.set_group(key, &named, is_member));
        clients += usize::from(set.answer().await == Some(true));
    }
    let answer = json!({
        "user": &*user, "group": &*group, "member": is_member, "clients": clients,
    });
    Ok(super::json(answer.to_string().into_bytes()))
}

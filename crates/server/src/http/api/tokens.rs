use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use protocol::{CloseReason, Error};
use serde::Deserialize;
use serde_json::json;

use super::Result;
use crate::auth::Whose;
use crate::auth::mint::{TTL_MS_DEFAULT, TTL_MS_MAX, TokenRequest, mint};
use crate::config::Timespan;
use crate::node::Node;

/// The body of `POST /v1/tokens`.
#[derive(Deserialize)]
struct Wanted {
    user: String,
    device: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
    ttl: Option<Timespan>,
}

/// The body of `POST /v1/revocations`.
#[derive(Deserialize)]
struct Revocation {
    user: Option<String>,
    token_id: Option<String>,
    before: Option<u64>,
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> std::result::Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::bad_request(format!("the body: {error}")))
}

/// `POST /v1/tokens`: a program that knows its users gives one of them a token.
pub(super) async fn make(State(node): State<Arc<Node>>, body: Bytes) -> Result<Response> {
    let Wanted { user, device, roles, groups, ttl } = read(&body)?;
    let ttl_ms = ttl.map_or(TTL_MS_DEFAULT, Timespan::as_ms);
    if !(1..=TTL_MS_MAX).contains(&ttl_ms) {
        return Err(Error::bad_request("ttl must be from 1ms to 366 days").into());
    }
    let request = TokenRequest { user, device, roles, groups, ttl_ms };
    let minted = mint(&node.config().auth, &request, crate::clock::wall_ms())?;
    let answer = json!({ "token": minted.token, "expires_at": minted.expires_at_ms });
    Ok(super::json(answer.to_string().into_bytes()))
}

/// `POST /v1/revocations`: tokens are not believed any more, and their sessions end.
pub(super) async fn revoke(State(node): State<Arc<Node>>, body: Bytes) -> Result<Response> {
    let Revocation { user, token_id, before } = read(&body)?;
    let whose = match (user, token_id) {
        (Some(user), None) => Whose::User(user.into()),
        (None, Some(id)) => Whose::Token(id.into()),
        _ => return Err(Error::bad_request("name either a user or a token_id").into()),
    };
    let before_ms = before.unwrap_or_else(crate::clock::wall_ms);
    node.revoked.revoke(whose.clone(), before_ms);
    if let Some(backend) = &node.authority().backend {
        backend.forget();
    }
    let found = node.registry.filter(|client| {
        let known = client.known();
        let is_its = match &whose {
            Whose::User(user) => known.user.as_ref() == Some(user),
            Whose::Token(id) => known.token_id.as_ref() == Some(id),
        };
        is_its && known.issued_at_ms.is_none_or(|issued_at_ms| issued_at_ms <= before_ms)
    });
    for (_, client) in &found {
        node.close_client(client, CloseReason::Forbidden, None);
    }
    tracing::info!(closed = found.len(), "tokens were revoked");
    Ok(super::json(json!({ "closed": found.len() }).to_string().into_bytes()))
}

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use protocol::dialects::native::{NAME_BYTES_MAX, TIMEOUT_MS_MAX};
use protocol::{Call, Error, ErrorCode, Topic, json::check_depth};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::{Result, json};
use crate::commands::{self, Caller};
use crate::node::Node;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    command: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    user: Option<String>,
    timeout_ms: Option<u64>,
}

/// `POST /v1/call`: sends a command and waits for its answer.
pub(super) async fn call(State(node): State<Arc<Node>>, body: Bytes) -> Result<Response> {
    let (call, caller) = read(&body)?;
    if node.is_draining() {
        let message = "the server takes no commands at the moment";
        return Err(Error::new(ErrorCode::Draining, message).retry_after(1_000).into());
    }
    let (answer, answered) = oneshot::channel();
    // Who asked may be gone by then.
    commands::call(&node, call, caller, Box::new(|result| drop(answer.send(result))));
    let gone = || Error::new(ErrorCode::Internal, "the command was not answered");
    let data = answered.await.map_err(|_| gone())??;
    Ok(json([b"{\"data\":", &data[..], b"}"].concat()))
}

fn read(body: &[u8]) -> std::result::Result<(Call, Caller), Error> {
    check_depth(body)?;
    let body: Body<'_> = serde_json::from_slice(body)
        .map_err(|error| Error::bad_request(format!("the call is not as it should be: {error}")))?;
    if body.user.as_ref().is_some_and(|user| !(1..=NAME_BYTES_MAX).contains(&user.len())) {
        let message = format!("user must be 1 to {NAME_BYTES_MAX} bytes long");
        return Err(Error::bad_request(message));
    }
    if body.timeout_ms.is_some_and(|ms| !(1..=TIMEOUT_MS_MAX).contains(&ms)) {
        let message = format!("timeout_ms must be an integer from 1 to {TIMEOUT_MS_MAX}");
        return Err(Error::bad_request(message));
    }
    // `null` is the same as nothing, for backends too.
    let data = body.data.map_or("null", RawValue::get);
    let call = Call {
        command: Topic::parse(&body.command)?,
        data: axum::body::Bytes::copy_from_slice(data.as_bytes()),
        timeout_ms: body.timeout_ms,
    };
    Ok((call, Caller { client: None, user: body.user.map(Into::into) }))
}

use std::collections::HashMap;
use std::sync::Arc;

use async_nats::{HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;
use protocol::{Error, ErrorCode};
use serde_json::value::RawValue;

use super::carry::{Asked, checked, too_large};
use super::failure::{Failure, Kind};
use super::http::error_in;
use crate::node::Node;

/// Asks what listens on a subject. What it replies is the result, unless it is an object with an
/// `error` alone.
pub(super) async fn request(
    node: &Arc<Node>,
    subject: &str,
    asked: &Asked,
    bytes_max: usize,
) -> Result<Bytes, Failure> {
    // What is sent without a connection would wait for one, and be carried out when nobody does.
    let unreachable = |message| Failure::new(Kind::Undelivered, ErrorCode::NoHandler, message);
    let Some(nats) = &node.nats else {
        let message = "no NATS server is configured (setting `nats.url`); nothing was done";
        return Err(unreachable(message));
    };
    if !nats.is_connected() {
        return Err(unreachable("the NATS server cannot be reached; nothing was done"));
    }
    let request = Request::new().payload(asked.to_json()).timeout(None);
    let reply = nats.client().send_request(subject.to_owned(), request).await;
    let reply = reply.map_err(|error| unanswered(error.kind(), subject))?;
    if let Some(error) = reply.headers.as_ref().and_then(error_of_service) {
        return Err(Failure::answered(error));
    }
    if reply.payload.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    if reply.payload.is_empty() {
        return Ok(Bytes::from_static(b"null"));
    }
    match error_alone(&reply.payload) {
        Some(error) => Err(Failure::answered(error)),
        None => checked(reply.payload),
    }
}

fn unanswered(kind: RequestErrorKind, subject: &str) -> Failure {
    match kind {
        RequestErrorKind::NoResponders => {
            let message =
                format!("nothing listens on the NATS subject `{subject}`; nothing was done");
            Failure::new(Kind::Undelivered, ErrorCode::NoHandler, message)
        }
        RequestErrorKind::MaxPayloadExceeded => {
            let message = "the command is larger than the NATS server takes; nothing was done";
            Failure::answered(Error::new(ErrorCode::TooLarge, message))
        }
        RequestErrorKind::InvalidSubject => {
            let message = format!("`{subject}` is no NATS subject; nothing was done");
            Failure::answered(Error::new(ErrorCode::CommandFailed, message))
        }
        RequestErrorKind::TimedOut | RequestErrorKind::Other => Failure::timed_out(),
    }
}

/// The error of `{"error":{…}}`, where that is the whole reply: a result may have other members
/// beside one of that name.
fn error_alone(reply: &[u8]) -> Option<Error> {
    protocol::json::check_depth(reply).ok()?;
    let members: HashMap<&str, &RawValue> = serde_json::from_slice(reply).ok()?;
    (members.len() == 1).then(|| error_in(reply)).flatten()
}

/// The error of a service as NATS's own framework for services spells it, in headers.
fn error_of_service(headers: &HeaderMap) -> Option<Error> {
    let code = headers.get("Nats-Service-Error-Code")?.as_str();
    let message = headers.get("Nats-Service-Error").map(|text| text.as_str()).unwrap_or_default();
    Some(Error::told(code, message, None, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_where_nothing_else_is_replied() {
        let error = error_alone(br#"{"error":{"code":"not_found","message":"no blob"}}"#).unwrap();
        assert_eq!((error.code, &*error.message), (ErrorCode::NotFound, "no blob"));
        for result in [
            &br#"{"error":null}"#[..],
            br#"{"error":{"code":"a"},"at":1}"#,
            br#"{"error":"text"}"#,
            b"[1]",
            b"\xff",
        ] {
            assert_eq!(error_alone(result), None);
        }
    }
}

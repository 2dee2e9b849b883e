use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, header};
use protocol::dialects::native::{push_appended, push_error_object};
use protocol::{
    Appended, Audience, ClientId, Draft, Error, ErrorCode, Payload, Topic, json::check_depth,
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Result, json};
use crate::node::Node;
use crate::publishing::{append, append_one, check_id, is_json, unanswered};

/// One event of `POST /v1/publish`.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    topic: std::borrow::Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    user: Option<String>,
    group: Option<String>,
    client: Option<String>,
    id: Option<String>,
    #[serde(borrow)]
    headers: Option<&'a RawValue>,
}

/// Reads data that are there: an `Option` by itself takes `null` for nothing.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    from: D,
) -> std::result::Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

/// `POST /v1/publish`: one event, or an array of them.
pub(super) async fn publish(State(node): State<Arc<Node>>, body: Bytes) -> Result<Response> {
    let text =
        std::str::from_utf8(&body).map_err(|_| Error::bad_request("the body is not UTF-8"))?;
    if text.trim_start().starts_with('[') {
        return publish_array(&node, text).await;
    }
    let draft = draft_of(text)?;
    let appended = append(&node, vec![draft]).await;
    let mut out = Vec::new();
    for result in appended {
        push_appended(&result?, &mut out);
    }
    Ok(json(out))
}

async fn publish_array(node: &Node, text: &str) -> Result<Response> {
    // How deep each event nests is judged by itself: one that is too deep fails alone.
    let items: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| Error::bad_request(format!("the body is not JSON: {error}")))?;
    let most = node.config().limits.publish_events as usize;
    if items.len() > most {
        let message = format!("an array may have {most} events");
        return Err(Error::new(ErrorCode::TooLarge, message).into());
    }
    let drafts: Vec<_> = items.iter().map(|item| draft_of(item.get())).collect();
    let (mut good, mut places) = (Vec::new(), Vec::new());
    let mut results: Vec<Option<std::result::Result<Appended, Error>>> = Vec::new();
    for (place, draft) in drafts.into_iter().enumerate() {
        match draft {
            Ok(draft) => {
                good.push(draft);
                places.push(place);
                results.push(None);
            }
            Err(error) => results.push(Some(Err(error))),
        }
    }
    for (place, result) in places.into_iter().zip(append(node, good).await) {
        if let Some(slot) = results.get_mut(place) {
            *slot = Some(result);
        }
    }
    Ok(json(array_of(results)))
}

fn array_of(results: Vec<Option<std::result::Result<Appended, Error>>>) -> Vec<u8> {
    let mut out = vec![b'['];
    for (place, result) in results.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        match result.unwrap_or_else(unanswered) {
            Ok(appended) => push_appended(&appended, &mut out),
            Err(error) => push_error_object(&error, &mut out),
        }
    }
    out.push(b']');
    out
}

fn draft_of(text: &str) -> std::result::Result<Draft, Error> {
    check_depth(text.as_bytes())?;
    let body: Body<'_> = serde_json::from_str(text)
        .map_err(|error| Error::bad_request(format!("an event is not as it should be: {error}")))?;
    let data = body.data.ok_or_else(|| Error::bad_request("data is missing"))?;
    let payload = Payload::Json(Bytes::copy_from_slice(data.get().as_bytes()));
    let mut draft = Draft::new(Topic::parse(&body.topic)?, payload);
    draft.audience = audience(body.user, body.group, body.client)?;
    draft.id = body.id.map(id_of).transpose()?;
    draft.headers = body.headers.map(headers_of).transpose()?;
    Ok(draft)
}

fn audience(
    user: Option<String>,
    group: Option<String>,
    client: Option<String>,
) -> std::result::Result<Audience, Error> {
    match (user, group, client) {
        (None, None, None) => Ok(Audience::Everyone),
        (Some(user), None, None) if !user.is_empty() => Ok(Audience::User(user.into())),
        (None, Some(group), None) if !group.is_empty() => Ok(Audience::Group(group.into())),
        (None, None, Some(client)) => Ok(Audience::Client(ClientId::parse(&client)?)),
        _ => Err(Error::bad_request("at most one of user, group and client, and not empty")),
    }
}

fn id_of(id: String) -> std::result::Result<Arc<str>, Error> {
    check_id(&id)?;
    Ok(id.into())
}

/// Headers are an object of strings; kept in one line, since binary frames have them in one.
fn headers_of(headers: &RawValue) -> std::result::Result<Bytes, Error> {
    type Strings = std::collections::BTreeMap<String, String>;
    let strings: Strings = serde_json::from_str(headers.get())
        .map_err(|_| Error::bad_request("headers must be an object of strings"))?;
    let text = serde_json::to_vec(&strings);
    Ok(text.map_err(|_| Error::bad_request("headers must be an object of strings"))?.into())
}

/// `POST /v1/publish/{topic}`: the body is the data.
pub(super) async fn publish_raw(
    State(node): State<Arc<Node>>,
    Path(topic): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let text = |name: &str| -> Result<Option<String>> {
        let value = headers.get(name).map(|value| value.to_str().map(str::to_owned));
        let wrong = |_| Error::bad_request(format!("the header {name} is not visible ASCII"));
        Ok(value.transpose().map_err(wrong)?)
    };
    let content_type = text(header::CONTENT_TYPE.as_str())?;
    let mut draft = Draft::new(Topic::parse(&topic)?, payload_of(content_type, body)?);
    draft.audience =
        audience(text("tidings-user")?, text("tidings-group")?, text("tidings-client")?)?;
    draft.id = text("idempotency-key")?.map(id_of).transpose()?;
    let mut out = Vec::new();
    push_appended(&append_one(&node, draft).await?, &mut out);
    Ok(json(out))
}

fn payload_of(content_type: Option<String>, body: Bytes) -> std::result::Result<Payload, Error> {
    let content_type = content_type.unwrap_or_else(|| "application/octet-stream".into());
    if !is_json(&content_type) {
        return Ok(Payload::Binary { content_type: content_type.into(), bytes: body });
    }
    check_depth(&body)?;
    let data: &RawValue = serde_json::from_slice(&body)
        .map_err(|error| Error::bad_request(format!("the body is not JSON: {error}")))?;
    Ok(Payload::Json(Bytes::copy_from_slice(data.get().as_bytes())))
}

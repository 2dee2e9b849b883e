use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::{Cursor, CursorQuery, Device};
use protocol::Error;
use serde_json::{Value, json};

use super::Result;
use crate::http::query::{self, pairs};
use crate::node::Node;

/// Cursors that are answered where no limit is given, and at most.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// `GET /v1/streams/{name}/cursors?user=&limit=&after=`.
pub(super) async fn list(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    RawQuery(asked): RawQuery,
) -> Result<Response> {
    let stream = node.table.find(&name)?;
    let mut query = CursorQuery { user: None, after: None, limit: LIMIT_DEFAULT };
    for (name, value) in pairs(asked.as_deref()) {
        match name.as_str() {
            "user" => query.user = Some(value.into()),
            "after" => query.after = Some(read_place(&value)?),
            "limit" => query.limit = (query::limit(&value)? as usize).min(LIMIT_MAX),
            _ => {}
        }
    }
    let limit = query.limit;
    query.limit += 1;
    let mut found =
        crate::asking::asked(|answer| node.broker.cursors(stream, query, answer)).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(device, _)| spell_place(device));
    let described: Vec<Value> = found.iter().map(describe).collect();
    let answer = json!({ "cursors": described, "more": more, "next": next });
    Ok(super::json(answer.to_string().into_bytes()))
}

fn describe((device, cursor): &(Device, Cursor)) -> Value {
    json!({
        "user": device.user.as_deref(),
        "device": &*device.name,
        "epoch": cursor.epoch.as_str(),
        "seq": cursor.seq,
        "at": cursor.at_ms,
    })
}

/// Where a listing goes on: names may hold any character, so they are packed.
fn spell_place(device: &Device) -> String {
    let place = json!([device.user.as_deref(), &*device.name]);
    URL_SAFE_NO_PAD.encode(place.to_string())
}

fn read_place(text: &str) -> std::result::Result<Device, Error> {
    let wrong = || Error::bad_request("after must be the `next` of an earlier answer");
    let place = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let (user, name): (Option<String>, String) =
        serde_json::from_slice(&place).map_err(|_| wrong())?;
    Ok(Device { user: user.map(Arc::from), name: name.into() })
}

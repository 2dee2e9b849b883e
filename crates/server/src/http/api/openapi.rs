use axum::response::Response;
use serde_json::{Map, Value, json};

use super::table::{self, Meanings, Route};

/// `GET /v1/openapi.json`.
pub(super) async fn document() -> Response {
    super::json(describe(&table::public(), &table::admin()).to_string().into_bytes())
}

/// The tables of routes as an OpenAPI 3.1 document.
fn describe(public: &[Route], admin: &[Route]) -> Value {
    let mut paths = Map::new();
    let listeners = [("public", public), ("admin", admin)];
    for (listener, route) in listeners.iter().flat_map(|(l, routes)| routes.iter().map(|r| (*l, r)))
    {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        let Some(path) = path.as_object_mut() else { continue };
        match path.get_mut(route.method).and_then(|known| known["tags"].as_array_mut()) {
            // Both listeners have it; probes need no token at either.
            Some(tags) => tags.push(listener.into()),
            None => drop(path.insert(route.method.to_owned(), operation(route, listener))),
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidings HTTP API",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "security": [{}, { "admin": [] }],
        "tags": [
            { "name": "public", "description": "Served by the public listener, for clients" },
            { "name": "admin",
                "description": "Served by the admin listener, for publishers and operators" },
        ],
        "paths": paths,
        "components": {
            "securitySchemes": { "admin": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

fn operation(route: &Route, listener: &str) -> Value {
    let in_path = route.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
        )
    });
    let named = |place: &'static str, names: Meanings| {
        names.iter().map(move |(name, meaning)| {
            json!({
                "name": name, "in": place, "description": meaning, "schema": { "type": "string" },
            })
        })
    };
    // OpenAPI describes the content type by the body.
    let headers = named("header", route.headers).filter(|it| it["name"] != "Content-Type");
    let parameters: Vec<Value> =
        in_path.chain(named("query", route.query)).chain(headers).collect();
    let mut operation = json!({
        "summary": route.summary,
        "operationId": id_of(route),
        "tags": [listener],
        "parameters": parameters,
        "responses": {
            "200": { "description": "done", "content": content(route.answer) },
            "default": { "description": "refused", "content": content("Error") },
        },
    });
    if let (true, Some(operation)) = (listener == "public", operation.as_object_mut()) {
        operation.insert("security".into(), json!([]));
    }
    if let (Some(body), Some(operation)) = (route.body, operation.as_object_mut()) {
        operation
            .insert("requestBody".into(), json!({ "required": true, "content": content(body) }));
    }
    operation
}

/// A name for generated clients, such as `get_v1_streams_name`.
fn id_of(route: &Route) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    std::iter::once(route.method).chain(words).collect::<Vec<_>>().join("_")
}

fn content(schema: &str) -> Value {
    let media_type = match schema {
        "Raw" => "*/*",
        "Text" => "application/openmetrics-text",
        "EventStream" => "text/event-stream",
        "Images" => "multipart/x-mixed-replace",
        _ => "application/json",
    };
    json!({ media_type: { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
}

fn schemas() -> Value {
    let text = json!({ "type": "string" });
    let number = json!({ "type": "integer", "minimum": 0 });
    let flag = json!({ "type": "boolean" });
    let texts = json!({ "type": "array", "items": text });
    let bound = json!({ "type": ["integer", "null"], "description": "null is no bound" });
    let maybe_text = json!({ "type": ["string", "null"] });
    let admin_only = json!({ "type": "string", "description": "told by the admin listener only" });
    let list_of = |name: &str| json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{name}") } });
    let event = json!({
        "type": "object",
        "required": ["topic", "data"],
        "properties": {
            "topic": text, "data": {}, "user": text, "group": text, "client": text, "id": text,
            "headers": { "type": "object", "additionalProperties": text },
        },
    });
    let appended = json!({
        "type": "object",
        "required": ["stream", "epoch", "seq", "duplicate", "durability"],
        "properties": {
            "stream": text, "epoch": text, "seq": number, "duplicate": flag,
            "durability": { "enum": ["memory", "buffered", "fsync", "broker"] },
        },
    });
    let codes: Vec<&str> = protocol::ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    let mut all = json!({
        "Publish": { "oneOf": [event, { "type": "array", "items": event }] },
        "Raw": { "description": "JSON where the content type says so, otherwise a binary event" },
        "Appended": { "oneOf": [appended, { "type": "array", "items": {
            "oneOf": [appended, { "$ref": "#/components/schemas/Error" }] } }] },
        "Call": { "type": "object", "required": ["command"], "properties": {
            "command": text, "data": {}, "user": text, "timeout_ms": number } },
        "Called": { "type": "object", "required": ["data"], "properties": { "data": {} } },
        "Stream": { "type": "object", "properties": {
            "name": text, "topics": texts, "epoch": text,
            "first": number, "last": number, "events": number, "bytes": number,
            "durability": text, "priority": { "type": "integer" }, "deliver": text,
            "retain": { "type": "object", "properties": {
                "count": bound, "age_ms": bound, "bytes": bound } } } },
        "Streams": { "type": "object", "properties": { "streams": list_of("Stream") } },
        "Event": { "type": "object", "properties": {
            "topic": text, "stream": text, "seq": number, "time": number,
            "data": { "description": "JSON as it was published, or content_type and base64" },
            "binary": { "const": true, "description": "data are bytes" },
            "headers": { "type": "object", "additionalProperties": text },
            "user": admin_only, "group": admin_only, "client": admin_only } },
        "Events": { "type": "object", "properties": {
            "events": list_of("Event"), "stream": text, "epoch": text, "first": number,
            "last": number, "after": number, "more": flag } },
        "EventStream": { "type": "string",
            "description": "server-sent events; docs/protocol.md describes them" },
        "Images": { "type": "string", "format": "binary",
            "description": "JPEGs, each in the place of the one before it" },
        "Position": { "type": "object", "properties": {
            "stream": text, "epoch": text, "seq": number } },
        "Connection": { "type": "object", "properties": {
            "id": text, "user": maybe_text, "device": maybe_text, "groups": texts,
            "address": maybe_text, "endpoint": text, "dialect": text, "transport": text,
            "connected_at": number, "subscriptions": texts, "positions": list_of("Position"),
            "messages_in": number, "messages_out": number, "bytes_in": number,
            "bytes_out": number, "latency_ms": { "type": ["integer", "null"] },
            "health": { "enum": ["good", "slow"] }, "lag": number } },
        "Connections": { "type": "object", "properties": {
            "connections": list_of("Connection"), "total": number, "more": flag } },
        "Cursor": { "type": "object", "properties": {
            "user": maybe_text, "device": text, "epoch": text, "seq": number,
            "at": { "type": "integer", "description": "the last acknowledgement, in ms since 1970" } } },
        "Cursors": { "type": "object", "properties": {
            "cursors": list_of("Cursor"), "more": flag, "next": maybe_text } },
        "Presence": { "type": "object", "properties": { "users": texts, "clients": number } },
        "Closed": { "type": "object", "properties": { "closed": text } },
        "Member": { "type": "object", "properties": {
            "client": text, "group": text, "member": flag } },
        "Stopped": { "type": "object", "properties": { "stopped": flag } },
        "Draining": { "type": "object", "properties": {
            "draining": flag, "clients": number, "deadline_ms": number } },
        "Changes": { "type": "object", "properties": {
            "live": texts, "restart_needed": texts } },
        "Health": { "type": "object", "properties": {
            "status": { "enum": ["ok", "degraded"] },
            "level": { "enum": ["excellent", "good", "fair", "poor", "critical"] },
            "reasons": texts, "probe_ms": { "type": "number" }, "node": text, "version": text,
            "services": { "type": "object",
                "additionalProperties": { "enum": ["running", "stopped"] } },
            "uptime_ms": number, "connections": number, "streams": number, "workers": number,
            "draining": flag, "stopped": flag } },
        "Ready": { "type": "object", "properties": {
            "ready": flag, "reasons": texts, "probe_ms": { "type": "number" } } },
        "Alive": { "type": "object", "properties": { "status": { "const": "ok" } } },
        "Figures": { "type": "object", "additionalProperties": number },
        "Object": { "type": "object" },
        "Text": text,
        "Error": { "type": "object", "required": ["error"], "properties": { "error": {
            "type": "object", "required": ["code", "message"], "properties": {
                "code": { "enum": codes }, "message": text, "retry_after_ms": number,
                "details": {} } } } },
    });
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), schemas_of_access()) {
        all.extend(more);
    }
    all
}

fn schemas_of_access() -> Value {
    let text = json!({ "type": "string" });
    let number = json!({ "type": "integer", "minimum": 0 });
    let flag = json!({ "type": "boolean" });
    let texts = json!({ "type": "array", "items": text });
    json!({
        "UserMember": { "type": "object", "properties": {
            "user": text, "group": text, "member": flag, "clients": number } },
        "ClosedCount": { "type": "object", "properties": { "closed": number } },
        "TokenRequest": { "type": "object", "required": ["user"], "properties": {
            "user": text, "device": text, "roles": texts, "groups": texts,
            "ttl": { "type": "string", "description": "for how long, such as `1h`" } } },
        "Token": { "type": "object", "properties": { "token": text, "expires_at": number } },
        "Revocation": { "type": "object", "properties": {
            "user": text, "token_id": text,
            "before": { "type": "integer",
                "description": "only tokens issued up to then, in ms since 1970" } } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        let document = describe(&table::public(), &table::admin());
        let text = document.to_string();
        let references = text.split("\"$ref\":\"#").skip(1);
        let mut count = 0;
        for reference in references {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
            count += 1;
        }
        assert!(count > 20, "{count}");
    }

    #[test]
    fn operations_have_names_of_their_own() {
        for routes in [table::public(), table::admin()] {
            let names: std::collections::BTreeSet<_> = routes.iter().map(id_of).collect();
            assert_eq!(names.len(), routes.len());
        }
    }
}

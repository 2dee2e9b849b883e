use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{Route, table};

/// `GET /v1/openapi.json`.
pub(super) async fn document() -> Response {
    super::json(describe(&table()).to_string().into_bytes())
}

/// The table of routes as an OpenAPI 3.1 document.
fn describe(routes: &[Route]) -> Value {
    let mut paths = Map::new();
    for route in routes {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.to_owned(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidings admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "security": [{}, { "admin": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "admin": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let in_path = route.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
        )
    });
    let in_query = route.query.iter().map(|(name, meaning)| {
        json!({ "name": name, "in": "query", "description": meaning, "schema": { "type": "string" } })
    });
    let parameters: Vec<Value> = in_path.chain(in_query).collect();
    let mut operation = json!({
        "summary": route.summary,
        "operationId": id_of(route),
        "parameters": parameters,
        "responses": {
            "200": { "description": "done", "content": content(route.answer) },
            "default": { "description": "refused", "content": content("Error") },
        },
    });
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
        _ => "application/json",
    };
    json!({ media_type: { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
}

fn schemas() -> Value {
    let text = json!({ "type": "string" });
    let number = json!({ "type": "integer", "minimum": 0 });
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
            "stream": text, "epoch": text, "seq": number, "duplicate": { "type": "boolean" },
            "durability": { "enum": ["memory", "buffered", "fsync", "broker"] },
        },
    });
    let codes: Vec<&str> = protocol::ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "Publish": { "oneOf": [event, { "type": "array", "items": event }] },
        "Raw": { "description": "JSON where the content type says so, otherwise a binary event" },
        "Appended": { "oneOf": [appended, { "type": "array", "items": {
            "oneOf": [appended, { "$ref": "#/components/schemas/Error" }] } }] },
        "Stream": { "type": "object", "properties": {
            "name": text, "topics": { "type": "array", "items": text }, "epoch": text,
            "first": number, "last": number, "events": number, "bytes": number,
            "durability": text, "priority": { "type": "integer" }, "deliver": text,
            "retain": { "type": "object" } } },
        "Streams": { "type": "object", "properties": { "streams": list_of("Stream") } },
        "Event": { "type": "object", "properties": {
            "topic": text, "stream": text, "seq": number, "time": number, "data": {},
            "user": text } },
        "Events": { "type": "object", "properties": {
            "events": list_of("Event"), "stream": text, "epoch": text, "first": number,
            "last": number, "after": number, "more": { "type": "boolean" } } },
        "Connection": { "type": "object", "properties": {
            "id": text, "user": {}, "device": {}, "address": {}, "endpoint": text,
            "dialect": text, "transport": text, "connected_at": number,
            "subscriptions": { "type": "array", "items": text }, "messages_in": number,
            "messages_out": number, "bytes_in": number, "bytes_out": number, "latency_ms": {},
            "health": { "enum": ["good", "slow"] }, "lag": number } },
        "Connections": { "type": "object", "properties": {
            "connections": list_of("Connection"), "total": number,
            "more": { "type": "boolean" } } },
        "Health": { "type": "object", "properties": {
            "status": { "enum": ["ok", "degraded"] },
            "level": { "enum": ["excellent", "good", "fair", "poor", "critical"] },
            "reasons": { "type": "array", "items": text } } },
        "Ready": { "type": "object", "properties": {
            "ready": { "type": "boolean" }, "reasons": { "type": "array", "items": text } } },
        "Object": { "type": "object" },
        "Text": text,
        "Error": { "type": "object", "required": ["error"], "properties": { "error": {
            "type": "object", "required": ["code", "message"], "properties": {
                "code": { "enum": codes }, "message": text, "retry_after_ms": number } } } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        let document = describe(&table());
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
        let names: std::collections::BTreeSet<_> = table().iter().map(id_of).collect();
        assert_eq!(names.len(), table().len());
    }
}

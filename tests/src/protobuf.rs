// A helper of tests fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::sync::OnceLock;

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _,
    Value as Field,
};
use serde_json::{Map, Value, json};

/// Where the file is.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/protocol/src/dialects/native");

/// A message of the file.
pub fn descriptor(name: &str) -> MessageDescriptor {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    let pool = POOL.get_or_init(|| {
        let files = protox::compile(["tidings.proto"], [FOLDER]).expect("the file is valid");
        DescriptorPool::from_file_descriptor_set(files).expect("its names are known")
    });
    pool.get_message_by_name(&format!("tidings.v1.{name}")).expect(name)
}

/// Spells a client's message of the JSON protocol as a `ClientMessage`. What has a wrong type in
/// JSON gets a wrong type here too, and what has no field is left out.
pub fn client_message(message: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    push_fields(message.as_object().expect("an object"), &descriptor("ClientMessage"), &mut out);
    out
}

fn push_fields(object: &Map<String, Value>, of: &MessageDescriptor, out: &mut Vec<u8>) {
    for (name, value) in object {
        // What JSON calls by other names, or spells within one.
        let name = match (of.name(), name.as_str()) {
            ("Position", "after") => "seq",
            ("Publish", "data") => "json",
            (_, name) => name,
        };
        let Some(field) = of.get_field_by_name(name) else { continue };
        match (value, field.kind()) {
            (Value::Array(items), _) if field.is_list() => {
                items.iter().for_each(|item| push_field(item, &field, out));
            }
            // One item alone would be a list of one.
            (_, _) if field.is_list() => {
                push_varint(u64::from(field.number() << 3), out);
                push_varint(1, out);
            }
            (Value::Object(pairs), Kind::Message(entry)) if field.is_map() => {
                for (key, value) in pairs {
                    let mut pair = Vec::new();
                    let both = Map::from_iter([
                        ("key".to_owned(), json!(key)),
                        ("value".to_owned(), value.clone()),
                    ]);
                    push_fields(&both, &entry, &mut pair);
                    push_bytes(field.number(), &pair, out);
                }
            }
            _ => push_field(value, &field, out),
        }
    }
}

fn push_field(value: &Value, field: &FieldDescriptor, out: &mut Vec<u8>) {
    let number = field.number();
    match (value, field.kind()) {
        (json, Kind::Bytes) => push_bytes(number, json.to_string().as_bytes(), out),
        (Value::Object(object), Kind::Message(of)) => {
            let mut inner = Vec::new();
            push_fields(object, &of, &mut inner);
            push_bytes(number, &inner, out);
        }
        (Value::Array(_), Kind::Message(of)) if of.fields().len() == 1 => {
            let list = of.fields().next().unwrap();
            let enclosed = Map::from_iter([(list.name().to_owned(), value.clone())]);
            let mut inner = Vec::new();
            push_fields(&enclosed, &of, &mut inner);
            push_bytes(number, &inner, out);
        }
        (Value::String(word), Kind::Message(of)) if of.name() == "Start" && word == "now" => {
            push_bytes(number, b"", out);
        }
        (Value::String(word), Kind::Message(of)) if of.name() == "Start" && word == "stored" => {
            let stored = Map::from_iter([("stored".to_owned(), json!(true))]);
            let mut inner = Vec::new();
            push_fields(&stored, &of, &mut inner);
            push_bytes(number, &inner, out);
        }
        (Value::Number(of), Kind::Double) => {
            push_varint(u64::from(number << 3 | 1), out);
            out.extend_from_slice(&of.as_f64().unwrap().to_le_bytes());
        }
        (Value::Number(of), _) => {
            push_varint(u64::from(number << 3), out);
            let negative = of.as_i64().map(i64::cast_unsigned);
            push_varint(of.as_u64().or(negative).expect("an integer"), out);
        }
        (Value::Bool(truth), _) => {
            push_varint(u64::from(number << 3), out);
            push_varint(u64::from(*truth), out);
        }
        (Value::String(text), _) => push_bytes(number, text.as_bytes(), out),
        // Of no type that a field has.
        (other, _) => push_bytes(number, other.to_string().as_bytes(), out),
    }
}

/// Appends a field of bytes, a string or a message.
pub fn push_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    push_varint(u64::from(number << 3 | 2), out);
    push_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends an integer of variable length.
pub fn push_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A publish of bytes, whose other fields are those of the JSON protocol's first line.
pub fn client_bytes(line: &Value, data: &[u8]) -> Vec<u8> {
    let publish = descriptor("Publish");
    let mut body = Vec::new();
    push_fields(line["publish"].as_object().unwrap(), &publish, &mut body);
    push_bytes(publish.get_field_by_name("binary").unwrap().number(), data, &mut body);
    let envelope = descriptor("ClientMessage");
    let mut out = Vec::new();
    if let Some(id) = line.get("id") {
        push_field(id, &envelope.get_field_by_name("id").unwrap(), &mut out);
    }
    push_bytes(envelope.get_field_by_name("publish").unwrap().number(), &body, &mut out);
    out
}

/// What a frame of the server says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// As the JSON protocol says it.
    Json(Value),
    /// An event whose data are bytes, with the first line that it has in the JSON protocol.
    Binary(Value, Vec<u8>),
}

/// Reads a `ServerMessage`: one message, or events of a batch in order. Panics where it is none.
pub fn server_message(frame: &[u8]) -> Vec<Said> {
    let message = DynamicMessage::decode(descriptor("ServerMessage"), frame).expect("a message");
    assert_eq!(message.unknown_fields().count(), 0, "{message:?}");
    let events = message.get_field_by_name("events").unwrap();
    let events = events.as_list().unwrap();
    if events.is_empty() {
        let mut object = object(&message);
        object.remove("events");
        return vec![Said::Json(Value::Object(object))];
    }
    assert_eq!(message.fields().count(), 1, "events stand alone: {message:?}");
    events.iter().map(|event| live(event.as_message().unwrap())).collect()
}

fn live(event: &DynamicMessage) -> Said {
    let mut body = object(event);
    let is_binary = body.remove("binary").is_some();
    if !is_binary {
        return Said::Json(json!({ "event": body }));
    }
    body.remove("data");
    let bytes = event.get_field_by_name("binary").unwrap();
    let content_type = event.get_field_by_name("content_type").unwrap();
    body.insert("content_type".to_owned(), json!(content_type.as_str().unwrap()));
    Said::Binary(json!({ "event": body }), bytes.as_bytes().unwrap().to_vec())
}

/// The fields as the JSON protocol spells them.
fn object(message: &DynamicMessage) -> Map<String, Value> {
    assert_eq!(message.unknown_fields().count(), 0, "{message:?}");
    let mut object = Map::new();
    for field in message.descriptor().fields() {
        let is_there = message.has_field(&field);
        if !is_there && (field.supports_presence() || field.is_map()) {
            continue;
        }
        let value = message.get_field(&field);
        match field.name() {
            "json" => {
                let data = serde_json::from_slice(value.as_bytes().unwrap()).expect("JSON");
                object.insert("data".to_owned(), data);
            }
            "binary" => {
                let kind = message.get_field_by_name("content_type").unwrap();
                let base64 = base64(value.as_bytes().unwrap());
                let data = json!({ "content_type": kind.as_str().unwrap(), "base64": base64 });
                object.insert("data".to_owned(), data);
                object.insert("binary".to_owned(), json!(true));
            }
            "content_type" => {}
            name => {
                object.insert(name.to_owned(), spelled(&value));
            }
        }
    }
    object
}

fn spelled(value: &Field) -> Value {
    match value {
        Field::Bool(truth) => json!(truth),
        Field::I64(number) => json!(number),
        Field::U32(number) => json!(number),
        Field::U64(number) => json!(number),
        Field::String(text) => json!(text),
        // Data of commands are JSON text.
        Field::Bytes(text) => serde_json::from_slice(text).unwrap(),
        Field::List(items) => items.iter().map(spelled).collect(),
        Field::Map(pairs) => {
            let pair = |(key, value): (&prost_reflect::MapKey, _)| {
                (key.as_str().unwrap().to_owned(), spelled(value))
            };
            Value::Object(pairs.iter().map(pair).collect())
        }
        Field::Message(message) => match message.descriptor().name() {
            // Messages that only Protobuf needs.
            "PositionList" => spelled(&message.get_field_by_name("positions").unwrap()),
            "Answer" => {
                let (_, answer) = message.fields().next().expect("an answer to something");
                spelled(answer)
            }
            _ => Value::Object(object(message)),
        },
        other => panic!("{other:?}"),
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let all = part.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
        let all = all << (8 * (3 - part.len()));
        for at in 0..4 {
            let letter = LETTERS[(all >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= part.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

use bytes::Bytes;

use super::{frame, stream};
use crate::dialects::native::{Native, NativeProtobuf, push_event_object};
use crate::{Audience, ClientId, Dialect, Draft, Event, FrameKind, Payload, Topic};

fn event(topic: &str, payload: Payload) -> Event {
    Event { seq: 12, time_ms: 34, draft: Draft::new(Topic::parse(topic).unwrap(), payload) }
}

fn json(text: &'static str) -> Payload {
    Payload::Json(Bytes::from_static(text.as_bytes()))
}

fn jpeg() -> Payload {
    let bytes = Bytes::from_static(b"\xff\xd8\n");
    Payload::Binary { content_type: "image/jpeg".into(), bytes }
}

fn object(event: &Event, with_audience: bool) -> String {
    let mut out = Vec::new();
    push_event_object(&stream("news"), event, with_audience, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn json_goes_out_as_text() {
    let (kind, bytes) = frame(&stream("news"), &event("a.\"b", json(r#"{"z":1,"a":1.0}"#)));
    assert_eq!(kind, FrameKind::Text);
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        r#"{"event":{"topic":"a.\"b","stream":"news","seq":12,"time":34,"data":{"z":1,"a":1.0}}}"#
    );
}

#[test]
fn bytes_go_out_behind_a_line() {
    let mut event = event("a", jpeg());
    event.draft.headers = Some(Bytes::from_static(b"{\"x\":\r\n \"1\\n\"}"));
    let (kind, bytes) = frame(&stream("news"), &event);
    assert_eq!(kind, FrameKind::Binary);
    let expected = b"{\"event\":{\"topic\":\"a\",\"stream\":\"news\",\"seq\":12,\"time\":34,\
        \"headers\":{\"x\": \"1\\n\"},\"content_type\":\"image/jpeg\"}}\n\xff\xd8\n";
    assert_eq!(bytes, expected);
}

#[test]
fn an_audience_is_for_the_admin_side_only() {
    let mut event = event("a", json("1"));
    event.draft.headers = Some(Bytes::from_static(b"{\"h\":\"v\"}"));
    const START: &str =
        r#"{"topic":"a","stream":"news","seq":12,"time":34,"data":1,"headers":{"h":"v"}"#;
    for (audience, end) in [
        (Audience::Everyone, "}"),
        (Audience::User("ada".into()), r#","user":"ada"}"#),
        (Audience::Group("team".into()), r#","group":"team"}"#),
        (Audience::Client(ClientId(1)), r#","client":"00000000000000000000000000000001"}"#),
    ] {
        event.draft.audience = audience;
        assert_eq!(object(&event, true), format!("{START}{end}"));
        assert_eq!(object(&event, false), format!("{START}}}"));
    }
}

#[test]
fn bytes_in_an_object_are_base64() {
    assert_eq!(
        object(&event("a", jpeg()), false),
        r#"{"topic":"a","stream":"news","seq":12,"time":34,"data":{"content_type":"image/jpeg","base64":"/9gK"},"binary":true}"#
    );
}

#[test]
fn a_batch_is_a_list_of_messages() {
    let stream = stream("news");
    let batch = Native.batch().unwrap();
    assert_eq!(batch.kind, FrameKind::Text);
    let mut out = batch.start.as_bytes().to_vec();
    Native.event(&stream, &event("a", json("1")), &mut out);
    out.extend_from_slice(batch.separator.as_bytes());
    Native.event(&stream, &event("b", json("2")), &mut out);
    out.extend_from_slice(batch.end.as_bytes());
    let list: Vec<serde_json::Value> = serde_json::from_slice(&out).unwrap();
    assert_eq!(list[1]["event"]["data"], 2);
}

#[test]
fn names_in_configuration_and_handshake() {
    assert_eq!(Native.name(), "native");
    assert_eq!(Native.subprotocols(), ["tidings.v1.json"]);
    assert_eq!(NativeProtobuf.name(), "native");
    assert_eq!(NativeProtobuf.subprotocols(), ["tidings.v1.proto"]);
}

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::command::{Command, Exclude};
use crate::error::ErrorCode;
use crate::event::{ClientId, Draft, Payload};
use crate::message::Answer;
use crate::pattern::Pattern;
use crate::topic::Topic;

const NOW_MS: u64 = 1_640_000_000_000;

fn gesture() -> Gesture {
    let root = Some(Topic::parse("gesture").unwrap());
    Gesture::new(&Settings { root, names: Vec::new() })
}

fn opened() -> Opened {
    gesture().open(&Opening { client: ClientId(7), user: None, query: &[] }).unwrap()
}

fn texts(patterns: &[Pattern]) -> Vec<&str> {
    patterns.iter().map(Pattern::as_str).collect()
}

fn told(talk: &mut dyn Conversation, message: &Message) -> String {
    let mut out = Vec::new();
    let kind = talk.encode(NOW_MS, message, &mut out);
    assert_eq!(kind.is_none(), out.is_empty());
    String::from_utf8(out).unwrap()
}

/// What a client is answered whose request the engine carries out.
fn answered(text: &str) -> String {
    let mut talk = opened().conversation;
    let (id, result) = match talk.decode(Frame::Text(text)) {
        Ok(requests) => (requests[0].id, Ok(Answer::Pong { time_ms: 0 })),
        Err(wrong) => (wrong.id, Err(wrong.error)),
    };
    told(&mut *talk, &Message::Reply { id, result })
}

#[test]
fn every_channel_but_system_comes_unasked() {
    let all = opened().subscriptions;
    assert_eq!(texts(&all[0].topics), ["gesture.>"]);
    assert_eq!(texts(&all[0].except), ["gesture.system"]);
}

#[test]
fn messages_are_answered() {
    for (text, expected) in [
        (
            r#"{"type":"subscribe","channels":["gesture","system"]}"#,
            r#"{"type":"subscribed","channels":["gesture","system"],"timestamp":1640000000000}"#,
        ),
        (
            r#"{"type":"unsubscribe","channels":["system"]}"#,
            r#"{"type":"unsubscribed","channels":["system"],"timestamp":1640000000000}"#,
        ),
        (r#"{"type":"ping"}"#, r#"{"type":"pong","timestamp":1640000000000}"#),
        (r#"{"type":"heartbeat"}"#, r#"{"type":"heartbeat_ack","timestamp":1640000000000}"#),
        (
            r#"{"type":"ca\"librate","x":[1]}"#,
            r#"{"type":"ack","originalType":"ca\"librate","timestamp":1640000000000}"#,
        ),
    ] {
        assert_eq!(answered(text), expected, "{text}");
    }
}

#[test]
fn channels_are_topics() {
    let mut talk = opened().conversation;
    let asked = talk.decode(Frame::Text(r#"{"type":"subscribe","channels":["a","b.c"]}"#)).unwrap();
    let Command::Include(body) = &asked[0].command else { panic!("{asked:?}") };
    assert_eq!(texts(&body.topics), ["gesture.a", "gesture.b.c"]);
    let asked = talk.decode(Frame::Text(r#"{"type":"unsubscribe","channels":["a"]}"#)).unwrap();
    let Command::Exclude(Exclude::Selected(out)) = &asked[0].command else { panic!("{asked:?}") };
    assert_eq!(texts(out), ["gesture.a"]);
}

#[test]
fn events_stand_in_data_as_they_were_published() {
    let spelled = |topic: &str, payload| {
        let draft = Draft::new(Topic::parse(topic).unwrap(), payload);
        let mut out = Vec::new();
        let stream = StreamName::parse("s").unwrap();
        let event = Event { seq: 3, time_ms: 1, draft };
        assert_eq!(gesture().event(&stream, &event, &mut out), FrameKind::Text);
        String::from_utf8(out).unwrap()
    };
    let data = "{\"type\": \"wave\",\"position\":{\"x\":0.50,\"y\":1}}";
    let json = Payload::Json(Bytes::from_static(data.as_bytes()));
    let expected = format!("{{\"type\":\"gesture\",\"data\":{data}}}");
    assert_eq!(spelled("gesture.gesture", json), expected);
    let binary =
        Payload::Binary { content_type: "image/png".into(), bytes: Bytes::from_static(b"x") };
    let expected = r#"{"type":"face.left","data":{"content_type":"image/png","base64":"eA=="}}"#;
    assert_eq!(spelled("gesture.face.left", binary), expected);
}

#[test]
fn what_cannot_be_read_is_told() {
    for text in [
        "",
        "ping",
        "{",
        "[]",
        "1",
        "{}",
        r#"{"type":7}"#,
        r#"{"type":""}"#,
        r#"{"type":"subscribe"}"#,
        r#"{"type":"subscribe","channels":"gesture"}"#,
        r#"{"type":"subscribe","channels":[]}"#,
        r#"{"type":"subscribe","channels":[1]}"#,
        r#"{"type":"subscribe","channels":["a b"]}"#,
        r#"{"type":"unsubscribe","channels":null}"#,
        r#"{"type":"ping","type":"pong"}"#,
    ] {
        let answer: Value = serde_json::from_str(&answered(text)).unwrap();
        assert_eq!(answer["type"], "error", "{text}");
        assert_eq!(answer["data"]["code"], "VALIDATION_ERROR", "{text}");
        assert_eq!(answer["data"]["error"], "Invalid message", "{text}");
        assert!(!answer["data"]["details"].as_str().unwrap().is_empty(), "{text}");
        assert_eq!(answer["data"]["timestamp"], NOW_MS, "{text}");
    }
    let mut talk = opened().conversation;
    assert!(talk.decode(Frame::Binary(b"{}")).is_err());
}

#[test]
fn errors_have_the_codes_of_the_dialect() {
    let mut talk = opened().conversation;
    let mut code = |code| {
        let error = Error::new(code, "why");
        let told = told(&mut *talk, &Message::Reply { id: None, result: Err(error) });
        let value: Value = serde_json::from_str(&told).unwrap();
        value["data"]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code(ErrorCode::RateLimited), "RATE_LIMIT");
    assert_eq!(code(ErrorCode::InvalidPattern), "VALIDATION_ERROR");
    assert_eq!(code(ErrorCode::BrokerUnavailable), "NETWORK_ERROR");
    assert_eq!(code(ErrorCode::Forbidden), "FORBIDDEN");
}

proptest! {
    #[test]
    fn any_frame_is_answered(text in ".{0,60}") {
        prop_assert!(serde_json::from_str::<Value>(&answered(&text)).is_ok());
    }
}

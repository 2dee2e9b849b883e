use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::command::{Command, Exclude, Request};
use crate::error::ErrorCode;
use crate::event::{ClientId, Draft, Payload};
use crate::message::{Answer, Interest, Welcome};
use crate::pattern::Pattern;
use crate::topic::Topic;

fn studio() -> Studio {
    let root = Some(Topic::parse("studio").unwrap());
    Studio::new(&Settings { root, ..Settings::default() })
}

fn opened() -> Opened {
    studio().open(&Opening { client: ClientId(7), user: Some("u1"), query: &[] }).unwrap()
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

fn interests(texts: &[&str]) -> Vec<Interest> {
    let interest = |topic| Interest { topic, filter: None, mode: Mode::EVERY };
    patterns(texts).into_iter().map(interest).collect()
}

fn ask(talk: &mut dyn Conversation, text: &str) -> Request {
    let requests = talk.decode(Frame::Text(text));
    let mut requests = requests.unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests.remove(0)
}

fn answered(
    talk: &mut dyn Conversation,
    request: &Request,
    result: Result<Answer, Error>,
) -> String {
    said(talk, &Message::Reply { id: request.id, result })
}

fn said(talk: &mut dyn Conversation, message: &Message) -> String {
    let mut out = Vec::new();
    let kind = talk.encode(1_000, message, &mut out);
    assert_eq!(kind.is_some(), !out.is_empty());
    String::from_utf8(out).unwrap()
}

#[test]
fn errors_are_subscribed_to_from_the_beginning() {
    let subscriptions = opened().subscriptions;
    assert_eq!(subscriptions.len(), 1);
    assert_eq!(subscriptions[0].topics, patterns(&["studio.error"]));
    let welcome = Welcome {
        client: ClientId(7),
        session: String::new(),
        node: "n".into(),
        user: Some("u1".into()),
        heartbeat_ms: 1,
        message_bytes_max: 1,
        subscriptions_max: 1,
    };
    assert_eq!(
        said(&mut *opened().conversation, &Message::Welcome(Box::new(welcome))),
        r#"{"type":"connected","data":{"status":"ready","user_id":"u1","session_id":"00000000000000000000000000000007"}}"#
    );
}

#[test]
fn events_have_an_envelope() {
    let data = Payload::Json(Bytes::from_static(br#"{"z":1.0,"a":"\u00e9"}"#));
    let draft = Draft::new(Topic::parse("studio.blob.created").unwrap(), data);
    let event = Event { seq: 1, time_ms: 1_767_323_045_678, draft };
    let mut out = Vec::new();
    studio().event(&StreamName::parse("studio").unwrap(), &event, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"type":"blob.created","event_type":"blob.created","data":{"z":1.0,"a":"\u00e9"},"timestamp":1767323045}"#
    );
}

#[test]
fn a_final_star_is_the_rest_of_a_name() {
    let mut talk = opened().conversation;
    let text = r#"{"type":"subscribe","events":["blob.created","processor.*","blob.cr*","*"]}"#;
    let request = ask(&mut *talk, text);
    let Command::Include(body) = &request.command else { panic!("{request:?}") };
    let wanted = ["studio.blob.created", "studio.processor.>", "studio.blob.cr>", "studio.>"];
    assert_eq!(body.topics, patterns(&wanted));
    let mut all = interests(&["studio.error"]);
    all.extend(interests(&wanted));
    assert_eq!(
        answered(&mut *talk, &request, Ok(Answer::Included(all))),
        r#"{"type":"subscribed","data":{"events":["blob.created","processor.*","blob.cr*","*"]}}"#
    );
    let request = ask(&mut *talk, r#"{"type":"unsubscribe","events":["blob.cr*","x"]}"#);
    let named = Exclude::Named(patterns(&["studio.blob.cr>", "studio.x"]));
    assert_eq!(request.command, Command::Exclude(named));
    let removed = patterns(&["studio.blob.cr>"]);
    assert_eq!(
        answered(&mut *talk, &request, Ok(Answer::Excluded { removed, all: Vec::new() })),
        r#"{"type":"unsubscribed","data":{"events":["blob.cr*"]}}"#
    );
}

#[test]
fn errors_are_listed_once_they_are_asked_for_and_stay_subscribed() {
    let mut talk = opened().conversation;
    let request = ask(&mut *talk, r#"{"type":"subscribe","events":["error"]}"#);
    let all = interests(&["studio.error"]);
    assert_eq!(
        answered(&mut *talk, &request, Ok(Answer::Included(all))),
        r#"{"type":"subscribed","data":{"events":["error"]}}"#
    );
    for listed in [r#"["error"]"#, "[]"] {
        let request = ask(&mut *talk, r#"{"type":"unsubscribe","events":["error"]}"#);
        assert_eq!(request.command, Command::Exclude(Exclude::Named(Vec::new())));
        let removed = Answer::Excluded { removed: Vec::new(), all: Vec::new() };
        let told = answered(&mut *talk, &request, Ok(removed));
        assert_eq!(told, format!(r#"{{"type":"unsubscribed","data":{{"events":{listed}}}}}"#));
    }
}

#[test]
fn other_types_are_commands() {
    let mut talk = opened().conversation;
    let text = r#"{"type":"process_blob","data":{"blob_id":"b 1","n":1.0},"id":"q7"}"#;
    let request = ask(&mut *talk, text);
    let Command::Call(call) = &request.command else { panic!("{request:?}") };
    assert_eq!(call.command.as_str(), "studio.process_blob");
    assert_eq!(&*call.data, br#"{"blob_id":"b 1","n":1.0}"#);
    let result = Answer::Called(Bytes::from_static(b"[1]"));
    assert_eq!(
        answered(&mut *talk, &request, Ok(result)),
        r#"{"type":"result","data":{"command":"process_blob","result":[1]},"id":"q7"}"#
    );
    let request = ask(&mut *talk, text);
    let error = Error::new(ErrorCode::CommandFailed, "no quota").retry_after(1_500);
    assert_eq!(
        answered(&mut *talk, &request, Err(error)),
        r#"{"type":"error","data":{"code":"COMMAND_FAILED","message":"no quota","blob_id":"b 1","retry_after":2},"id":"q7"}"#
    );
}

#[test]
fn pings_and_refreshes_are_answered() {
    let mut talk = opened().conversation;
    let request = ask(&mut *talk, r#"{"type":"ping"}"#);
    assert_eq!(
        answered(&mut *talk, &request, Ok(Answer::Pong { time_ms: 12 })),
        r#"{"type":"pong","data":{"timestamp":12}}"#
    );
    let request = ask(&mut *talk, r#"{"type":"refresh","token":"t"}"#);
    assert_eq!(request.command, Command::Refresh { token: "t".into() });
    assert_eq!(
        answered(&mut *talk, &request, Ok(Answer::Refreshed { expires_at_ms: 12_999 })),
        r#"{"type":"refreshed","data":{"expires_at":12}}"#
    );
}

#[test]
fn what_is_wrong_has_a_code() {
    let mut talk = opened().conversation;
    for (text, code) in [
        ("ping", "INVALID_JSON"),
        ("[]", "INVALID_MESSAGE"),
        ("{}", "INVALID_MESSAGE"),
        (r#"{"type":7}"#, "INVALID_MESSAGE"),
        (r#"{"type":"no such thing"}"#, "INVALID_MESSAGE"),
        (r#"{"type":"subscribe"}"#, "INVALID_EVENTS"),
        (r#"{"type":"subscribe","events":[]}"#, "INVALID_EVENTS"),
        (r#"{"type":"subscribe","events":"*"}"#, "INVALID_EVENTS"),
        (r#"{"type":"subscribe","events":["a b"]}"#, "INVALID_EVENTS"),
        (r#"{"type":"subscribe","events":["**"]}"#, "INVALID_EVENTS"),
        (r#"{"type":"refresh"}"#, "INVALID_MESSAGE"),
    ] {
        let wrong = talk.decode(Frame::Text(text)).expect_err(text);
        let message = Message::Reply { id: wrong.id, result: Err(wrong.error) };
        let told: Value = serde_json::from_str(&said(&mut *talk, &message)).unwrap();
        assert_eq!(
            (&told["type"], &told["data"]["code"]),
            (&"error".into(), &code.into()),
            "{text}"
        );
    }
    assert!(talk.decode(Frame::Binary(b"{}")).is_err());
}

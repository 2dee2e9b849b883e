use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::command::{Command, Exclude, Request, Start};
use crate::error::ErrorCode;
use crate::event::{ClientId, Draft, Payload};
use crate::message::{Answer, Interest, Welcome};
use crate::pattern::Pattern;
use crate::topic::Topic;

/// 2026-01-02T03:04:05.678Z.
const NOW_MS: u64 = 1_767_323_045_678;

fn trainer() -> Trainer {
    let root = Some(Topic::parse("trainer").unwrap());
    Trainer::new(&Settings { root, ..Settings::default() })
}

fn talk() -> Box<dyn Conversation> {
    trainer().open(&Opening { client: ClientId(7), user: None, query: &[] }).unwrap().conversation
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

fn ask(talk: &mut dyn Conversation, text: &str) -> Requests {
    talk.decode(Frame::Text(text)).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"))
}

fn only(requests: &Requests) -> &Request {
    assert_eq!(requests.len(), 1, "{requests:?}");
    &requests[0]
}

fn said(talk: &mut dyn Conversation, message: &Message) -> String {
    let mut out = Vec::new();
    let kind = talk.encode(NOW_MS, message, &mut out);
    assert_eq!(kind.is_some(), !out.is_empty());
    String::from_utf8(out).unwrap()
}

fn answered(
    talk: &mut dyn Conversation,
    request: &Request,
    result: Result<Answer, Error>,
) -> String {
    said(talk, &Message::Reply { id: request.id, result })
}

fn interests(texts: &[&str]) -> Vec<Interest> {
    let interest = |topic| Interest { topic, filter: None, mode: Mode::EVERY };
    patterns(texts).into_iter().map(interest).collect()
}

fn event(topic: &str, payload: Payload) -> String {
    let draft = Draft::new(Topic::parse(topic).unwrap(), payload);
    let mut out = Vec::new();
    let stream = StreamName::parse("training").unwrap();
    trainer().event(&stream, &Event { seq: 1, time_ms: NOW_MS, draft }, &mut out);
    String::from_utf8(out).unwrap()
}

fn json(text: &str) -> Payload {
    Payload::Json(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn the_client_is_welcomed() {
    let welcome = Welcome {
        client: ClientId(7),
        session: String::new(),
        node: "n".into(),
        user: None,
        heartbeat_ms: 1,
        message_bytes_max: 1,
        subscriptions_max: 1,
    };
    assert_eq!(
        said(&mut *talk(), &Message::Welcome(Box::new(welcome))),
        r#"{"type":"connection_established","client_id":"00000000000000000000000000000007","timestamp":"2026-01-02T03:04:05.678Z"}"#
    );
}

#[test]
fn events_are_flat() {
    assert_eq!(
        event("trainer.log", json(r#"{"level":"info","n":12345678901234567890}"#)),
        r#"{"type":"log","timestamp":"2026-01-02T03:04:05.678Z","level":"info","n":12345678901234567890}"#
    );
    // The envelope's type and room win, and the data's time.
    assert_eq!(
        event("trainer.run-1.log", json(r#"{"room":"x","timestamp":12,"type":"y","ü":1}"#)),
        r#"{"type":"log","room":"run-1","timestamp":12,"ü":1}"#
    );
    assert_eq!(
        event("trainer.log", json(r#"{"room":"x","timestamp":1}"#)),
        r#"{"type":"log","room":"x","timestamp":1}"#
    );
    assert_eq!(
        event("trainer.log", json("[1]")),
        r#"{"type":"log","timestamp":"2026-01-02T03:04:05.678Z","data":[1]}"#
    );
    let bytes =
        Payload::Binary { content_type: "image/png".into(), bytes: Bytes::from_static(b"a") };
    assert_eq!(
        event("trainer.a.b.sample", bytes),
        r#"{"type":"sample","timestamp":"2026-01-02T03:04:05.678Z","room":"a.b","data":{"content_type":"image/png","base64":"YQ=="}}"#
    );
}

#[test]
fn subscriptions_reach_every_room_or_one() {
    let mut talk = talk();
    let requests = ask(&mut *talk, r#"{"type":"subscribe","events":["log","x"]}"#);
    let Command::Include(body) = &only(&requests).command else { panic!("{requests:?}") };
    assert_eq!(
        body.topics,
        patterns(&["trainer.log", "trainer.*.log", "trainer.x", "trainer.*.x"])
    );
    assert_eq!(body.start, Start::Now);
    let all = interests(&["trainer.log", "trainer.*.log", "trainer.x", "trainer.*.x"]);
    assert_eq!(
        answered(&mut *talk, only(&requests), Ok(Answer::Included(all))),
        r#"{"type":"subscribed","events":["log","x"],"all_subscriptions":["log","x"],"timestamp":"2026-01-02T03:04:05.678Z"}"#
    );
    let text = r#"{"type":"subscribe","event_types":["log"],"room":"r1","replay":5}"#;
    let requests = ask(&mut *talk, text);
    let Command::Include(body) = &only(&requests).command else { panic!("{requests:?}") };
    assert_eq!(body.topics, patterns(&["trainer.log", "trainer.r1.log"]));
    assert_eq!(body.start, Start::Last(5));
}

#[test]
fn what_reaches_every_room_goes_with_the_last_one() {
    let mut talk = talk();
    let requests = ask(&mut *talk, r#"{"type":"unsubscribe","events":["log"],"room":"r1"}"#);
    let [selected, orphaned] = &requests[..] else { panic!("{requests:?}") };
    let of_room = Exclude::Selected(patterns(&["trainer.r1.log"]));
    assert_eq!((selected.id, &selected.command), (None, &Command::Exclude(of_room)));
    let [all, in_any] = ["trainer.log", "trainer.*.log"].map(|text| Pattern::parse(text).unwrap());
    assert_eq!(orphaned.command, Command::Exclude(Exclude::Orphaned(vec![(all, in_any)])));
    assert_eq!(answered(&mut *talk, selected, Ok(Answer::Unsubscribed)), "");
    let left = Answer::Excluded { removed: Vec::new(), all: interests(&["trainer.r2.log"]) };
    assert_eq!(
        answered(&mut *talk, orphaned, Ok(left)),
        r#"{"type":"unsubscribed","room":"r1","events":["log"],"remaining_subscriptions":["log"],"timestamp":"2026-01-02T03:04:05.678Z"}"#
    );
}

#[test]
fn commands_are_confirmed_and_then_have_a_result() {
    let mut talk = talk();
    let text = r#"{"type":"command","command":"pause","args":{"at": 1.0},"room":"r1"}"#;
    let requests = ask(&mut *talk, text);
    let [received, called] = &requests[..] else { panic!("{requests:?}") };
    let Command::Call(call) = &called.command else { panic!("{called:?}") };
    assert_eq!(
        (call.command.as_str(), &*call.data),
        ("trainer.pause", &br#"{"room":"r1","at": 1.0}"#[..])
    );
    assert_eq!(
        answered(&mut *talk, received, Ok(Answer::Pong { time_ms: 1 })),
        r#"{"type":"command_received","command":"pause","room":"r1","status":"acknowledged","message":"pause was received","timestamp":"2026-01-02T03:04:05.678Z"}"#
    );
    assert_eq!(said(&mut *talk, &Message::Called { id: called.id.unwrap() }), "");
    assert_eq!(
        answered(&mut *talk, called, Ok(Answer::Called(Bytes::from_static(b"{\"a\":1}")))),
        r#"{"type":"command_result","command":"pause","room":"r1","ok":true,"result":{"a":1},"timestamp":"2026-01-02T03:04:05.678Z"}"#
    );
    let requests = ask(&mut *talk, r#"{"type":"command","command":"stop"}"#);
    let Command::Call(call) = &requests[1].command else { panic!("{requests:?}") };
    assert_eq!(&*call.data, b"{}");
    let error = Error::new(ErrorCode::NoHandler, "nobody").retry_after(1_500);
    assert_eq!(
        answered(&mut *talk, &requests[1], Err(error)),
        r#"{"type":"command_result","command":"stop","ok":false,"error":{"code":"NO_HANDLER","message":"nobody","retry_after_ms":1500},"timestamp":"2026-01-02T03:04:05.678Z"}"#
    );
}

#[test]
fn pings_are_answered_with_both_times() {
    let mut talk = talk();
    let pong = || Ok(Answer::Pong { time_ms: 1 });
    let requests = ask(&mut *talk, r#"{"type":"ping","timestamp":"t0"}"#);
    assert_eq!(
        answered(&mut *talk, only(&requests), pong()),
        r#"{"type":"pong","client_timestamp":"t0","server_timestamp":"2026-01-02T03:04:05.678Z"}"#
    );
    let requests = ask(&mut *talk, r#"{"type":"ping"}"#);
    assert!(answered(&mut *talk, only(&requests), pong()).contains("\"client_timestamp\":null"));
    let requests = ask(&mut *talk, "ping");
    assert_eq!(answered(&mut *talk, only(&requests), pong()), r#"{"type":"pong"}"#);
}

#[test]
fn what_is_wrong_has_a_code() {
    let mut talk = talk();
    for (text, code) in [
        ("{", "INVALID_JSON"),
        ("pong", "INVALID_JSON"),
        ("[]", "INVALID_MESSAGE_TYPE"),
        (r#"{"type":1}"#, "INVALID_MESSAGE_TYPE"),
        ("{}", "MISSING_TYPE"),
        (r#"{"type":""}"#, "MISSING_TYPE"),
        (r#"{"type":null}"#, "MISSING_TYPE"),
        (r#"{"type":"dance"}"#, "UNKNOWN_MESSAGE_TYPE"),
        (r#"{"type":"subscribe"}"#, "EMPTY_EVENTS"),
        (r#"{"type":"subscribe","events":[]}"#, "EMPTY_EVENTS"),
        (r#"{"type":"unsubscribe","events":[]}"#, "EMPTY_EVENTS"),
        (r#"{"type":"subscribe","events":"log"}"#, "INVALID_EVENTS"),
        (r#"{"type":"subscribe","events":[1]}"#, "INVALID_EVENTS"),
        (r#"{"type":"subscribe","events":["a.b"]}"#, "INVALID_EVENTS"),
        (r#"{"type":"subscribe","events":["*"]}"#, "INVALID_EVENTS"),
        (r#"{"type":"subscribe","events":["a"],"room":1}"#, "PROCESSING_ERROR"),
        (r#"{"type":"subscribe","events":["a"],"replay":-1}"#, "PROCESSING_ERROR"),
        (r#"{"type":"command"}"#, "MISSING_COMMAND"),
        (r#"{"type":"command","command":7}"#, "MISSING_COMMAND"),
        (r#"{"type":"command","command":"a b"}"#, "PROCESSING_ERROR"),
        (r#"{"type":"ping","type":"ping"}"#, "PROCESSING_ERROR"),
    ] {
        let wrong = talk.decode(Frame::Text(text)).expect_err(text);
        let message = Message::Reply { id: wrong.id, result: Err(wrong.error) };
        let told: Value = serde_json::from_str(&said(&mut *talk, &message)).unwrap();
        assert_eq!((&told["type"], &told["error_code"]), (&"error".into(), &code.into()), "{text}");
        assert!(told["message"].is_string() && told["timestamp"].is_string());
    }
    let wrong = talk.decode(Frame::Binary(b"{}")).unwrap_err();
    let refused = Error::new(ErrorCode::RateLimited, "slow down").retry_after(10);
    // What is refused before it is read is not blamed on its spelling.
    let told = said(&mut *talk, &Message::Reply { id: wrong.id, result: Err(refused) });
    assert!(told.contains(r#""error_code":"RATE_LIMITED""#), "{told}");
}

#[test]
fn batches_are_asked_for_with_the_request() {
    let query = [("batch".to_owned(), "50ms".to_owned())];
    let opening = Opening { client: ClientId(1), user: None, query: &query };
    let mut talk = trainer().open(&opening).unwrap().conversation;
    let requests = ask(&mut *talk, r#"{"type":"subscribe","events":["a"]}"#);
    let Command::Include(body) = &only(&requests).command else { panic!("{requests:?}") };
    assert_eq!(body.mode, Mode { interval_ms: 50, batch: true, latest: false });
}

proptest! {
    #[test]
    fn any_frame_is_understood_or_answered(text in "[ -~]{0,60}|\\{\"type\":\"(subscribe|command|ping)\",\"[a-z]{4,7}\":[ -~]{0,20}\\}") {
        let mut talk = talk();
        if let Err(wrong) = talk.decode(Frame::Text(&text)) {
            let message = Message::Reply { id: wrong.id, result: Err(wrong.error) };
            let told: Value = serde_json::from_str(&said(&mut *talk, &message)).unwrap();
            prop_assert_eq!(&told["type"], "error");
        }
    }
}

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::command::{Command, Exclude, Request};
use crate::error::ErrorCode;
use crate::event::{ClientId, Draft};
use crate::message::{Answer, Interest};
use crate::topic::Topic;

fn speech() -> Speech {
    let root = Some(Topic::parse("speech").unwrap());
    Speech::new(&Settings { root, names: Vec::new() })
}

fn opened(query: &[(&str, &str)]) -> Result<Opened, Error> {
    let query: Vec<_> = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    speech().open(&Opening { client: ClientId(7), user: None, query: &query })
}

fn talk() -> Box<dyn Conversation> {
    opened(&[]).unwrap().conversation
}

fn texts(patterns: &[Pattern]) -> Vec<&str> {
    patterns.iter().map(Pattern::as_str).collect()
}

fn ask(talk: &mut dyn Conversation, text: &str) -> Requests {
    talk.decode(Frame::Text(text)).unwrap_or_else(|wrong| panic!("{text}: {}", wrong.error))
}

fn told(talk: &mut dyn Conversation, id: Option<i64>, result: Result<Answer, Error>) -> String {
    let mut out = Vec::new();
    let kind = talk.encode(0, &Message::Reply { id, result }, &mut out);
    assert_eq!(kind.is_none(), out.is_empty());
    String::from_utf8(out).unwrap()
}

fn refused(talk: &mut dyn Conversation, text: &str) -> String {
    let wrong = talk.decode(Frame::Text(text)).expect_err(text);
    assert!(wrong.id.is_some());
    told(talk, wrong.id, Err(wrong.error))
}

fn event(topic: &str, payload: Payload) -> String {
    let draft = Draft::new(Topic::parse(topic).unwrap(), payload);
    let event = Event { seq: 3, time_ms: 1, draft };
    let mut out = Vec::new();
    let stream = StreamName::parse("s").unwrap();
    assert_eq!(speech().event(&stream, &event, &mut out), FrameKind::Text);
    String::from_utf8(out).unwrap()
}

fn json(text: &'static str) -> Payload {
    Payload::Json(Bytes::from_static(text.as_bytes()))
}

#[test]
fn everything_but_audio_comes_unasked() {
    let all = opened(&[]).unwrap().subscriptions;
    assert_eq!(texts(&all[0].topics), ["speech.>"]);
    assert_eq!(texts(&all[0].except), ["speech.audio.>"]);
    assert_eq!((all[0].filter.clone(), all[0].mode), (None, Mode::EVERY));
}

#[test]
fn the_query_narrows() {
    let query = [("events", "transcription, wake_word"), ("session_id", "a\"b"), ("batch", "50ms")];
    let narrow = opened(&query).unwrap().subscriptions;
    assert_eq!(texts(&narrow[0].topics), ["speech.transcription", "speech.wake_word"]);
    assert!(narrow[0].except.is_empty());
    assert!(narrow[0].mode.batch && narrow[0].mode.interval_ms == 50);
    let filter = narrow[0].filter.as_ref().unwrap();
    assert!(filter.accepts(&json(r#"{"session_id":"a\"b"}"#)));
    assert!(filter.accepts(&json(r#"{"word":"hello"}"#)));
    assert!(!filter.accepts(&json(r#"{"session_id":"c"}"#)));
    assert!(opened(&[("events", "a b")]).is_err());
    assert!(opened(&[("batch", "soon")]).is_err());
}

#[test]
fn events_are_flat() {
    let data = r#"{"text":"grün","is_final":true,"n":12345678901234567890,"event":"other"}"#;
    let expected =
        r#"{"event":"transcription","text":"grün","is_final":true,"n":12345678901234567890}"#;
    assert_eq!(event("speech.transcription", json(data)), expected);
    assert_eq!(event("speech.a.b", json("{}")), r#"{"event":"a.b"}"#);
    assert_eq!(event("speech.x", json("[1]")), r#"{"event":"x","data":[1]}"#);
    let bytes = Bytes::from_static(b"\x00\x01");
    let chunk = Payload::Binary { content_type: "audio/pcm16".into(), bytes };
    let expected = r#"{"event":"audio.c","data":{"content_type":"audio/pcm16","base64":"AAE="}}"#;
    assert_eq!(event("speech.audio.c", chunk), expected);
}

#[test]
fn commands_are_passed_on_and_answered() {
    let mut talk = talk();
    let asked = ask(&mut *talk, r#"{"command":"start_session","data":{"b":1.0,"a":2},"id":"x1"}"#);
    let [Request { id, command: Command::Call(call) }] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(call.command.as_str(), "speech.start_session");
    assert_eq!(call.data, r#"{"b":1.0,"a":2}"#);
    let expected = r#"{"event":"command_result","command":"start_session","ok":true,"result":{"k":1},"id":"x1"}"#;
    let result = Answer::Called(Bytes::from_static(b"{\"k\":1}"));
    assert_eq!(told(&mut *talk, *id, Ok(result)), expected);

    let asked = ask(&mut *talk, r#"{"command":"configure"}"#);
    let error = Error::new(ErrorCode::NoHandler, "nobody");
    let expected = r#"{"event":"command_result","command":"configure","ok":false,"error":{"code":"no_handler","message":"nobody"}}"#;
    assert_eq!(told(&mut *talk, asked[0].id, Err(error)), expected);
}

#[test]
fn what_is_named_takes_the_place_of_everything() {
    let mut talk = talk();
    let asked = ask(&mut *talk, r#"{"command":"subscribe","events":["wake_word"],"id":4}"#);
    let [first, second] = &asked[..] else { panic!("{asked:?}") };
    let Command::Include(body) = &first.command else { panic!("{first:?}") };
    assert_eq!(texts(&body.topics), ["speech.wake_word"]);
    let Command::Exclude(Exclude::Named(named)) = &second.command else { panic!("{second:?}") };
    assert_eq!(texts(named), ["speech.>"]);
    assert_eq!(told(&mut *talk, first.id, Ok(Answer::Included(Vec::new()))), "");
    let all = [">", "wake_word"].map(|name| Interest {
        topic: Pattern::parse(&format!("speech.{name}")).unwrap(),
        filter: None,
        mode: Mode::EVERY,
    });
    let excluded = Answer::Excluded { removed: Vec::new(), all: all.to_vec() };
    let expected = r#"{"event":"command_result","command":"subscribe","ok":true,"result":{"events":["*","wake_word"]},"id":4}"#;
    assert_eq!(told(&mut *talk, second.id, Ok(excluded)), expected);
}

#[test]
fn a_subscription_that_fails_is_answered_once() {
    let mut talk = talk();
    let asked = ask(&mut *talk, r#"{"command":"subscribe","events":["a"]}"#);
    let error = Error::new(ErrorCode::TooManySubscriptions, "many");
    let answer = told(&mut *talk, asked[0].id, Err(error));
    assert!(answer.contains(r#""ok":false,"error":{"code":"too_many_subscriptions""#), "{answer}");
    let excluded = Answer::Excluded { removed: Vec::new(), all: Vec::new() };
    assert_eq!(told(&mut *talk, asked[1].id, Ok(excluded)), "");
}

#[test]
fn unsubscribing_takes_out_of_everything() {
    let mut talk = talk();
    let asked = ask(&mut *talk, r#"{"command":"unsubscribe","events":["wake_word"]}"#);
    let Command::Exclude(Exclude::Selected(patterns)) = &asked[0].command else { panic!() };
    assert_eq!(texts(patterns), ["speech.wake_word"]);
    let asked = ask(&mut *talk, r#"{"command":"unsubscribe"}"#);
    assert_eq!(asked[0].command, Command::Exclude(Exclude::All));
}

#[test]
fn chunks_are_published_as_what_was_announced() {
    let mut talk = talk();
    let published = |requests: &Requests| match &requests[0].command {
        Command::Publish(draft) => (**draft).clone(),
        other => panic!("{other:?}"),
    };
    let chunk = talk.decode(Frame::Binary(b"\x01\x02")).unwrap();
    assert_eq!(chunk[0].id, None);
    let draft = published(&chunk);
    assert_eq!(draft.topic.as_str(), format!("speech.audio.{}", ClientId(7)));
    let bytes = Bytes::from_static(b"\x01\x02");
    let content_type = "application/octet-stream".into();
    assert_eq!(draft.payload, Payload::Binary { content_type, bytes: bytes.clone() });

    let text = r#"{"command":"audio_start","data":{"format":"pcm16","rate":16000,"lang":"de"}}"#;
    let start = ask(&mut *talk, text);
    let expected = json(r#"{"audio":"audio_start","format":"pcm16","rate":16000,"lang":"de"}"#);
    assert_eq!(published(&start).payload, expected);
    let draft = published(&talk.decode(Frame::Binary(b"\x01\x02")).unwrap());
    let content_type = "audio/pcm16;rate=16000".into();
    assert_eq!(draft.payload, Payload::Binary { content_type, bytes });
    assert_eq!(draft.headers.unwrap(), r#"{"format":"pcm16","rate":"16000"}"#);

    let end = ask(&mut *talk, r#"{"command":"audio_end"}"#);
    assert_eq!(published(&end).payload, json(r#"{"audio":"audio_end"}"#));
    let draft = published(&talk.decode(Frame::Binary(b"")).unwrap());
    assert_eq!(draft.headers, None);
}

#[test]
fn a_whole_media_type_stays() {
    let mut talk = talk();
    ask(&mut *talk, r#"{"command":"audio_start","data":{"format":"audio/webm;codecs=opus"}}"#);
    let chunk = talk.decode(Frame::Binary(b"x")).unwrap();
    let Command::Publish(draft) = &chunk[0].command else { panic!() };
    let Payload::Binary { content_type, .. } = &draft.payload else { panic!() };
    assert_eq!(&**content_type, "audio/webm;codecs=opus");
}

#[test]
fn what_is_no_command_means_nothing() {
    let mut talk = talk();
    for text in ["{}", "[]", "1", "\"x\"", "null", r#"{"command":7}"#, r#"{"type":"ping"}"#] {
        assert!(ask(&mut *talk, text).is_empty(), "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_told() {
    let mut talk = talk();
    for text in ["{", "", "hello", "[1,", "{\"a\":}"] {
        let answer = refused(&mut *talk, text);
        assert!(
            answer.starts_with(r#"{"event":"error","code":"invalid_json","message":""#),
            "{answer}"
        );
    }
    let answer = refused(&mut *talk, &"[".repeat(100_000));
    assert!(answer.contains("invalid_json"), "{answer}");
    let answer = refused(&mut *talk, r#"{"command":"a","command":"b"}"#);
    assert!(answer.starts_with(r#"{"event":"error","code":"bad_request""#), "{answer}");
    for text in [
        r#"{"command":"subscribe","events":[]}"#,
        r#"{"command":"subscribe","events":"transcription"}"#,
        r#"{"command":"subscribe","events":[1]}"#,
        r#"{"command":"subscribe","events":["a b"]}"#,
        r#"{"command":"subscribe","session_id":7}"#,
        r#"{"command":"unsubscribe","events":[{}]}"#,
        r#"{"command":"audio_start","data":{"rate":"x"}}"#,
        r#"{"command":"audio_start","data":{"format":"a\r\nb"}}"#,
        r#"{"command":"start session"}"#,
        r#"{"command":"x","id":{}}"#,
    ] {
        let answer = refused(&mut *talk, text);
        let value: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((&value["event"], &value["ok"]), (&"command_result".into(), &false.into()));
        assert!(!value["error"]["message"].as_str().unwrap().is_empty());
    }
    let error = Error::new(ErrorCode::RateLimited, "slower");
    let expected = r#"{"event":"error","code":"rate_limited","message":"slower"}"#;
    assert_eq!(told(&mut *talk, None, Err(error)), expected);
}

proptest! {
    #[test]
    fn any_frame_is_read_or_refused(text in ".{0,60}") {
        let mut talk = talk();
        if let Err(wrong) = talk.decode(Frame::Text(&text)) {
            prop_assert!(!told(&mut *talk, wrong.id, Err(wrong.error)).is_empty());
        }
    }
}

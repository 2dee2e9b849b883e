use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::command::{Command, Exclude, Request, Start, Subscribe};
use crate::error::ErrorCode;
use crate::event::{ClientId, Draft, Payload};
use crate::message::{Answer, Interest, Link, Status, Welcome};
use crate::pattern::Pattern;
use crate::position::Position;

const NOW_MS: u64 = 1_767_323_045_678;
const NOW: &str = "2026-01-02T03:04:05.678Z";

fn dialect() -> Table {
    let names = vec!["ball_pocketed".to_owned(), "game_started".to_owned()];
    Table::new(&Settings { root: Some(Topic::parse("table").unwrap()), names })
}

fn talk() -> Box<dyn Conversation> {
    let opening = Opening { client: ClientId(1), user: None, query: &[] };
    dialect().open(&opening).unwrap().conversation
}

fn request(talk: &mut dyn Conversation, text: &str) -> Request {
    let mut requests = talk.decode(Frame::Text(text)).expect(text);
    assert_eq!(requests.len(), 1, "{text}");
    requests.pop().unwrap()
}

fn told(talk: &mut dyn Conversation, message: &Message) -> Option<Value> {
    let mut out = Vec::new();
    let kind = talk.encode(NOW_MS, message, &mut out);
    assert_eq!(kind.is_some(), !out.is_empty());
    kind.map(|_| serde_json::from_slice(&out).expect("what is said is JSON"))
}

fn answered(talk: &mut dyn Conversation, id: Option<i64>, answer: Answer) -> Value {
    told(talk, &Message::Reply { id, result: Ok(answer) }).expect("an answer")
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

fn interests(topics: &[&str]) -> Vec<Interest> {
    let interest = |t: &&str| Interest { topic: pattern(t), filter: None, mode: Mode::EVERY };
    topics.iter().map(interest).collect()
}

fn included(text: &str) -> Subscribe {
    match request(&mut *talk(), text).command {
        Command::Include(body) => *body,
        other => panic!("{text}: {other:?}"),
    }
}

/// The code and the message of the error that a frame gets.
fn error_of(frame: Frame<'_>) -> (String, String) {
    let mut talk = talk();
    let misspelled = talk.decode(frame).expect_err("a mistake");
    assert!(misspelled.id.is_some() && !misspelled.was_hello);
    let result = Err(misspelled.error);
    let told = told(&mut *talk, &Message::Reply { id: misspelled.id, result }).unwrap();
    assert_eq!(told["type"], "error");
    assert_eq!(told["timestamp"], NOW);
    let text = |name: &str| told["data"][name].as_str().unwrap().to_owned();
    (text("code"), text("message"))
}

#[test]
fn a_client_is_welcomed() {
    let welcome = Welcome {
        client: ClientId(0xab),
        session: String::new(),
        node: "n".into(),
        user: None,
        heartbeat_ms: 1,
        message_bytes_max: 1,
        subscriptions_max: 1,
    };
    let data =
        json!({"timestamp": NOW, "client_id": format!("{:032x}", 0xab), "status": "connected"});
    let expected = json!({"type": "connection", "data": data, "timestamp": NOW});
    assert_eq!(told(&mut *talk(), &Message::Welcome(Box::new(welcome))), Some(expected));
}

#[test]
fn a_subscribe_names_what_it_got_and_what_there_is_not() {
    let mut talk = talk();
    let text = r#"{"type":"subscribe","data":{"streams":["state","nope","state","alert"]}}"#;
    let asked = request(&mut *talk, text);
    let Command::Include(body) = &asked.command else { panic!("{asked:?}") };
    assert_eq!(body.topics, [pattern("table.state"), pattern("table.alert")]);
    assert_eq!((&body.start, body.mode), (&Start::Now, Mode::EVERY));
    let all = interests(&["table.config", "table.state", "table.alert"]);
    let told = answered(&mut *talk, asked.id, Answer::Included(all));
    let data = json!({
        "timestamp": NOW,
        "streams": ["state", "alert"],
        "all_subscriptions": ["config", "state", "alert"],
        "rejected": ["nope"],
    });
    assert_eq!(told, json!({"type": "subscribed", "data": data, "timestamp": NOW}));
}

#[test]
fn a_subscribe_to_unknown_streams_alone_is_answered_too() {
    let mut talk = talk();
    let asked = request(&mut *talk, r#"{"type":"subscribe","data":{"streams":["nope"]}}"#);
    assert_eq!(asked.command, Command::Exclude(Exclude::Named(Vec::new())));
    let answer = Answer::Excluded { removed: Vec::new(), all: interests(&["table.state"]) };
    let told = answered(&mut *talk, asked.id, answer);
    assert_eq!(told["type"], "subscribed");
    assert_eq!(told["data"]["streams"], json!([]));
    assert_eq!(told["data"]["all_subscriptions"], json!(["state"]));
    assert_eq!(told["data"]["rejected"], json!(["nope"]));
}

#[test]
fn an_unsubscribe_names_what_was_removed() {
    let mut talk = talk();
    let text = r#"{"type":"unsubscribe","data":{"streams":["state","ball_pocketed","nope"]}}"#;
    let asked = request(&mut *talk, text);
    let named = vec![pattern("table.state"), pattern("table.ball_pocketed")];
    assert_eq!(asked.command, Command::Exclude(Exclude::Named(named)));
    let answer = Answer::Excluded {
        removed: vec![pattern("table.state")],
        all: interests(&["table.alert"]),
    };
    let told = answered(&mut *talk, asked.id, answer);
    assert_eq!(told["type"], "unsubscribed");
    assert_eq!(told["data"]["streams"], json!(["state"]));
    assert_eq!(told["data"]["all_subscriptions"], json!(["alert"]));
    assert_eq!(told["data"]["rejected"], json!(["nope"]));
}

#[test]
fn wishes_become_modes_filters_and_starts() {
    let subscribe = |more: &str| {
        included(&format!(r#"{{"type":"subscribe","data":{{"streams":["state"]{more}}}}}"#))
    };
    assert_eq!(subscribe(r#","last":7"#).start, Start::Last(7));
    assert_eq!(subscribe(r#","last":0,"since_sequence":null"#).start, Start::Now);
    assert_eq!(subscribe(r#","since_sequence":0"#).start, Start::After(0));
    assert_eq!(subscribe(r#","filters":null"#).mode, Mode::EVERY);
    let mode = subscribe(r#","filters":{"max_fps":10}"#).mode;
    assert_eq!(mode, Mode { latest: true, interval_ms: 100, batch: false });
    let filtered = subscribe(r#","filters":{"where":{"field":"/level","op":"eq","value":"high"}}"#);
    let filter = filtered.filter.unwrap();
    let accepts =
        |data: &'static str| filter.accepts(&Payload::Json(Bytes::from_static(data.as_bytes())));
    assert!(accepts(r#"{"level":"high"}"#));
    assert!(!accepts(r#"{"level":"low"}"#));
}

#[test]
fn a_batch_that_the_query_asks_for_is_in_every_subscription() {
    let query = [("batch".to_owned(), "50ms".to_owned())];
    let opening = Opening { client: ClientId(1), user: None, query: &query };
    let mut talk = dialect().open(&opening).unwrap().conversation;
    let asked = request(&mut *talk, r#"{"type":"subscribe","data":{"streams":["state"]}}"#);
    let Command::Include(body) = asked.command else { panic!() };
    assert_eq!(body.mode, Mode { latest: false, interval_ms: 50, batch: true });
    let query = [("batch".to_owned(), "soon".to_owned())];
    assert!(dialect().open(&Opening { query: &query, ..opening }).is_err());
}

#[test]
fn mistakes_get_the_codes_of_this_dialect() {
    let subscribe = |data: &str| format!(r#"{{"type":"subscribe","data":{data}}}"#);
    let many: Vec<String> = (0..100_000).map(|n| format!("\"s{n}\"")).collect();
    let cases = [
        ("nonsense".to_owned(), "INVALID_JSON"),
        (String::new(), "INVALID_JSON"),
        ("[1]".to_owned(), "MESSAGE_HANDLER_ERROR"),
        ("7".to_owned(), "MESSAGE_HANDLER_ERROR"),
        ("[".repeat(100), "MESSAGE_HANDLER_ERROR"),
        (r#"{"type":"ping","type":"ping"}"#.to_owned(), "MESSAGE_HANDLER_ERROR"),
        ("{}".to_owned(), "UNKNOWN_MESSAGE_TYPE"),
        (r#"{"type":7}"#.to_owned(), "UNKNOWN_MESSAGE_TYPE"),
        (r#"{"type":"dance"}"#.to_owned(), "UNKNOWN_MESSAGE_TYPE"),
        (r#"{"type":"subscribe"}"#.to_owned(), "INVALID_SUBSCRIBE_FORMAT"),
        (subscribe("[]"), "INVALID_SUBSCRIBE_FORMAT"),
        (subscribe("{}"), "INVALID_SUBSCRIBE_FORMAT"),
        (subscribe(r#"{"streams":"state"}"#), "INVALID_SUBSCRIBE_FORMAT"),
        (subscribe(r#"{"streams":[]}"#), "INVALID_SUBSCRIBE_FORMAT"),
        (subscribe(r#"{"streams":[1]}"#), "INVALID_SUBSCRIBE_FORMAT"),
        (subscribe(&format!(r#"{{"streams":[{}]}}"#, many.join(","))), "INVALID_SUBSCRIBE_FORMAT"),
        (subscribe(r#"{"streams":["state"],"last":-1}"#), "INVALID_SUBSCRIBE_FORMAT"),
        (
            subscribe(r#"{"streams":["state"],"last":1,"since_sequence":2}"#),
            "INVALID_SUBSCRIBE_FORMAT",
        ),
        (subscribe(r#"{"streams":["state"],"since_sequence":"x"}"#), "INVALID_SUBSCRIBE_FORMAT"),
        (subscribe(r#"{"streams":["state"],"filters":[]}"#), "INVALID_SUBSCRIBE_FORMAT"),
        (subscribe(r#"{"streams":["state"],"filters":{"max_fps":0}}"#), "INVALID_SUBSCRIBE_FORMAT"),
        (subscribe(r#"{"streams":["state"],"filters":{"fields":[]}}"#), "INVALID_SUBSCRIBE_FORMAT"),
        (
            subscribe(r#"{"streams":["state"],"filters":{"fields":"x"}}"#),
            "INVALID_SUBSCRIBE_FORMAT",
        ),
        (subscribe(r#"{"streams":["state"],"filters":{"where":{}}}"#), "INVALID_SUBSCRIBE_FORMAT"),
        (subscribe(r#"{"streams":["frame"],"filters":{"binary":1}}"#), "INVALID_SUBSCRIBE_FORMAT"),
        (
            r#"{"type":"unsubscribe","data":{"streams":{}}}"#.to_owned(),
            "INVALID_UNSUBSCRIBE_FORMAT",
        ),
        (r#"{"type":"unsubscribe","data":null}"#.to_owned(), "INVALID_UNSUBSCRIBE_FORMAT"),
        (r#"{"type":"ack","data":{"stream":"state"}}"#.to_owned(), "INVALID_ACK_FORMAT"),
        (
            r#"{"type":"ack","data":{"stream":"nope","sequence":1}}"#.to_owned(),
            "INVALID_ACK_FORMAT",
        ),
    ];
    for (text, code) in &cases {
        let (found, message) = error_of(Frame::Text(text));
        assert_eq!(found, *code, "{text:.80}");
        assert!(message.len() > 10, "{text:.80}: {message}");
    }
    assert_eq!(error_of(Frame::Binary(b"{\"type\":\"ping\"}")).0, "INVALID_JSON");
}

#[test]
fn errors_of_the_server_keep_their_words_in_capitals() {
    let mut talk = talk();
    let mut code_of = |code: ErrorCode| {
        let asked = request(&mut *talk, r#"{"type":"ping"}"#);
        let error = Error::new(code, "why").retry_after(1_500);
        let told = told(&mut *talk, &Message::Reply { id: asked.id, result: Err(error) }).unwrap();
        assert_eq!(told["data"]["retry_after_ms"], 1_500);
        told["data"]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code_of(ErrorCode::RateLimited), "RATE_LIMIT");
    assert_eq!(code_of(ErrorCode::Internal), "MESSAGE_HANDLER_ERROR");
    assert_eq!(code_of(ErrorCode::TooManySubscriptions), "TOO_MANY_SUBSCRIPTIONS");
    // Who is refused for what it sends too often is told so, whatever it sent.
    let misspelled = talk.decode(Frame::Text("x")).unwrap_err();
    let result = Err(Error::new(ErrorCode::RateLimited, "too fast"));
    let told = told(&mut *talk, &Message::Reply { id: misspelled.id, result }).unwrap();
    assert_eq!(told["data"]["code"], "RATE_LIMIT");
}

#[test]
fn signs_of_life_are_answered() {
    let mut talk = talk();
    let status = Status {
        client: ClientId(7),
        user: Some("ann".into()),
        interests: interests(&["table.state"]),
        events_out: 5,
        bytes_out: 900,
        messages_in: 3,
        link: Link {
            connected_at_ms: NOW_MS - 2_500,
            bytes_in: 80,
            latency_ms: Some(12),
            quality: 0.943_396,
            is_alive: true,
        },
    };
    let asked = request(&mut *talk, r#"{"type":"ping","data":{},"timestamp":"x"}"#);
    assert_eq!(asked.command, Command::Status);
    let pong = answered(&mut *talk, asked.id, Answer::Status(Box::new(status.clone())));
    let data = json!({"timestamp": NOW, "quality_score": 0.943});
    assert_eq!(pong, json!({"type": "pong", "data": data, "timestamp": NOW}));

    let asked = request(&mut *talk, r#"{"type":"heartbeat"}"#);
    assert_eq!(asked.command, Command::Ping);
    let told = answered(&mut *talk, asked.id, Answer::Pong { time_ms: NOW_MS });
    assert_eq!(told["type"], "heartbeat_response");

    let asked = request(&mut *talk, r#"{"type":"get_status","data":null}"#);
    let told = answered(&mut *talk, asked.id, Answer::Status(Box::new(status)));
    let data = json!({
        "timestamp": NOW,
        "client_id": format!("{:032x}", 7),
        "user_id": "ann",
        "connected_at": "2026-01-02T03:04:03.178Z",
        "uptime": 2.5,
        "subscriptions": ["state"],
        "message_count": 8,
        "bytes_sent": 900,
        "bytes_received": 80,
        "quality_score": 0.943,
        "last_ping_latency": 12,
        "is_alive": true,
    });
    assert_eq!(told, json!({"type": "status", "data": data, "timestamp": NOW}));
}

#[test]
fn an_acknowledgement_says_whether_it_is_kept() {
    let mut talk = talk();
    let text = r#"{"type":"ack","data":{"stream":"state","sequence":42}}"#;
    let topic = Topic::parse("table.state").unwrap();
    for positions in [vec![Position::parse("s:e:42").unwrap()], Vec::new()] {
        let is_stored = !positions.is_empty();
        let asked = request(&mut *talk, text);
        assert_eq!(asked.command, Command::AcknowledgeTopic { topic: topic.clone(), seq: 42 });
        let told = answered(&mut *talk, asked.id, Answer::Acknowledged(positions));
        let data =
            json!({"timestamp": NOW, "stream": "state", "sequence": 42, "stored": is_stored});
        assert_eq!(told, json!({"type": "acked", "data": data, "timestamp": NOW}));
    }
}

#[test]
fn a_look_begins_with_the_answer_and_ends_with_the_subscription() {
    let mut talk = talk();
    let text = r#"{"type":"subscribe","data":{"streams":["state"],
        "filters":{"fields":["cue","balls","cue"],"binary":false}}}"#;
    let asked = request(&mut *talk, text);
    assert_eq!(talk.look(), None);
    answered(&mut *talk, asked.id, Answer::Included(interests(&["table.state"])));
    let fields = r#"{"state":{"fields":["balls","cue"]}}"#;
    assert_eq!(talk.look().map(|look| &**look), Some(fields));

    let mut other = super::tests::talk();
    let text = r#"{"type":"subscribe","data":{"streams":["frame"],"filters":{"binary":true}}}"#;
    let asked = request(&mut *other, text);
    answered(&mut *other, asked.id, Answer::Included(interests(&["table.frame"])));
    other.restore_look(fields);
    let both = r#"{"frame":{"binary":true},"state":{"fields":["balls","cue"]}}"#;
    assert_eq!(other.look().map(|look| &**look), Some(both));

    let text = r#"{"type":"unsubscribe","data":{"streams":["frame","state"]}}"#;
    let asked = request(&mut *other, text);
    let removed = vec![pattern("table.frame"), pattern("table.state")];
    answered(&mut *other, asked.id, Answer::Excluded { removed, all: Vec::new() });
    assert_eq!(other.look(), None);
}

fn spelled(dialect: &dyn Dialect, draft: Draft) -> (FrameKind, Vec<u8>) {
    let event = Event { seq: 9, time_ms: NOW_MS, draft };
    let mut out = Vec::new();
    let kind = dialect.event(&StreamName::parse("any").unwrap(), &event, &mut out);
    (kind, out)
}

fn draft(name: &str, payload: Payload) -> Draft {
    Draft::new(Topic::parse(&format!("table.{name}")).unwrap(), payload)
}

fn event(dialect: &dyn Dialect, name: &str, data: &'static str) -> String {
    let payload = Payload::Json(Bytes::from_static(data.as_bytes()));
    let (kind, out) = spelled(dialect, draft(name, payload));
    assert_eq!(kind, FrameKind::Text);
    String::from_utf8(out).unwrap()
}

fn look(options: &str) -> Arc<dyn Dialect> {
    dialect().variant(options).unwrap()
}

#[test]
fn data_stand_as_published_with_their_sequence() {
    let end = format!(r#","timestamp":"{NOW}","sequence":9}}"#);
    for (data, expected) in [
        (
            r#"{ "b":1.50, "a":12345678901234567890 }"#,
            r#"{ "b":1.50, "a":12345678901234567890,"sequence":9}"#,
        ),
        ("{}", r#"{"sequence":9}"#),
        (" { } ", r#"{"sequence":9}"#),
        (r#"{"sequence":"mine"}"#, r#"{"sequence":"mine"}"#),
        (r#"{"x":{"sequence":1}}"#, r#"{"x":{"sequence":1},"sequence":9}"#),
        ("[1,2]", "[1,2]"),
        ("\"grün\"", "\"grün\""),
        ("null", "null"),
    ] {
        let told = event(&dialect(), "state", data);
        assert_eq!(told, format!(r#"{{"type":"state","data":{expected}{end}"#));
    }
}

#[test]
fn a_view_picks_members_of_its_stream_alone() {
    let look = look(r#"{"state":{"fields":["balls","gone"]}}"#);
    let data = r#"{"cue":[0,1],"balls":[ {"x":1} ],"table":{}}"#;
    let told: Value = serde_json::from_str(&event(&*look, "state", data)).unwrap();
    assert_eq!(told["data"], json!({"balls": [{"x": 1}], "sequence": 9}));
    let told: Value = serde_json::from_str(&event(&*look, "config", data)).unwrap();
    assert_eq!(told["data"]["table"], json!({}));
    let told: Value = serde_json::from_str(&event(&*look, "state", "{\"cue\":1}")).unwrap();
    assert_eq!(told["data"], json!({"sequence": 9}));
    let own = event(&*look, "state", r#"{"sequence":3,"cue":1}"#);
    assert!(own.contains(r#""data":{"sequence":3},"#), "{own}");
}

fn image() -> Payload {
    let bytes = [&[0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 1, 0xe0, 2, 0x80][..], b"\n{}"].concat();
    Payload::Binary { content_type: "image/jpeg".into(), bytes: bytes.into() }
}

#[test]
fn an_image_is_text_for_those_who_want_it_plainly() {
    let mut draft = draft("frame", image());
    draft.headers = Some(Bytes::from_static(br#"{"fps":"29.97","camera":"left","image":"no"}"#));
    let (kind, out) = spelled(&dialect(), draft);
    assert_eq!(kind, FrameKind::Text);
    let told: Value = serde_json::from_slice(&out).unwrap();
    let data = json!({
        "image": "/9j/wAARCAHgAoAKe30=",
        "width": 640,
        "height": 480,
        "format": "jpeg",
        "fps": 29.97,
        "camera": "left",
        "sequence": 9,
    });
    let expected = json!({"type": "frame", "data": data, "timestamp": NOW, "sequence": 9});
    assert_eq!(told, expected);
}

#[test]
fn an_image_is_bytes_behind_a_line_for_those_who_ask() {
    let mut draft = draft("frame", image());
    draft.headers = Some(Bytes::from_static(b"{\"width\":\n\"10\",\"note\":\"x\"}"));
    let (kind, out) = spelled(&*look(r#"{"frame":{"binary":true}}"#), draft);
    assert_eq!(kind, FrameKind::Binary);
    let end = out.iter().position(|byte| *byte == b'\n').unwrap();
    let told: Value = serde_json::from_slice(&out[..end]).unwrap();
    let data = json!({
        "content_type": "image/jpeg",
        "size": 14,
        "height": 480,
        "format": "jpeg",
        "width": 10,
        "note": "x",
        "sequence": 9,
    });
    assert_eq!(told, json!({"type": "frame", "data": data, "timestamp": NOW, "sequence": 9}));
    let Payload::Binary { bytes, .. } = image() else { panic!() };
    assert_eq!(out[end + 1..], bytes);
}

#[test]
fn bytes_that_are_no_image_say_what_they_are() {
    let payload =
        Payload::Binary { content_type: "audio/x".into(), bytes: Bytes::from_static(b"\0\xff") };
    let (_, out) = spelled(&dialect(), draft("state", payload));
    let told: Value = serde_json::from_slice(&out).unwrap();
    let data = json!({"base64": "AP8=", "content_type": "audio/x", "sequence": 9});
    assert_eq!(told["data"], data);
}

proptest! {
    #[test]
    fn any_frame_is_a_request_or_a_mistake(text in "\\PC{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut talk = talk();
        for frame in [Frame::Text(&text), Frame::Binary(&bytes)] {
            if let Err(misspelled) = talk.decode(frame) {
                prop_assert!(!misspelled.error.message.is_empty());
            }
        }
        let _ = dialect().variant(&text);
    }
}

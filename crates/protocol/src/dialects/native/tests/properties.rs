use bytes::Bytes;
use proptest::prelude::*;

use super::{binary, command, encode, frame, patterns, position, stream};
use crate::dialects::native::wire::Writer;
use crate::dialects::native::{Native, NativeProtobuf, push_event_object};
use crate::{
    Answer, ClientId, Command, Conversation, Draft, Error, ErrorCode, Event, Frame, FrameKind,
    Message, Payload, Subscribed, SubscriptionId, Topic, Welcome,
};

/// Inputs that have broken JSON readers, after JSONTestSuite.
const NASTY: &[&str] = &[
    "",
    " ",
    "\u{0}",
    "\u{feff}{}",
    "{",
    "}",
    "{]",
    "[1,]",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{a:1}",
    "{'ping':{}}",
    "{\"ping\":{}}x",
    "{\"ping\":{}}\u{0}",
    "nan",
    "{\"id\":NaN,\"ping\":{}}",
    "{\"id\":+1,\"ping\":{}}",
    "{\"id\":01,\"ping\":{}}",
    "{\"id\":-,\"ping\":{}}",
    "{\"id\":1.,\"ping\":{}}",
    "{\"id\":.5,\"ping\":{}}",
    "{\"id\":0x1,\"ping\":{}}",
    "{\"id\":Infinity,\"ping\":{}}",
    "{\"\\ud800\":1}",
    "{\"\\u\":1}",
    "{\"\\x00\":1}",
    "{\"a\n\":1}",
    "{\"hello\":{\"device\":\"\\ud800\"}}",
    "{\"hello\":{\"device\":\"\\u0000\"}}",
    "{\"hello\":{\"device\":\"a\tb\"}}",
    "// c\n{\"ping\":{}}",
    "{\"ping\":{}/**/}",
    "{\"ping\":tru}",
    "{\"ping\":nullx}",
    "[[[[",
    "{\"a\":{\"a\":{\"a\":",
    "\"",
    "\"\\",
    "1e99999",
    "{\"id\":1e99999,\"ping\":{}}",
    "{\"publish\":{\"topic\":\"a\",\"data\":1e}}",
    "{\"publish\":{\"topic\":\"a\",\"data\":\"\u{1}\"}}",
    "{\"publish\":{\"topic\":\"a\",\"data\":[1 2]}}",
    "{\"publish\":{\"topic\":\"\\u0000\",\"data\":1}}",
    "{\"subscribe\":{\"topics\":[[[]]]}}",
];

#[test]
fn nasty_inputs_are_refused() {
    for text in NASTY {
        assert!(Native.decode(Frame::Text(text)).is_err(), "{text:?}");
        let line = format!("{text}\nrest");
        assert!(Native.decode(Frame::Binary(line.as_bytes())).is_err(), "{text:?}");
    }
}

/// JSON text with odd spacing, numbers that no float holds, escapes and any characters.
fn any_json() -> impl Strategy<Value = String> + Clone {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,5})?",
        "\"([^\"\\\\\\x00-\\x1f]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}){0,20}\"",
    ];
    leaf.prop_recursive(8, 64, 5, |inner| {
        let space = "[ \t\n\r]{0,3}";
        let item = (space, inner.clone(), space).prop_map(|(a, item, b)| format!("{a}{item}{b}"));
        let field = ("\"[a-c\\u{fc}]{0,2}\"", space, inner)
            .prop_map(|(key, space, value)| format!("{key}{space}:{value}"));
        prop_oneof![
            prop::collection::vec(item, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(field, 0..5).prop_map(|items| format!("{{{}}}", items.join(","))),
        ]
    })
}

/// JSON that resembles messages: real verbs and fields with wrong values.
fn almost_a_message() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "hello",
        "subscribe",
        "unsubscribe",
        "publish",
        "history",
        "ping",
        "id",
        "topics",
        "topic",
        "from",
        "last",
        "since",
        "positions",
        "resume",
        "stream",
        "epoch",
        "after",
        "headers",
        "key",
        "user",
        "data",
        "content_type",
        "subscriptions",
        "max_rate",
        "batch_ms",
        "limit",
        "device",
        "filter",
        "field",
        "op",
        "value",
        "all",
        "not",
        "ack",
    ]);
    let leaf = prop_oneof![
        any_json(),
        prop::sample::select(vec!["\"a.>\"", "[\"a\"]", "1", "\"s1\"", "\"now\"", "true"])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        let field = (names.clone(), inner.clone()).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        prop_oneof![
            3 => prop::collection::vec(field, 0..4).prop_map(|items| format!("{{{}}}", items.join(","))),
            1 => prop::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    })
}

fn any_payload() -> impl Strategy<Value = Payload> + Clone {
    prop_oneof![
        any_json().prop_map(|text| Payload::Json(text.into())),
        (".{1,20}", any::<Vec<u8>>()).prop_map(|(content_type, bytes)| Payload::Binary {
            content_type: content_type.into(),
            bytes: bytes.into()
        }),
    ]
}

fn any_event() -> impl Strategy<Value = Event> + Clone {
    let headers = prop_oneof![
        Just(None),
        Just(Some("{}")),
        Just(Some("{\n\"a\" :\r\n\"\\n\"}")),
        Just(Some("{\"ü\":\"日本\"}")),
    ];
    let topic = prop::sample::select(vec!["a", "a.b", "$x.y", "q\".\\b", "日本.ü"]);
    let place = (0..1_u64 << 53, any::<u64>());
    (topic, any_payload(), headers, place).prop_map(|(topic, payload, headers, (seq, time_ms))| {
        let mut draft = Draft::new(Topic::parse(topic).unwrap(), payload);
        draft.headers = headers.map(Bytes::from);
        Event { seq, time_ms, draft }
    })
}

fn any_message() -> impl Strategy<Value = Message> {
    let events = prop::collection::vec(any_event(), 0..4);
    let details = prop_oneof![Just(None), Just(Some("{\"ü\":[1,\r\n2]}")), Just(Some("null"))];
    let codes = prop::sample::select(ErrorCode::ALL.to_vec());
    let error = (codes, ".*", any::<Option<u64>>(), details);
    let error = error.prop_map(|(code, message, retry_after_ms, details)| Error {
        code,
        message,
        retry_after_ms,
        details: details.map(Into::into),
    });
    let names = (any::<u128>(), ".*", ".*", any::<Option<String>>(), any::<usize>());
    prop_oneof![
        names.prop_map(|(client, session, node, user, size)| Message::Welcome(Box::new(Welcome {
            client: ClientId(client),
            session,
            node: node.into(),
            user: user.map(Into::into),
            heartbeat_ms: 1,
            message_bytes_max: size,
            subscriptions_max: 1,
        }))),
        error.clone().prop_map(Message::Error),
        (any::<i64>(), error)
            .prop_map(|(id, error)| Message::Reply { id: Some(id), result: Err(error) }),
        (any::<u32>(), events.clone(), any::<bool>()).prop_map(|(id, events, done)| {
            Message::Replay {
                subscription: SubscriptionId(id),
                stream: stream("news"),
                events,
                done,
            }
        }),
        (any::<i64>(), events, any::<u64>(), any::<bool>()).prop_map(
            |(id, events, after, more)| {
                let (stream, epoch) = (stream("news"), position("s:e:1").epoch);
                let answer = Answer::History { stream, epoch, events, after, more };
                Message::Reply { id: Some(id), result: Ok(answer) }
            }
        ),
        (any::<i64>(), any::<u64>(), any::<bool>()).prop_map(|(id, seq, truncated)| {
            let mut position = position("s:e:1");
            position.seq = seq;
            let (subscription, topics) = (SubscriptionId(1), patterns(&["ü.>", "\"\\"]));
            let answer = Subscribed { subscription, topics, positions: vec![position], truncated };
            Message::Reply { id: Some(id), result: Ok(Answer::Subscribed(answer)) }
        }),
    ]
}

/// Messages within messages, with numbers that fields have and values that they may have.
fn almost_protobuf() -> impl Strategy<Value = Vec<u8>> {
    let words = vec!["", "a", "a.>", "s1", "{}", "\"x\"", "image/jpeg", "e1", "\u{7f}", "now"];
    let leaf = prop_oneof![
        prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        any::<Vec<u8>>(),
    ];
    let one = |number: u32, kind: u32, number_value: u64, inner: Vec<u8>| {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        match kind {
            0 => writer.uint(number, number_value),
            _ => writer.bytes(number, &inner),
        }
        out
    };
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let value = prop_oneof![0..3_u64, any::<u64>()];
        let field = (1..14_u32, 0..5_u32, value, inner);
        let field =
            field.prop_map(move |(number, kind, value, inner)| one(number, kind, value, inner));
        prop::collection::vec(field, 0..5).prop_map(|fields| fields.concat())
    })
}

proptest! {
    #[test]
    fn decoding_never_panics(bytes: Vec<u8>, text: String) {
        let _ = Native.decode(Frame::Binary(&bytes));
        let _ = Native.decode(Frame::Text(&text));
    }

    #[test]
    fn decoding_what_resembles_a_message_never_panics(text in almost_a_message()) {
        let _ = Native.decode(Frame::Text(&text));
        let _ = Native.decode(Frame::Binary(format!("{}\nx", text.replace('\n', " ")).as_bytes()));
    }

    #[test]
    fn decoding_protobuf_never_panics(bytes: Vec<u8>) {
        let _ = NativeProtobuf.decode(Frame::Binary(&bytes));
    }

    #[test]
    fn decoding_what_resembles_protobuf_never_panics(message in almost_protobuf()) {
        let _ = NativeProtobuf.decode(Frame::Binary(&message));
    }

    #[test]
    fn published_json_arrives_byte_for_byte(data in any_json()) {
        let text = format!(r#"{{"publish":{{"topic":"a","data":{data}}}}}"#);
        let Command::Publish(draft) = command(&text) else { panic!("no publish") };
        prop_assert_eq!(&draft.payload, &Payload::Json(data.clone().into()));
        let event = Event { seq: 1, time_ms: 1, draft: *draft };
        let (kind, sent) = frame(&stream("s"), &event);
        prop_assert_eq!(kind, FrameKind::Text);
        let start = r#"{"event":{"topic":"a","stream":"s","seq":1,"time":1,"data":"#;
        prop_assert_eq!(String::from_utf8(sent).unwrap(), format!("{start}{data}}}}}"));
    }

    #[test]
    fn published_bytes_arrive_byte_for_byte(data: Vec<u8>) {
        let mut sent = br#"{"publish":{"topic":"a","content_type":"a/b"}}"#.to_vec();
        sent.push(b'\n');
        sent.extend_from_slice(&data);
        let request = binary(&sent);
        let Command::Publish(draft) = request.command else { panic!("no publish") };
        let (kind, received) = frame(&stream("s"), &Event { seq: 1, time_ms: 1, draft: *draft });
        prop_assert_eq!(kind, FrameKind::Binary);
        let line_end = received.iter().position(|byte| *byte == b'\n').unwrap();
        prop_assert_eq!(&received[line_end + 1..], &data[..]);
    }

    #[test]
    fn the_first_line_of_an_event_is_valid_json(event in any_event()) {
        let (kind, bytes) = frame(&stream("s"), &event);
        let head = match kind {
            FrameKind::Text => &bytes[..],
            FrameKind::Binary => bytes.split(|byte| *byte == b'\n').next().unwrap(),
        };
        let read: Box<serde_json::value::RawValue> = serde_json::from_slice(head).unwrap();
        let starts_well = read.get().starts_with("{\"event\":{");
        prop_assert!(starts_well);
        let mut object = Vec::new();
        push_event_object(&stream("s"), &event, true, &mut object);
        serde_json::from_slice::<Box<serde_json::value::RawValue>>(&object).unwrap();
    }

    #[test]
    fn what_the_server_writes_is_valid_json(message in any_message()) {
        let text = encode(&message).unwrap();
        serde_json::from_str::<Box<serde_json::value::RawValue>>(&text).unwrap();
    }
}

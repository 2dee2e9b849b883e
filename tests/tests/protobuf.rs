//! The two encodings of the native protocol say the same, and `tidings.proto` describes one of
//! them: it is read and written here by an implementation that is not ours.
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use bytes::Bytes;
use proptest::prelude::*;
use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message as _;
use protocol::dialects::native::{Native, NativeProtobuf};
use protocol::{
    Answer, Appended, ClientId, CloseReason, Conversation, Dialect, Draft, Durability, Epoch,
    Error, ErrorCode, Event, Frame, FrameKind, Gap, GapReason, Message, Pattern, Payload, Position,
    StreamName, Subscribed, SubscriptionId, Topic, Welcome,
};
use serde_json::Value;
use tidings_tests::protobuf::{
    Said, client_bytes, client_message, descriptor, push_bytes, server_message,
};

/// Messages of clients, of which the last ones are wrong.
const ASKED: &[&str] = &[
    r#"{"ping":{}}"#,
    r#"{"id":0,"ping":{}}"#,
    r#"{"id":-9223372036854775808,"ping":{}}"#,
    r#"{"id":9223372036854775807,"ping":{}}"#,
    r#"{"hello":{}}"#,
    r#"{"id":1,"hello":{"device":"phone","session":"se.ss","takeover":true}}"#,
    r#"{"hello":{"resume":[{"stream":"a","epoch":"e1","after":7},{"stream":"b","epoch":"e2","after":0}],"subscriptions":[{"topics":["a.>"]},{"topics":["b"],"latest":true}]}}"#,
    r#"{"subscribe":{"topics":["a.*","ü.>"],"except":["a.b"],"latest":false}}"#,
    r#"{"subscribe":{"topics":["a"],"from":"now"}}"#,
    r#"{"subscribe":{"topics":["a"],"from":{"last":100000},"latest":true}}"#,
    r#"{"subscribe":{"topics":["a"],"from":{"since":1795181562404}}}"#,
    r#"{"subscribe":{"topics":["a"],"from":{"since":0}}}"#,
    r#"{"subscribe":{"topics":["a"],"from":{"positions":[]}}}"#,
    r#"{"subscribe":{"topics":["a"],"from":{"positions":[{"stream":"s","epoch":"e","after":9007199254740991}]}}}"#,
    r#"{"subscribe":{"topics":["a"],"max_rate":2.5,"batch_ms":500}}"#,
    r#"{"unsubscribe":{"topics":["a","b.>"]}}"#,
    r#"{"unsubscribe":{"subscription":"s12"}}"#,
    r#"{"publish":{"topic":"a","data":null}}"#,
    r#"{"publish":{"topic":"a","data":{"a":[1,"é\n\u0000"]},"user":"ada","key":"k","headers":{"h":"\""}}}"#,
    r#"{"publish":{"topic":"a","data":"x","group":"team"}}"#,
    r#"{"history":{"topic":"a.>"}}"#,
    r#"{"history":{"topic":"a","stream":"s","epoch":"e","after":5,"limit":10000}}"#,
    r#"{"id":7,"ack":[{"stream":"s","epoch":"e","seq":1},{"stream":"t","epoch":"e","seq":0}]}"#,
    r#"{"subscribe":{"topics":["a"],"from":"stored"}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"field":"/a","op":"ge","value":1.50}}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"field":"","op":"exists"}}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"all":[{"field":"/a~1b","op":"in","value":["ü\n",null,true]},{"any":[{"field":"/a","op":"prefix","value":"x"},{"not":{"field":"/a","op":"ne","value":false}}]}]}}}"#,
    r#"{"hello":{"subscriptions":[{"topics":["a"],"filter":{"field":"/a","op":"eq","value":null}}]}}"#,
    r#"{"id":8,"hello":{"token":"a.b.c"}}"#,
    r#"{"id":8,"refresh":{"token":"a.b.c"}}"#,
    r#"{"id":3}"#,
    r#"{"id":3,"hello":{"token":""}}"#,
    r#"{"id":3,"refresh":{}}"#,
    r#"{"id":3,"hello":{"device":""}}"#,
    r#"{"id":3,"hello":{"device":"a\nb"}}"#,
    r#"{"id":3,"hello":{"device":7}}"#,
    r#"{"id":3,"hello":7}"#,
    r#"{"hello":{"resume":[{"stream":"A B","epoch":"e","after":1}]}}"#,
    r#"{"hello":{"resume":[{"stream":"a","after":1}]}}"#,
    r#"{"hello":{"resume":[{"stream":"a","epoch":"e","after":1},{"stream":"a","epoch":"e","after":1}]}}"#,
    r#"{"subscribe":{}}"#,
    r#"{"subscribe":{"topics":["a..b"]}}"#,
    r#"{"subscribe":{"topics":["a"],"from":{"last":0}}}"#,
    r#"{"subscribe":{"topics":["a"],"from":{"last":1,"since":2}}}"#,
    r#"{"subscribe":{"topics":["a"],"from":{"since":-1}}}"#,
    r#"{"subscribe":{"topics":["a"],"latest":"yes"}}"#,
    r#"{"subscribe":{"topics":["a"],"max_rate":0}}"#,
    r#"{"subscribe":{"topics":["a"],"max_rate":"fast"}}"#,
    r#"{"subscribe":{"topics":["a"],"batch_ms":60001}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":7}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{}}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"op":"exists"}}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"field":"a","op":"exists"}}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"field":"/a","value":1}}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"field":"/a","op":"like","value":1}}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"field":"/a","op":"ge"}}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"field":"/a","op":"ge","value":[1]}}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"field":"/a","op":"in","value":[]}}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"field":"/a","op":"in","value":[1,{}]}}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"field":"/a","op":"prefix","value":1}}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"field":"/a","op":"exists","value":1}}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"field":"/a","op":"exists","not":{"field":"/a","op":"exists"}}}}"#,
    r#"{"subscribe":{"topics":["a"],"filter":{"all":[{"not":{"any":[{"field":"/a","op":"eq"}]}}]}}}"#,
    r#"{"hello":{"subscriptions":[{"topics":["a"],"filter":{"all":[7]}}]}}"#,
    r#"{"unsubscribe":{}}"#,
    r#"{"unsubscribe":{"topics":["a"],"subscription":"s1"}}"#,
    r#"{"unsubscribe":{"subscription":"x"}}"#,
    r#"{"publish":{"topic":"a"}}"#,
    r#"{"publish":{"data":1}}"#,
    r#"{"publish":{"topic":"a.*","data":1}}"#,
    r#"{"publish":{"topic":"a","data":1,"user":"u","group":"g"}}"#,
    r#"{"publish":{"topic":"a","data":1,"content_type":"a/b"}}"#,
    r#"{"history":{}}"#,
    r#"{"history":{"topic":"a","limit":0}}"#,
    r#"{"history":{"topic":"a","after":9007199254740992}}"#,
    r#"{"id":3,"ack":[]}"#,
    r#"{"ack":[{"stream":"s","seq":1}]}"#,
    r#"{"ack":[{"stream":"s","epoch":"e","seq":1},{"stream":"s","epoch":"e","seq":2}]}"#,
    r#"{"id":3,"ack":[{"stream":"s","epoch":"e","seq":-1}]}"#,
];

#[test]
fn what_clients_ask_means_the_same() {
    for text in ASKED {
        let message: Value = serde_json::from_str(text).unwrap();
        let encoded = client_message(&message);
        let in_json = Native.decode(Frame::Text(text));
        let in_protobuf = NativeProtobuf.decode(Frame::Binary(&encoded));
        assert_eq!(in_protobuf, in_json, "{text}");
        if in_json.is_ok() {
            let read = DynamicMessage::decode(descriptor("ClientMessage"), &*encoded);
            let read = read.unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read.unknown_fields().count(), 0, "{text}");
            // What the other implementation writes is read as well.
            let written = read.encode_to_vec();
            assert_eq!(NativeProtobuf.decode(Frame::Binary(&written)), in_json, "{text}");
        }
    }
}

/// Numbers of fields and their bytes.
type Fields<'a> = &'a [(u32, &'a [u8])];

/// A `ClientMessage` whose `subscribe` has a filter of these fields.
fn filtered(filter: Fields<'_>) -> Result<protocol::Request, String> {
    let (mut fields, mut body, mut message) = (Vec::new(), Vec::new(), Vec::new());
    for (number, bytes) in filter {
        push_bytes(*number, bytes, &mut fields);
    }
    push_bytes(1, b"a", &mut body);
    push_bytes(7, &fields, &mut body);
    push_bytes(3, &body, &mut message);
    let request = NativeProtobuf.decode(Frame::Binary(&message));
    request.map_err(|misspelled| misspelled.error.message)
}

#[test]
fn filters_are_understood_as_a_whole_or_refused() {
    let test = [(1, &b"/a"[..]), (2, b"eq"), (3, b" 1 ")];
    filtered(&test).unwrap();
    let long = [b"/".as_slice(), &[b'a'; 8_192]].concat();
    let deep = [&[b'['; 40][..], &[b']'; 40]].concat();
    let nested = (0..40).fold(Vec::new(), |inner, _| {
        let mut outer = Vec::new();
        push_bytes(6, &inner, &mut outer);
        outer
    });
    let cases: [(Fields<'_>, &str); 6] = [
        (&[test[0], test[1], test[2], (9, b"x")], "must not have the field 9"),
        (&[test[0], test[1], test[2], (4, b"")], "must not have the field \"all\""),
        (&[test[0], test[1], (3, b"{")], "filter.value must be valid JSON"),
        (&[test[0], test[1], (3, &deep)], "nests deeper"),
        (&[(1, &long), (2, b"exists")], "must be at most 8192 bytes long"),
        (&[(6, &nested)], "a filter has at most 32 conditions"),
    ];
    for (filter, says) in cases {
        let message = filtered(filter).unwrap_err();
        assert!(message.starts_with("subscribe.filter") && message.contains(says), "{message}");
    }
}

#[test]
fn published_bytes_mean_the_same() {
    for line in [
        r#"{"id":7,"publish":{"topic":"a","content_type":"image/jpeg","key":"k"}}"#,
        r#"{"publish":{"topic":"a"}}"#,
        r#"{"publish":{"topic":"a","content_type":"ü"}}"#,
    ] {
        for data in [&b""[..], b"\xff\x00\n{"] {
            let frame = [line.as_bytes(), b"\n", data].concat();
            let in_json = Native.decode(Frame::Binary(&frame));
            let frame = client_bytes(&serde_json::from_str(line).unwrap(), data);
            assert_eq!(NativeProtobuf.decode(Frame::Binary(&frame)), in_json, "{line}");
        }
    }
}

fn json(message: &Message) -> Option<Value> {
    let mut out = Vec::new();
    let kind = Native.encode(message, &mut out)?;
    assert_eq!(kind, FrameKind::Text);
    Some(serde_json::from_slice(&out).unwrap())
}

fn protobuf(message: &Message) -> Option<Value> {
    let mut out = Vec::new();
    let Some(kind) = NativeProtobuf.encode(message, &mut out) else {
        assert_eq!(out, b"");
        return None;
    };
    assert_eq!(kind, FrameKind::Binary);
    match &server_message(&out)[..] {
        [Said::Json(value)] => Some(value.clone()),
        other => panic!("{other:?}"),
    }
}

/// An event as both encodings have it.
fn both(event: &Event) -> (Said, Vec<u8>) {
    let stream = stream("news");
    let mut out = Vec::new();
    let said = match (Native.event(&stream, event, &mut out), &event.draft.payload) {
        (FrameKind::Text, Payload::Json(_)) => Said::Json(serde_json::from_slice(&out).unwrap()),
        (FrameKind::Binary, Payload::Binary { .. }) => {
            let end = out.iter().position(|byte| *byte == b'\n').unwrap();
            let line = serde_json::from_slice(&out[..end]).unwrap();
            Said::Binary(line, out[end + 1..].to_vec())
        }
        other => panic!("{other:?}"),
    };
    let mut frame = Vec::new();
    let kind = NativeProtobuf.event(&stream, event, &mut frame);
    assert_eq!(kind, FrameKind::Binary);
    (said, frame)
}

fn stream(name: &str) -> StreamName {
    StreamName::parse(name).unwrap()
}

fn any_event() -> impl Strategy<Value = Event> + Clone {
    let data = prop_oneof![
        prop::sample::select(vec!["null", "{\"b\": 1,\n\"a\":[]}", "\"ü\"", " 1.50"])
            .prop_map(|text| Payload::Json(Bytes::from_static(text.as_bytes()))),
        (0..40_000_usize).prop_map(|n| Payload::Json(format!("\"{}\"", "x".repeat(n)).into())),
        any::<Vec<u8>>()
            .prop_map(|bytes| Payload::Binary { content_type: "a/b".into(), bytes: bytes.into() }),
    ];
    let headers = prop::sample::select(vec![
        None,
        Some("{\n\"a\" :\r\n\"\\n\"}"),
        Some("{\"ü\":\"日本\",\"\":\"\"}"),
    ]);
    let topic = prop::sample::select(vec!["a", "$x.y", "q\".\\b", "日本.ü"]);
    let place = (0..1_u64 << 53, any::<u64>());
    (topic, data, headers, place).prop_map(|(topic, payload, headers, (seq, time_ms))| {
        let mut draft = Draft::new(Topic::parse(topic).unwrap(), payload);
        draft.headers = headers.map(|text: &str| Bytes::from_static(text.as_bytes()));
        Event { seq, time_ms, draft }
    })
}

fn any_positions() -> impl Strategy<Value = Vec<Position>> + Clone {
    let one = ("[a-z]{1,64}", "[a-z0-9]{1,32}", any::<u64>()).prop_map(|(name, epoch, seq)| {
        Position { stream: stream(&name), epoch: Epoch::parse(&epoch).unwrap(), seq }
    });
    prop::collection::vec(one, 0..5)
}

fn any_subscribed() -> impl Strategy<Value = Subscribed> + Clone {
    let patterns = prop::sample::subsequence(vec!["a.>", "ü", "*.\""], 0..3);
    (any::<u32>(), patterns, any_positions(), any::<bool>()).prop_map(
        |(id, patterns, positions, truncated)| Subscribed {
            subscription: SubscriptionId(id),
            topics: patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect(),
            positions,
            truncated,
        },
    )
}

fn any_error() -> impl Strategy<Value = Error> {
    let details = prop_oneof![Just(None), Just(Some("{\"ü\":[1,2]}")), Just(Some("null"))];
    let codes = prop::sample::select(ErrorCode::ALL.to_vec());
    let parts = (codes, ".*", any::<Option<u64>>(), details);
    parts.prop_map(|(code, message, retry_after_ms, details)| Error {
        code,
        message,
        retry_after_ms,
        details: details.map(Into::into),
    })
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let user = || any::<Option<String>>().prop_map(|user| user.map(Into::into));
    let epoch = || Epoch::parse("e1").unwrap();
    let durability = prop::sample::select(vec![
        Durability::Memory,
        Durability::Buffered,
        Durability::Fsync,
        Durability::Broker,
    ]);
    let events = prop::collection::vec(any_event(), 0..4);
    prop_oneof![
        (any::<u128>(), user(), prop::collection::vec(any_subscribed(), 0..3)).prop_map(
            |(client, user, subscriptions)| Answer::Hello {
                client: ClientId(client),
                user,
                subscriptions
            }
        ),
        any_subscribed().prop_map(Answer::Subscribed),
        Just(Answer::Unsubscribed),
        (any::<u64>(), any::<bool>(), durability).prop_map(move |(seq, duplicate, durability)| {
            let stream = stream("news");
            Answer::Published(Appended { stream, epoch: epoch(), seq, duplicate, durability })
        }),
        (events, any::<u64>(), any::<bool>()).prop_map(move |(events, after, more)| {
            Answer::History { stream: stream("news"), epoch: epoch(), events, after, more }
        }),
        any_positions().prop_map(Answer::Acknowledged),
        any::<u64>().prop_map(|time_ms| Answer::Pong { time_ms }),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    let reasons = prop::sample::select(CloseReason::ALL.to_vec());
    let gaps = prop::sample::select(vec![
        GapReason::Retention,
        GapReason::Epoch,
        GapReason::Corruption,
        GapReason::Deleted,
    ]);
    let names = (any::<u128>(), ".*", ".*", any::<Option<String>>(), any::<usize>());
    let replay = (any::<u32>(), prop::collection::vec(any_event(), 0..4), any::<bool>());
    prop_oneof![
        names.prop_map(|(client, session, node, user, size)| Message::Welcome(Box::new(Welcome {
            client: ClientId(client),
            session,
            node: node.into(),
            user: user.map(Into::into),
            heartbeat_ms: 30_000,
            message_bytes_max: size,
            subscriptions_max: 0,
        }))),
        (any::<Option<i64>>(), any_answer())
            .prop_map(|(id, answer)| Message::Reply { id, result: Ok(answer) }),
        (any::<Option<i64>>(), any_error())
            .prop_map(|(id, error)| Message::Reply { id, result: Err(error) }),
        any_error().prop_map(Message::Error),
        replay.prop_map(|(id, events, done)| Message::Replay {
            subscription: SubscriptionId(id),
            stream: stream("news"),
            events,
            done,
        }),
        (any::<u64>(), any::<u64>(), gaps).prop_map(|(from, to, reason)| Message::Gap(Gap {
            stream: stream("news"),
            epoch: Epoch::parse("e2").unwrap(),
            from,
            to,
            reason,
        })),
        prop::collection::vec(any_subscribed(), 0..3).prop_map(Message::Restored),
        any_positions().prop_map(Message::Mark),
        (reasons, any::<Option<u64>>()).prop_map(|(reason, reconnect_after_ms)| {
            Message::Closing { reason, reconnect_after_ms }
        }),
    ]
}

proptest! {
    #[test]
    fn what_the_server_says_means_the_same(message in any_message()) {
        prop_assert_eq!(protobuf(&message), json(&message));
    }

    #[test]
    fn events_are_the_same_alone_and_joined(
        events in prop::collection::vec(any_event(), 1..5)
    ) {
        let (mut expected, mut joined) = (Vec::new(), Vec::new());
        for event in &events {
            let (said, frame) = both(event);
            prop_assert_eq!(&server_message(&frame), &vec![said.clone()]);
            expected.push(said);
            joined.extend(frame);
        }
        let batch = NativeProtobuf.batch().unwrap();
        prop_assert_eq!((batch.start, batch.separator, batch.end), ("", "", ""));
        prop_assert_eq!(server_message(&joined), expected);
    }

    #[test]
    fn data_pass_through_byte_for_byte(event in any_event()) {
        let (_, frame) = both(&event);
        let (Payload::Json(data) | Payload::Binary { bytes: data, .. }) = &event.draft.payload;
        prop_assert!(frame.ends_with(data));
    }
}

#[test]
fn json_data_of_a_publish_stay_as_they_were() {
    let data = b"{\"b\" : 1.50,\n\t\"a\":\"\\u00e9\"}";
    let (mut body, mut message) = (Vec::new(), Vec::new());
    push_bytes(1, b"t", &mut body);
    push_bytes(2, data, &mut body);
    push_bytes(5, &body, &mut message);
    let request = NativeProtobuf.decode(Frame::Binary(&message)).unwrap();
    let protocol::Command::Publish(draft) = request.command else { panic!("no publish") };
    assert_eq!(draft.payload, Payload::Json(Bytes::from_static(data)));
}

#[test]
fn the_page_shows_what_is_sent() {
    let page = include_str!("../../docs/protocol.md");
    let (_, table) = page.split_once("| JSON | Protobuf |\n| --- | --- |\n").unwrap();
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 3, "{rows:?}");
    for row in rows {
        let (text, bytes) =
            row.trim_matches(['|', ' ', '`']).split_once("` | `").expect("two columns");
        let bytes = bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap());
        let bytes: Vec<u8> = bytes.collect();
        let read = NativeProtobuf.decode(Frame::Binary(&bytes));
        assert_eq!(read, Native.decode(Frame::Text(text)), "{text}");
        assert!(read.is_ok(), "{text}");
        // As another implementation writes it.
        let message = DynamicMessage::decode(descriptor("ClientMessage"), &*bytes).unwrap();
        assert_eq!(message.encode_to_vec(), bytes, "{text}");
    }
}

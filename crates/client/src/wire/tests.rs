//! What the client writes is what the protocol's dialect reads, and the reverse.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use protocol::dialects::native::{Native, read_filter};
use protocol::{
    Answer, Audience, ClientId, CloseReason, Command, Conversation as _, Dialect as _, Gap,
    GapReason, Message, Mode, Pattern, Payload, Position, Start, SubscriptionId, Topic,
};

use super::*;
use crate::link::Frame;
use crate::options::{History, Publish, Subscribe};

fn decode(frame: &Frame) -> protocol::Request {
    let wire = match frame.kind {
        protocol::FrameKind::Text => {
            protocol::Frame::Text(std::str::from_utf8(&frame.bytes).unwrap())
        }
        protocol::FrameKind::Binary => protocol::Frame::Binary(&frame.bytes),
    };
    let mut requests = Native.decode(wire).unwrap_or_else(|wrong| panic!("{}", wrong.error));
    requests.pop().unwrap()
}

fn encode(message: &Message) -> ServerMessage {
    let mut out = Vec::new();
    let kind = Native.encode(0, message, &mut out).unwrap();
    one(Frame { kind, bytes: out.into() })
}

fn one(frame: Frame) -> ServerMessage {
    match read_frame(&frame).unwrap() {
        Messages::One(message) => message,
        Messages::Batch(_) => panic!("a batch"),
    }
}

fn answer(answer: Answer) -> Box<serde_json::value::RawValue> {
    match encode(&Message::Reply { id: Some(-7), result: Ok(answer) }) {
        ServerMessage::Reply { id: -7, result: Ok(ok) } => ok,
        other => panic!("{other:?}"),
    }
}

fn position(text: &str) -> Position {
    Position::parse(text).unwrap()
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

const FILTER: &str =
    r#"{"all":[{"field":"/a","op":"in","value":["x",1]},{"field":"","op":"exists"}]}"#;

#[test]
fn every_subscribe_is_read_as_meant() {
    let starts = [
        Start::Now,
        Start::Last(7),
        Start::Since(1_790_000_000_000),
        Start::After(3),
        Start::Positions(vec![position("a:e:1"), position("b:e:2")]),
    ];
    for start in starts {
        let options = Subscribe::to(&["a.>", "ü.\"q\""])
            .unwrap()
            .except(&["a.b"])
            .unwrap()
            .filter(FILTER)
            .unwrap()
            .from(start.clone())
            .max_rate(12.5)
            .unwrap()
            .batch_ms(100);
        let request = decode(&subscribe(5, &options));
        let expected = protocol::Subscribe {
            filter: Some(Arc::new(read_filter(FILTER).unwrap())),
            topics: patterns(&["a.>", "ü.\"q\""]),
            except: patterns(&["a.b"]),
            start,
            mode: Mode { latest: true, interval_ms: 100, batch: true },
        };
        assert_eq!(request.id, Some(5));
        assert_eq!(request.command, Command::Subscribe(Box::new(expected)));
    }
}

#[test]
fn other_requests_are_read_as_meant() {
    assert_eq!(decode(&ping(i64::MAX)).command, Command::Ping);
    assert_eq!(
        decode(&unsubscribe(1, SubscriptionId(3))).command,
        Command::Unsubscribe(protocol::Unsubscribe::Subscription(SubscriptionId(3)))
    );
    let wanted = History::of("a.>").unwrap();
    let Command::History(read) = decode(&history(1, &wanted)).command else { panic!("no history") };
    assert_eq!((read.topic.as_str(), read.after), ("a.>", 0));

    let body = Subscribe::to(&["a"]).unwrap().latest().from(Start::Last(3));
    let said = Hello {
        device: Some("my \"phone\""),
        takeover: true,
        session: Some("s.t"),
        resumed: Resumed { positions: vec![position("a:e:5")], subscriptions: vec![&body] },
    };
    let Command::Hello(read) = decode(&hello(1, &said)).command else { panic!("no hello") };
    assert_eq!(read.device.as_deref(), Some("my \"phone\""));
    assert_eq!(read.session.as_deref(), Some("s.t"));
    assert_eq!(read.resume, [position("a:e:5")]);
    assert_eq!(read.subscriptions[0].start, Start::Now);
    assert!(read.subscriptions[0].mode.latest);
}

#[test]
fn answers_are_read_as_meant() {
    let subscribed = protocol::Subscribed {
        subscription: SubscriptionId(2),
        topics: patterns(&["a"]),
        positions: vec![position("a:e:5")],
        truncated: true,
    };
    let read = read_subscribed(&answer(Answer::Subscribed(subscribed.clone()))).unwrap();
    assert_eq!((read.subscription, read.truncated), (SubscriptionId(2), true));
    assert_eq!(read.positions, subscribed.positions);

    let (client, user) = (ClientId(5), Some("ada".into()));
    let hello = Answer::Hello { client, user, subscriptions: vec![subscribed] };
    let (read_client, subscriptions) = read_hello_answer(&answer(hello)).unwrap();
    assert_eq!((read_client, subscriptions.len()), (client.to_string(), 1));

    let appended = protocol::Appended {
        stream: position("a:e:5").stream,
        epoch: position("a:e:5").epoch,
        seq: 5,
        duplicate: true,
        durability: protocol::Durability::Broker,
    };
    assert_eq!(read_appended(&answer(Answer::Published(appended.clone()))), Ok(appended));
    assert_eq!(read_time(&answer(Answer::Pong { time_ms: 9 })), Ok(9));
}

#[test]
fn news_is_read_as_meant() {
    let Position { stream, epoch, .. } = position("a:e:5");
    let gap = Gap { stream, epoch, from: 3, to: 9, reason: GapReason::Corruption };
    assert!(matches!(encode(&Message::Gap(gap.clone())), ServerMessage::Gap(read) if read == gap));
    let mark = vec![position("a:e:5"), position("b:f:6")];
    let read = encode(&Message::Mark(mark.clone()));
    assert!(matches!(read, ServerMessage::Mark(read) if read == mark));
    let reason = CloseReason::Draining;
    let closing = Message::Closing { reason, reconnect_after_ms: Some(5) };
    let ServerMessage::Closing(read) = encode(&closing) else { panic!("no closing") };
    assert_eq!((read.code, read.reconnect_after_ms), (1012, Some(5)));
    let error = protocol::Error::bad_request("ü").retry_after(7);
    let ServerMessage::Error(read) = encode(&Message::Error(error)) else { panic!("no error") };
    assert_eq!((read.to_string(), read.retry_after_ms), ("bad_request: ü".into(), Some(7)));
    let welcome = protocol::Welcome {
        client: ClientId(1),
        session: "s".into(),
        node: "n".into(),
        user: None,
        heartbeat_ms: 4,
        message_bytes_max: 5,
        subscriptions_max: 6,
    };
    let ServerMessage::Welcome(read, session) = encode(&Message::Welcome(Box::new(welcome))) else {
        panic!("no welcome")
    };
    assert_eq!((read.heartbeat_ms, read.message_bytes_max, &*session), (4, Some(5), "s"));
}

fn any_payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        prop::sample::select(vec![
            "1",
            "-0.0",
            "{\"b\" : 1,\"a\":[9007199254740993]}",
            "\"ü\\u00fc\""
        ])
        .prop_map(|text| Payload::Json(Bytes::from_static(text.as_bytes()))),
        prop::collection::vec(any::<u8>(), 0..50).prop_map(|bytes| Payload::Binary {
            content_type: "a/b; c=\"d\"".into(),
            bytes: bytes.into()
        }),
    ]
}

proptest! {
    #[test]
    fn events_arrive_as_published(
        payload in any_payload(),
        key in "[^\\p{Cc}]{1,20}",
        header in ".{0,10}",
        user in prop::option::of("[^\\p{Cc}]{1,20}"),
    ) {
        let message = Publish {
            topic: Topic::parse("a.ü").unwrap(),
            payload: payload.clone(),
            audience: user.map_or(Audience::Everyone, |user| Audience::User(user.into())),
            key: Some(key.clone()),
            headers: vec![(header.clone(), header)],
        };
        let Command::Publish(draft) = decode(&publish(1, &message)).command else { panic!() };
        prop_assert_eq!(&draft.payload, &payload);
        prop_assert_eq!(&draft.audience, &message.audience);
        prop_assert_eq!(draft.id.as_deref(), Some(&*key));

        // Live, in a replay, and in history.
        let stream = position("s:e:1").stream;
        let event = protocol::Event { seq: 3, time_ms: 4, draft: *draft };
        let mut out = Vec::new();
        let kind = Native.event(&stream, &event, &mut out);
        let live = one(Frame { kind, bytes: out.into() });
        let events = vec![event.clone()];
        let replay = Message::Replay {
            subscription: SubscriptionId(1),
            stream: stream.clone(),
            events: events.clone(),
            done: true,
        };
        let epoch = position("s:e:1").epoch;
        let page = Answer::History { stream, epoch, events, after: 3, more: false };
        let page = read_history_page(&answer(page)).unwrap();
        let (ServerMessage::Event(live), ServerMessage::Replay(replay)) = (live, encode(&replay))
        else { panic!("other messages") };
        prop_assert_eq!(&live, &replay.events[0]);
        prop_assert_eq!(&live.payload, &page.events[0].payload);
        prop_assert_eq!(page.after, 3);
        prop_assert_eq!((live.seq, live.time_ms, &live.topic), (3, 4, event.topic()));
        prop_assert_eq!(&live.payload, &payload);
        prop_assert_eq!(&live.headers, &event.draft.headers);
    }

    #[test]
    fn reading_never_panics(bytes: Vec<u8>, text: String) {
        for kind in [protocol::FrameKind::Text, protocol::FrameKind::Binary] {
            let _ = read_frame(&Frame { kind, bytes: bytes.clone().into() });
            let _ = read_frame(&Frame { kind, bytes: text.clone().into() });
        }
    }
}

#[test]
fn an_empty_replay_names_its_stream() {
    let stream = position("s:e:1").stream;
    let (subscription, events) = (SubscriptionId(4), Vec::<protocol::Event>::new());
    let done = Message::Replay { subscription, stream: stream.clone(), events, done: true };
    let ServerMessage::Replay(read) = encode(&done) else { panic!("no replay") };
    assert_eq!((read.stream, read.done), (Some(stream), true));
}

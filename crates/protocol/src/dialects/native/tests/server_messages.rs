use super::{encode, patterns, position, stream};
use crate::{
    Answer, Appended, ClientId, CloseReason, Draft, Durability, Epoch, Error, ErrorCode, Event,
    Gap, GapReason, Message, Payload, Subscribed, SubscriptionId, Topic, Welcome,
};

fn event(seq: u64, payload: Payload) -> Event {
    Event { seq, time_ms: 1_000, draft: Draft::new(Topic::parse("a").unwrap(), payload) }
}

fn reply(answer: Answer) -> Message {
    Message::Reply { id: Some(3), result: Ok(answer) }
}

fn subscribed(truncated: bool) -> Subscribed {
    Subscribed {
        subscription: SubscriptionId(1),
        topics: patterns(&["a.>", "b"]),
        positions: vec![position("news:e1:7"), position("log:e2:0")],
        truncated,
    }
}

fn check(message: &Message, text: &str) {
    assert_eq!(encode(message).as_deref(), Some(text));
    serde_json::from_str::<serde_json::Value>(text).unwrap();
}

#[test]
fn welcome() {
    let mut welcome = Welcome {
        client: ClientId(0xab),
        session: "se.ss".into(),
        node: "n1".into(),
        user: None,
        heartbeat_ms: 30_000,
        message_bytes_max: 65_536,
        subscriptions_max: 100,
    };
    check(
        &Message::Welcome(Box::new(welcome.clone())),
        r#"{"welcome":{"client":"000000000000000000000000000000ab","session":"se.ss","node":"n1","protocol":1,"heartbeat_ms":30000,"limits":{"message_bytes":65536,"subscriptions":100}}}"#,
    );
    welcome.user = Some("a\"b".into());
    check(
        &Message::Welcome(Box::new(welcome)),
        r#"{"welcome":{"client":"000000000000000000000000000000ab","session":"se.ss","node":"n1","protocol":1,"user":"a\"b","heartbeat_ms":30000,"limits":{"message_bytes":65536,"subscriptions":100}}}"#,
    );
}

#[test]
fn answers() {
    const S1: &str = r#"{"subscription":"s1","topics":["a.>","b"],"positions":[{"stream":"news","epoch":"e1","seq":7},{"stream":"log","epoch":"e2","seq":0}]}"#;
    let hello = |user| Answer::Hello {
        client: ClientId(1),
        user,
        subscriptions: vec![subscribed(false), subscribed(false)],
    };
    check(
        &reply(hello(None)),
        &format!(
            r#"{{"id":3,"ok":{{"client":"00000000000000000000000000000001","subscriptions":[{S1},{S1}]}}}}"#
        ),
    );
    check(
        &reply(hello(Some("ada".into()))),
        &format!(
            r#"{{"id":3,"ok":{{"client":"00000000000000000000000000000001","user":"ada","subscriptions":[{S1},{S1}]}}}}"#
        ),
    );
    check(&reply(Answer::Subscribed(subscribed(false))), &format!(r#"{{"id":3,"ok":{S1}}}"#));
    let cut = S1.strip_suffix('}').unwrap();
    check(
        &reply(Answer::Subscribed(subscribed(true))),
        &format!(r#"{{"id":3,"ok":{cut},"truncated":true}}}}"#),
    );
    check(&reply(Answer::Unsubscribed), r#"{"id":3,"ok":{}}"#);
    let appended = Appended {
        stream: stream("news"),
        epoch: Epoch::parse("e1").unwrap(),
        seq: 9_007_199_254_740_991,
        duplicate: false,
        durability: Durability::Fsync,
    };
    check(
        &reply(Answer::Published(appended)),
        r#"{"id":3,"ok":{"stream":"news","epoch":"e1","seq":9007199254740991,"duplicate":false,"durability":"fsync"}}"#,
    );
    check(
        &reply(Answer::Acknowledged(vec![position("news:e1:4")])),
        r#"{"id":3,"ok":{"positions":[{"stream":"news","epoch":"e1","seq":4}]}}"#,
    );
    check(&reply(Answer::Pong { time_ms: 5 }), r#"{"id":3,"ok":{"time":5}}"#);
}

#[test]
fn history() {
    let json = Payload::Json("{\"x\": 1}".into());
    let binary = Payload::Binary { content_type: "a/b".into(), bytes: "\u{0}hi".into() };
    let answer = Answer::History {
        stream: stream("news"),
        epoch: Epoch::parse("e1").unwrap(),
        events: vec![event(1, json), event(2, binary)],
        after: 7,
        more: true,
    };
    check(
        &reply(answer),
        r#"{"id":3,"ok":{"events":[{"topic":"a","stream":"news","seq":1,"time":1000,"data":{"x": 1}},{"topic":"a","stream":"news","seq":2,"time":1000,"data":{"content_type":"a/b","base64":"AGhp"},"binary":true}],"epoch":"e1","after":7,"more":true}}"#,
    );
}

#[test]
fn errors() {
    let error = Error::new(ErrorCode::RateLimited, "slow \"down\"").retry_after(250);
    const TEXT: &str =
        r#"{"error":{"code":"rate_limited","message":"slow \"down\"","retry_after_ms":250}}"#;
    check(&Message::Error(error.clone()), TEXT);
    check(&Message::Reply { id: None, result: Err(error) }, TEXT);
    let failed = Message::Reply { id: Some(-4), result: Err(Error::bad_request("ü")) };
    check(&failed, r#"{"id":-4,"error":{"code":"bad_request","message":"ü"}}"#);
}

#[test]
fn a_success_that_nobody_waits_for_goes_unsaid() {
    assert_eq!(encode(&Message::Reply { id: None, result: Ok(Answer::Unsubscribed) }), None);
}

#[test]
fn replay() {
    let replay = |events, done| Message::Replay {
        subscription: SubscriptionId(2),
        stream: stream("news"),
        events,
        done,
    };
    check(
        &replay(vec![event(4, Payload::Json("null".into()))], false),
        r#"{"replay":{"subscription":"s2","stream":"news","events":[{"topic":"a","stream":"news","seq":4,"time":1000,"data":null}],"done":false}}"#,
    );
    check(
        &replay(vec![], true),
        r#"{"replay":{"subscription":"s2","stream":"news","events":[],"done":true}}"#,
    );
}

#[test]
fn gap_mark_and_closing() {
    let gap = Gap {
        stream: stream("news"),
        epoch: Epoch::parse("e2").unwrap(),
        from: 1,
        to: 0,
        reason: GapReason::Epoch,
    };
    check(
        &Message::Gap(gap),
        r#"{"gap":{"stream":"news","epoch":"e2","from":1,"to":0,"reason":"epoch"}}"#,
    );
    check(
        &Message::Mark(vec![position("news:e1:7"), position("log:e2:9")]),
        r#"{"mark":[{"stream":"news","epoch":"e1","seq":7},{"stream":"log","epoch":"e2","seq":9}]}"#,
    );
    let closing = |reason, reconnect_after_ms| Message::Closing { reason, reconnect_after_ms };
    check(
        &closing(CloseReason::Draining, Some(1_500)),
        r#"{"closing":{"code":1012,"reason":"the server is restarting","reconnect":{"after_ms":1500}}}"#,
    );
    check(
        &closing(CloseReason::Forbidden, None),
        r#"{"closing":{"code":4403,"reason":"closed by an operator"}}"#,
    );
}

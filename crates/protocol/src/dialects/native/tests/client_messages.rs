use bytes::Bytes;

use super::{binary, command, decode, patterns, position, stream};
use crate::dialects::native::HISTORY_EVENTS_DEFAULT;
use crate::{
    Audience, Call, Command, Draft, Epoch, Error, ErrorCode, Hello, History, Mode, Payload, Start,
    Subscribe, SubscriptionId, Topic, Unsubscribe,
};

fn subscribe(topics: &[&str]) -> Subscribe {
    let (topics, except) = (patterns(topics), Vec::new());
    Subscribe { topics, except, filter: None, start: Start::Now, mode: Mode::EVERY }
}

fn json_draft(topic: &str, data: &'static str) -> Draft {
    Draft::new(Topic::parse(topic).unwrap(), Payload::Json(Bytes::from_static(data.as_bytes())))
}

#[test]
fn the_id_is_any_integer_or_none() {
    assert_eq!(decode(r#"{"ping":{}}"#).unwrap().id, None);
    for id in [0, 1, -1, i64::MIN, i64::MAX] {
        assert_eq!(decode(&format!(r#"{{"id":{id},"ping":{{}}}}"#)).unwrap().id, Some(id));
        assert_eq!(decode(&format!(r#"{{"ping":{{}},"id":{id}}}"#)).unwrap().id, Some(id));
    }
}

#[test]
fn unknown_fields_are_passed_over_at_every_level() {
    let plain = r#"{"subscribe":{"topics":["a"],"from":{"last":3}}}"#;
    let extended = r#" { "trace" : {"a":[1]} , "subscribe":
        {"topics":["a"], "later":null, "from":{"last":3,"x":1}}, "y":1 } "#;
    assert_eq!(command(plain), command(extended));
}

#[test]
fn keys_may_be_escaped() {
    assert_eq!(command(r#"{"\u0070ing":{}}"#), Command::Ping);
}

#[test]
fn hello() {
    assert_eq!(command(r#"{"id":1,"hello":{}}"#), Command::Hello(Box::default()));
    let text = r#"{"id":1,"hello":{"device":"phone","session":"abc.def","takeover":true,
        "resume":[{"stream":"news","epoch":"e1","after":7},{"stream":"log","epoch":"e2","after":0}],
        "subscriptions":[{"topics":["news.>"]},{"topics":["log.*"],"latest":true}]}}"#;
    let mut newest = subscribe(&["log.*"]);
    newest.mode.latest = true;
    let hello = Hello {
        token: None,
        takeover: true,
        device: Some("phone".into()),
        session: Some("abc.def".into()),
        resume: vec![position("news:e1:7"), position("log:e2:0")],
        subscriptions: vec![subscribe(&["news.>"]), newest],
    };
    assert_eq!(command(text), Command::Hello(Box::new(hello)));
}

#[test]
fn tokens() {
    let hello = Hello { token: Some("a.b.c".into()), ..Hello::default() };
    assert_eq!(command(r#"{"hello":{"token":"a.b.c"}}"#), Command::Hello(Box::new(hello)));
    let refresh = Command::Refresh { token: "a.b.c".into() };
    assert_eq!(command(r#"{"id":8,"refresh":{"token":"a.b.c"}}"#), refresh);
}

#[test]
fn subscribe_with_each_start() {
    let with = |start| Command::Subscribe(Box::new(Subscribe { start, ..subscribe(&["blob.>"]) }));
    for (from, start) in [
        (r#""now""#, Start::Now),
        (r#""stored""#, Start::Stored),
        (r#"{"last":1}"#, Start::Last(1)),
        (r#"{"last":100000}"#, Start::Last(100_000)),
        (r#"{"since":0}"#, Start::Since(0)),
        (r#"{"after":7}"#, Start::After(7)),
        (r#"{"since":1790000000000}"#, Start::Since(1_790_000_000_000)),
        (r#"{"positions":[]}"#, Start::Positions(vec![])),
        (
            r#"{"positions":[{"stream":"s","epoch":"e","after":9007199254740991}]}"#,
            Start::Positions(vec![position("s:e:9007199254740991")]),
        ),
    ] {
        let text = format!(r#"{{"id":2,"subscribe":{{"topics":["blob.>"],"from":{from}}}}}"#);
        assert_eq!(command(&text), with(start), "{text}");
    }
    assert_eq!(command(r#"{"id":2,"subscribe":{"topics":["blob.>"]}}"#), with(Start::Now));
}

#[test]
fn subscribe_with_each_mode() {
    for (fields, latest, interval_ms, batch) in [
        (r#""latest":false"#, false, 0, false),
        (r#""latest":true"#, true, 0, false),
        (r#""max_rate":10"#, true, 100, false),
        (r#""max_rate":0.5"#, true, 2_000, false),
        (r#""max_rate":1000"#, true, 1, false),
        (r#""batch_ms":50"#, false, 50, true),
        (r#""max_rate":10,"batch_ms":60000"#, true, 60_000, true),
        (r#""max_rate":1,"batch_ms":20"#, true, 1_000, true),
    ] {
        let text = format!(r#"{{"subscribe":{{"topics":["a","b.*"],{fields}}}}}"#);
        let mode = Mode { latest, interval_ms, batch };
        let expected = Subscribe { mode, ..subscribe(&["a", "b.*"]) };
        assert_eq!(command(&text), Command::Subscribe(Box::new(expected)), "{text}");
    }
}

#[test]
fn subscribe_with_exceptions() {
    let expected = Subscribe { except: patterns(&["a.b", "a.c.>"]), ..subscribe(&["a.>"]) };
    let text = r#"{"subscribe":{"topics":["a.>"],"except":["a.b","a.c.>"]}}"#;
    assert_eq!(command(text), Command::Subscribe(Box::new(expected)));
}

#[test]
fn unsubscribe() {
    assert_eq!(
        command(r#"{"id":3,"unsubscribe":{"topics":["a","b.>"]}}"#),
        Command::Unsubscribe(Unsubscribe::Topics(patterns(&["a", "b.>"])))
    );
    assert_eq!(
        command(r#"{"id":3,"unsubscribe":{"subscription":"s12"}}"#),
        Command::Unsubscribe(Unsubscribe::Subscription(SubscriptionId(12)))
    );
}

#[test]
fn publish() {
    let plain = Command::Publish(Box::new(json_draft("a.b", r#"{"x":1}"#)));
    assert_eq!(command(r#"{"id":4,"publish":{"topic":"a.b","data":{"x":1}}}"#), plain);

    let mut draft = json_draft("a.b", "null");
    draft.audience = Audience::User("ada".into());
    draft.id = Some("key-1".into());
    draft.headers = Some(Bytes::from(r#"{ "trace":"1\n" , "b":"ü" }"#));
    let text = r#"{"publish":{"topic":"a.b","data": null ,"user":"ada","key":"key-1",
        "headers":{ "trace":"1\n" , "b":"ü" }}}"#;
    assert_eq!(command(text), Command::Publish(Box::new(draft)));

    let mut draft = json_draft("a", "1");
    draft.audience = Audience::Group("team".into());
    let text = r#"{"publish":{"topic":"a","data":1,"group":"team"}}"#;
    assert_eq!(command(text), Command::Publish(Box::new(draft)));
}

#[test]
fn published_data_pass_through_untouched() {
    for data in [
        "1",
        "-0",
        "1.0",
        "1E400",
        "123456789012345678901234567890.10",
        "9007199254740993",
        r#"{"b":1,"a":2,"b":3}"#,
        r#"{"a" : [ 1 ,2.50 ] }"#,
        r#""grün \u00fc \ud800 \/ 日本""#,
        "[[[]]]",
        "{\"a\":\n1}",
    ] {
        let text = format!(r#"{{"publish":{{"data":  {data}  ,"topic":"a"}}}}"#);
        let Command::Publish(draft) = command(&text) else { panic!("{text}") };
        assert_eq!(draft.payload, Payload::Json(data.as_bytes().to_vec().into()), "{text}");
    }
}

#[test]
fn binary_publish() {
    let bytes =
        b"{\"id\":4,\"publish\":{\"topic\":\"a\",\"content_type\":\"image/jpeg\"}}\n\xff\xd8\n\0";
    let request = binary(bytes);
    let payload = Payload::Binary {
        content_type: "image/jpeg".into(),
        bytes: Bytes::from_static(b"\xff\xd8\n\0"),
    };
    assert_eq!(request.id, Some(4));
    let draft = Draft::new(Topic::parse("a").unwrap(), payload);
    assert_eq!(request.command, Command::Publish(Box::new(draft)));

    let empty = b"{\"publish\":{\"topic\":\"a\",\"content_type\":\"a/b; c=d\"}}\n";
    let request = binary(empty);
    let Command::Publish(draft) = request.command else { panic!("no publish") };
    assert!(draft.payload.is_empty());
}

#[test]
fn history() {
    let shortest = History {
        topic: patterns(&["a.>"]).remove(0),
        stream: None,
        epoch: None,
        after: 0,
        limit: HISTORY_EVENTS_DEFAULT,
    };
    let text = r#"{"id":6,"history":{"topic":"a.>"}}"#;
    assert_eq!(command(text), Command::History(Box::new(shortest.clone())));

    let text = r#"{"id":6,"history":{"topic":"a.>","stream":"news","epoch":"e1","after":5,"limit":10000}}"#;
    let full = History {
        stream: Some(stream("news")),
        epoch: Some(Epoch::parse("e1").unwrap()),
        after: 5,
        limit: 10_000,
        ..shortest
    };
    assert_eq!(command(text), Command::History(Box::new(full)));
}

#[test]
fn acknowledgement() {
    let text =
        r#"{"id":9,"ack":[{"stream":"s","epoch":"e","seq":7},{"stream":"t","epoch":"f","seq":0}]}"#;
    let positions = vec![position("s:e:7"), position("t:f:0")];
    assert_eq!(command(text), Command::Acknowledge(positions));
}

#[test]
fn ping() {
    assert_eq!(command(r#"{"id":10,"ping":{}}"#), Command::Ping);
}

#[test]
fn calls() {
    let call = |data: &'static str, timeout_ms| {
        let command = Topic::parse("trainer.pause").unwrap();
        let data = Bytes::from_static(data.as_bytes());
        Command::Call(Box::new(Call { command, data, timeout_ms }))
    };
    for (text, expected) in [
        (r#"{"id":5,"call":{"command":"trainer.pause"}}"#, call("null", None)),
        (r#"{"call":{"command":"trainer.pause","data":null}}"#, call("null", None)),
        (
            r#"{"call":{"command":"trainer.pause","data":{"b": 1.0,"a":[ ]},"timeout_ms":250}}"#,
            call(r#"{"b": 1.0,"a":[ ]}"#, Some(250)),
        ),
    ] {
        assert_eq!(command(text), expected, "{text}");
    }
}

#[test]
fn handlers_and_their_results() {
    let handle = |patterns_of: &[&str]| Command::Handle(patterns(patterns_of));
    let text = r#"{"id":9,"handle":{"commands":["trainer.*","a"]}}"#;
    assert_eq!(command(text), handle(&["trainer.*", "a"]));
    assert_eq!(command(r#"{"handle":{"commands":[]}}"#), handle(&[]));
    let result = |result| Command::Result { call_id: 7, result };
    let data = result(Ok(Bytes::from_static(b"{\"a\": 1}")));
    assert_eq!(command(r#"{"result":{"call_id":7,"data":{"a": 1}}}"#), data);
    let null = result(Ok(Bytes::from_static(b"null")));
    assert_eq!(command(r#"{"result":{"call_id":7,"data":null}}"#), null);
    let text = r#"{"result":{"call_id":7,"error":{"code":"overloaded","message":"later",
        "retry_after_ms":500,"details":{"queue":[ 9 ]}}}}"#;
    let error = Error::new(ErrorCode::Overloaded, "later").retry_after(500);
    assert_eq!(command(text), result(Err(error.with_details(r#"{"queue":[ 9 ]}"#))));
    let text = r#"{"result":{"call_id":7,"error":{"code":"NOT_PAUSED","details":[1]}}}"#;
    let error = Error::new(ErrorCode::CommandFailed, "");
    let error = error.with_details(r#"{"code":"NOT_PAUSED","details":[1]}"#);
    assert_eq!(command(text), result(Err(error)));
}

#[test]
fn presence() {
    let pattern = patterns(&["news.>"]).remove(0);
    assert_eq!(command(r#"{"presence":{"topic":"news.>"}}"#), Command::Presence(pattern));
}

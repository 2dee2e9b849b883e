use super::decode;
use crate::dialect::Misspelled;
use crate::dialects::native::Native;
use crate::{Conversation, ErrorCode, Frame};

fn wrong(text: &str) -> Misspelled {
    decode(text).expect_err(text)
}

#[test]
fn messages_as_such() {
    const VERBS: &str = "known are hello, subscribe, unsubscribe, publish, history, ack, ping, refresh, call, handle, result, presence";
    for (text, message) in [
        ("", "a message must be one JSON object"),
        ("ping", "a message must be one JSON object"),
        ("[]", "a message must be one JSON object"),
        (r#"[{"ping":{}}]"#, "a message must be one JSON object"),
        ("\u{feff}{}", "a message must be one JSON object"),
        ("{", "the message is not valid JSON (line 1, column 1)"),
        (r#"{"ping":{}} {}"#, "the message is not valid JSON (line 1, column 13)"),
        (r#"{"ping":{},}"#, "the message is not valid JSON (line 1, column 12)"),
        ("{}", &format!("the message has no verb; {VERBS}")),
        (r#"{"id":1}"#, &format!("the message has no verb; {VERBS}")),
        (r#"{"pong":{}}"#, &format!("\"pong\" is not a verb; {VERBS}")),
        (r#"{"ping":{},"hello":{}}"#, "a message has one verb, not both ping and hello"),
        (r#"{"ping":{},"ping":{}}"#, "the message has the field \"ping\" twice"),
        (r#"{"ping":{},"\u0070ing":{}}"#, "the message has the field \"ping\" twice"),
        (r#"{"id":1,"id":1,"ping":{}}"#, "the message has the field \"id\" twice"),
        (r#"{"ping":[]}"#, "ping must be an object"),
        (r#"{"ping":null}"#, "ping must be an object"),
        (r#"{"ack":{}}"#, "ack must be a list of positions"),
        (r#"{"ack":[]}"#, "ack must be a list of at least one position"),
        (r#"{"ack":[{"stream":"s","epoch":"e","after":1}]}"#, "ack[0].seq is missing"),
        (
            r#"{"ack":[{"stream":"s","epoch":"e","seq":1},{"stream":"s","epoch":"e","seq":2}]}"#,
            "ack names the stream s twice",
        ),
    ] {
        let wrong = wrong(text);
        assert_eq!(wrong.error.code, ErrorCode::BadRequest, "{text}");
        assert_eq!(wrong.error.message, message, "{text}");
    }
}

#[test]
fn ids_that_are_no_integers() {
    for id in ["null", "1.0", "1e2", "\"1\"", "true", "[]", "9223372036854775808"] {
        let wrong = wrong(&format!(r#"{{"id":{id},"ping":{{}}}}"#));
        assert_eq!(wrong.id, None);
        assert_eq!(wrong.error.message, "id must be an integer from -2^63 to 2^63 - 1", "{id}");
    }
}

#[test]
fn an_error_carries_the_id_that_could_be_read() {
    for text in [
        r#"{"id":7,"pong":{}}"#,
        r#"{"subscribe":{},"id":7}"#,
        r#"{"id":7,"ping":{},"ping":{}}"#,
        r#"{"ping":{},"hello":{},"id":7}"#,
        r#"{"subscribe":{"topics":1,"topics":2},"id":7}"#,
    ] {
        assert_eq!(wrong(text).id, Some(7), "{text}");
    }
}

#[test]
fn a_malformed_hello_is_known_as_one() {
    assert!(wrong(r#"{"hello":[]}"#).was_hello);
    assert!(wrong(r#"{"hello":{"device":1}}"#).was_hello);
    assert!(wrong(r#"{"id":"x","hello":{}}"#).was_hello);
    assert!(!wrong(r#"{"subscribe":[]}"#).was_hello);
}

#[test]
fn too_deep_or_too_wide() {
    let deep = format!(r#"{{"publish":{{"topic":"a","data":{}}}}}"#, "[".repeat(1_000_000));
    assert_eq!(wrong(&deep).error.message, "the JSON nests deeper than 32 levels");
    let wide: String = (0..65).map(|n| format!("\"f{n}\":0,")).collect();
    let text = format!(r#"{{"id":1,{wide}"ping":{{}}}}"#);
    assert_eq!(wrong(&text).error.message, "the message has more than 64 fields");
    let many = vec!["\"a\""; 1_001].join(",");
    let text = format!(r#"{{"subscribe":{{"topics":[{many}]}}}}"#);
    assert_eq!(wrong(&text).error.message, "subscribe.topics has more than 1000 items");
}

#[test]
fn bodies_name_the_field_in_plain_words() {
    use ErrorCode::{BadRequest, InvalidPattern, InvalidTopic};
    let from = "subscribe.from must be \"now\", \"stored\", {\"last\":N}, {\"since\":ms}, {\"after\":seq} or {\"positions\":[…]}";
    for (body, code, message) in [
        (r#""subscribe":{}"#, BadRequest, "subscribe.topics is missing"),
        (
            r#""subscribe":{"topics":"a"}"#,
            BadRequest,
            "subscribe.topics must be a list of patterns",
        ),
        (
            r#""subscribe":{"topics":[1]}"#,
            BadRequest,
            "subscribe.topics must be a list of patterns",
        ),
        (
            r#""subscribe":{"topics":null}"#,
            BadRequest,
            "subscribe.topics must be a list of patterns",
        ),
        (
            r#""subscribe":{"topics":[]}"#,
            BadRequest,
            "subscribe.topics must be a list of at least one pattern",
        ),
        (
            r#""subscribe":{"topics":["a..b"]}"#,
            InvalidPattern,
            "subscribe.topics: \"a..b\" is not a pattern: a token is empty",
        ),
        (
            r#""subscribe":{"topics":["a"],"except":{}}"#,
            BadRequest,
            "subscribe.except must be a list of patterns",
        ),
        (
            r#""subscribe":{"topics":["a"],"topics":["b"]}"#,
            BadRequest,
            "subscribe has the field \"topics\" twice",
        ),
        (r#""subscribe":{"topics":["a"],"from":"then"}"#, BadRequest, from),
        (r#""subscribe":{"topics":["a"],"from":{}}"#, BadRequest, from),
        (r#""subscribe":{"topics":["a"],"from":{"last":1,"since":2}}"#, BadRequest, from),
        (
            r#""subscribe":{"topics":["a"],"from":{"last":0}}"#,
            BadRequest,
            "subscribe.from.last must be an integer from 1 to 100000",
        ),
        (
            r#""subscribe":{"topics":["a"],"from":{"since":-1}}"#,
            BadRequest,
            "subscribe.from.since must be an integer from 0 to 9007199254740991",
        ),
        (
            r#""subscribe":{"topics":["a"],"from":{"positions":[{}]}}"#,
            BadRequest,
            "subscribe.from.positions[0].stream is missing",
        ),
        (
            r#""subscribe":{"topics":["a"],"latest":1}"#,
            BadRequest,
            "subscribe.latest must be true or false",
        ),
        (
            r#""subscribe":{"topics":["a"],"max_rate":0}"#,
            BadRequest,
            "subscribe.max_rate must be a number of reads per second from 0.001 to 1000",
        ),
        (
            r#""subscribe":{"topics":["a"],"max_rate":1000.5}"#,
            BadRequest,
            "subscribe.max_rate must be a number of reads per second from 0.001 to 1000",
        ),
        (
            r#""subscribe":{"topics":["a"],"batch_ms":0}"#,
            BadRequest,
            "subscribe.batch_ms must be an integer from 1 to 60000",
        ),
        (
            r#""unsubscribe":{}"#,
            BadRequest,
            "unsubscribe must be an object with either topics or subscription",
        ),
        (
            r#""unsubscribe":{"topics":["a"],"subscription":"s1"}"#,
            BadRequest,
            "unsubscribe must be an object with either topics or subscription",
        ),
        (
            r#""unsubscribe":{"subscription":1}"#,
            BadRequest,
            "unsubscribe.subscription must be a subscription's name, such as \"s1\"",
        ),
        (
            r#""unsubscribe":{"subscription":"x1"}"#,
            BadRequest,
            "unsubscribe.subscription must be a subscription's name, such as \"s1\"",
        ),
        (r#""publish":{"data":1}"#, BadRequest, "publish.topic is missing"),
        (r#""publish":{"topic":"a"}"#, BadRequest, "publish.data is missing"),
        (
            r#""publish":{"topic":"a.*","data":1}"#,
            InvalidTopic,
            "publish.topic: \"a.*\" is not a topic: `*` may not be part of a topic",
        ),
        (
            r#""publish":{"topic":"a","data":1,"user":null}"#,
            BadRequest,
            "publish.user must be a string",
        ),
        (
            r#""publish":{"topic":"a","data":1,"user":"a","group":"b"}"#,
            BadRequest,
            "publish names both a user and a group; choose one",
        ),
        (
            r#""publish":{"topic":"a","data":1,"client":"b"}"#,
            BadRequest,
            "publish.client is only available in the admin API",
        ),
        (
            r#""publish":{"topic":"a","data":1,"key":""}"#,
            BadRequest,
            "publish.key must be 1 to 255 bytes long",
        ),
        (
            r#""publish":{"topic":"a","data":1,"key":"a\nb"}"#,
            BadRequest,
            "publish.key must be a string without control characters",
        ),
        (
            r#""publish":{"topic":"a","data":1,"headers":[]}"#,
            BadRequest,
            "publish.headers must be an object of strings",
        ),
        (
            r#""publish":{"topic":"a","data":1,"headers":{"x":1}}"#,
            BadRequest,
            "publish.headers must be an object of strings; \"x\" is none",
        ),
        (
            r#""publish":{"topic":"a","data":1,"headers":{"x":"","x":""}}"#,
            BadRequest,
            "publish.headers has the field \"x\" twice",
        ),
        (
            r#""publish":{"topic":"a","content_type":"a/b"}"#,
            BadRequest,
            "publish.content_type belongs to binary data",
        ),
        (r#""history":{}"#, BadRequest, "history.topic is missing"),
        (
            r#""history":{"topic":"a","stream":"A B"}"#,
            BadRequest,
            "history.stream: \"A B\" is not a stream's name: 1 to 64 of a-z, 0-9, `_` and `-` are allowed",
        ),
        (
            r#""history":{"topic":"a","epoch":""}"#,
            BadRequest,
            "history.epoch: \"\" is not an epoch",
        ),
        (
            r#""history":{"topic":"a","after":9007199254740992}"#,
            BadRequest,
            "history.after must be an integer from 0 to 9007199254740991",
        ),
        (
            r#""history":{"topic":"a","limit":0}"#,
            BadRequest,
            "history.limit must be an integer from 1 to 10000",
        ),
        (r#""hello":{"device":""}"#, BadRequest, "hello.device must be 1 to 255 bytes long"),
        (r#""hello":{"session":5}"#, BadRequest, "hello.session must be a string"),
        (r#""hello":{"token":""}"#, BadRequest, "hello.token must be 1 to 8192 bytes long"),
        (r#""refresh":{}"#, BadRequest, "refresh.token is missing"),
        (r#""refresh":{"token":7}"#, BadRequest, "refresh.token must be a string"),
        (r#""hello":{"takeover":"yes"}"#, BadRequest, "hello.takeover must be true or false"),
        (r#""hello":{"resume":{}}"#, BadRequest, "hello.resume must be a list of positions"),
        (r#""hello":{"resume":[1]}"#, BadRequest, "hello.resume[0] must be an object"),
        (
            r#""hello":{"resume":[{"stream":"s","epoch":"e","after":-1}]}"#,
            BadRequest,
            "hello.resume[0].after must be an integer from 0 to 9007199254740991",
        ),
        (
            r#""hello":{"resume":[{"stream":"s","epoch":"e","after":1},{"stream":"s","epoch":"e","after":2}]}"#,
            BadRequest,
            "hello.resume names the stream s twice",
        ),
        (
            r#""hello":{"subscriptions":[{"topics":["a"]},{}]}"#,
            BadRequest,
            "hello.subscriptions[1].topics is missing",
        ),
    ] {
        let wrong = wrong(&format!("{{\"id\":1,{body}}}"));
        assert_eq!((wrong.error.code, &*wrong.error.message), (code, message), "{body}");
        assert_eq!(wrong.id, Some(1));
        assert_eq!(wrong.was_hello, body.starts_with("\"hello"));
    }
}

#[test]
fn calls_and_results_that_break_a_rule() {
    for (body, message) in [
        (r#""call":{}"#, "call.command is missing"),
        (
            r#""call":{"command":"a.>"}"#,
            "call.command: \"a.>\" is not a topic: `>` may not be part of a topic",
        ),
        (
            r#""call":{"command":"a","timeout_ms":0}"#,
            "call.timeout_ms must be an integer from 1 to 3600000",
        ),
        (r#""handle":{}"#, "handle.commands is missing"),
        (r#""handle":{"commands":"a"}"#, "handle.commands must be a list of patterns"),
        (r#""result":{"data":1}"#, "result.call_id is missing"),
        (r#""result":{"call_id":1}"#, "result has neither data nor error"),
        (
            r#""result":{"call_id":1,"data":1,"error":{"code":"a"}}"#,
            "result has both data and error; choose one",
        ),
        (r#""result":{"call_id":1,"error":{}}"#, "result.error.code is missing"),
        (
            r#""result":{"call_id":1,"error":{"code":"a","retry_after_ms":-1}}"#,
            "result.error.retry_after_ms must be an integer from 0 to 3600000",
        ),
        (r#""presence":{}"#, "presence.topic is missing"),
    ] {
        let wrong = wrong(&format!("{{\"id\":1,{body}}}"));
        assert_eq!(wrong.error.message, message);
        assert_eq!(wrong.id, Some(1));
    }
}

#[test]
fn binary_frames() {
    for (bytes, id, message) in [
        (&b""[..], None, "a binary frame is a line of JSON, a newline, and the data"),
        (b"{}", None, "a binary frame is a line of JSON, a newline, and the data"),
        (b"\xff\n", None, "the first line of a binary frame must be UTF-8"),
        (b"{\"id\":3,\"ping\":{}}\n", Some(3), "a binary frame can only carry a publish"),
        (b"{\"publish\":{\"topic\":\"a\"}}\n", None, "publish.content_type is missing"),
        (
            b"{\"publish\":{\"topic\":\"a\",\"content_type\":\"jpeg\"}}\n",
            None,
            "publish.content_type must be a media type, such as image/jpeg",
        ),
        (
            b"{\"publish\":{\"topic\":\"a\",\"content_type\":\"a/b\\r\\nX: y\"}}\n",
            None,
            "publish.content_type must be a string without control characters",
        ),
        (
            b"{\"publish\":{\"topic\":\"a\",\"content_type\":\"a/b\",\"data\":1}}\n",
            None,
            "publish.data: in a binary frame, data follow the line",
        ),
    ] {
        let wrong = Native.decode(Frame::Binary(bytes)).unwrap_err();
        assert_eq!((wrong.id, &*wrong.error.message), (id, message));
    }
}

//! What a hostile or unlucky client sends: it is told so, stays, and disturbs nothing.

use serde_json::{Value, json};
use tidings_tests::harness::frame::{self, masked, masked_with, unmasked};
use tidings_tests::harness::{Incoming, SOON, Socket, TestServer, transcript};

const SMALL: &str = r#"
[auth.roles.anonymous]
subscribe = ["open.>"]
publish = ["open.talk"]
[limits]
subscriptions = 20
message_bytes = "16KiB"
"#;

/// Sends something wrong to a subscriber; the error that it is told. It must go on as before.
async fn told(server: &TestServer, socket: &mut Socket, wrong: &str) -> Value {
    socket.send_text(wrong).await;
    let answer = socket.json().await;
    assert!(answer.get("error").is_some(), "{wrong} brings {answer}");
    server.publish("open.steady", json!("still here")).await;
    let event = socket.json().await;
    assert_eq!(event["event"]["data"], "still here", "after {wrong}");
    answer
}

#[tokio::test]
async fn what_cannot_be_read_is_a_bad_request_and_the_client_stays() {
    let server = TestServer::start(SMALL);
    let mut socket = server.subscriber(&["open.steady"]).await;
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let too_deep = format!(r#"{{"id":9,"publish":{{"topic":"open.talk","data":{}}}}}"#, deep(33));
    let many = format!("[{}", "[".repeat(10_000));
    for wrong in [
        "",
        " ",
        "{",
        "nonsense",
        "null",
        "7",
        "\"text\"",
        "[]",
        r#"[{"id":1,"ping":{}}]"#,
        "{}",
        r#"{"id":1}"#,
        r#"{"id":1,"dance":{}}"#,
        r#"{"id":1,"ping":{},"subscribe":{"topics":["open.a"]}}"#,
        r#"{"id":1,"id":2,"ping":{}}"#,
        r#"{"id":1,"ping":{},"ping":{}}"#,
        r#"{"id":"one","ping":{}}"#,
        r#"{"id":1.5,"ping":{}}"#,
        r#"{"id":1e30,"ping":{}}"#,
        r#"{"id":9223372036854775808,"ping":{}}"#,
        r#"{"id":[],"ping":{}}"#,
        r#"{"id":1,"ping":{}} trailing"#,
        "{\"id\":1,\"ping\":{}}\u{0}",
        &too_deep,
        &many,
    ] {
        let answer = told(&server, &mut socket, wrong).await;
        assert_eq!(answer["error"]["code"], "bad_request", "{wrong} brings {answer}");
    }
}

#[tokio::test]
async fn a_million_brackets_are_refused_and_cost_nothing() {
    let server = TestServer::start("[limits]\nmessage_bytes = \"2MiB\"");
    let mut socket = server.subscriber(&["open.steady"]).await;
    for bracket in ["[", "{\"a\":"] {
        let wrong = bracket.repeat(1_000_000 / bracket.len());
        let answer = told(&server, &mut socket, &wrong).await;
        assert_eq!(answer["error"]["code"], "bad_request");
        let in_data = format!("{{\"id\":5,\"publish\":{{\"topic\":\"t\",\"data\":{wrong}");
        told(&server, &mut socket, &in_data).await;
    }
}

#[tokio::test]
async fn a_session_reads_like_this() {
    let server = TestServer::start(SMALL);
    let mut socket = server.connect().await;
    transcript::play(
        &mut socket,
        r#"
        > {"id":1,"ping":{}}
        < {"id":1,"ok":{"time":…}}
        > {"id":2,"subscribe":{"topics":["open.heard"]}}
        < {"id":2,"ok":{"subscription":"s1","topics":["open.heard"],"positions":[{"stream":"default","epoch":"…","seq":0}]}}
        > {"id":3,"publish":{"topic":"open.talk","data":{"b": 1, "a": "é"},"key":"k","headers":{"h":"v"}}}
        < {"id":3,"ok":{"stream":"default","epoch":"…","seq":1,"duplicate":false,"durability":"memory"}}
        > {"id":4,"publish":{"topic":"open.talk","data":{"b": 1, "a": "é"},"key":"k","headers":{"h":"v"}}}
        < {"id":4,"ok":{"stream":"default","epoch":"…","seq":1,"duplicate":true,"durability":"memory"}}
        > {"id":5,"publish":{"topic":"open.talk","data":2,"key":"k"}}
        < {"id":5,"error":{"code":"id_conflict","message":"…"}}
        > {"id":6,"history":{"topic":"open.talk"}}
        < {"id":6,"ok":{"events":[{"topic":"open.talk","stream":"default","seq":1,"time":…,"data":{"b": 1, "a": "é"},"headers":{"h":"v"}}],"epoch":"…","after":1,"more":false}}
        > {"id":7,"unsubscribe":{"subscription":"s1"}}
        < {"id":7,"ok":{}}
        > {"publish":{"topic":"open.talk","data":3}}
        > {"publish":{"topic":"open.other","data":3}}
        < {"error":{"code":"forbidden","message":"…"}}
        > {"id":-8,"ping":{}}
        < {"id":-8,"ok":{"time":…}}
        > {"id":9,"subscribe":{"topics":["open.heard"]}}
        < {"id":9,"ok":{"subscription":"s2","topics":["open.heard"],"positions":[{"stream":"default","epoch":"…","seq":2}]}}
        "#,
    )
    .await;
    server.publish("open.heard", json!({ "b": [1.50, "é"] })).await;
    let event = r#"
        < {"event":{"topic":"open.heard","stream":"default","seq":3,"time":…,"data":{"b":[1.5,"é"]}}}
    "#;
    transcript::play(&mut socket, event).await;
}

#[tokio::test]
async fn binary_garbage_is_a_bad_request() {
    let server = TestServer::start(SMALL);
    let mut socket = server.subscriber(&["open.steady"]).await;
    for garbage in
        [&b""[..], b"\xff\xfe\xfd", b"{}", b"\n", b"{}\n", b"{\"id\":3,\"ping\":{}}\nx", b"\xff\n1"]
    {
        socket.send_binary(garbage).await;
        assert_eq!(socket.json().await["error"]["code"], "bad_request", "{garbage:?}");
    }
    server.publish("open.steady", json!(1)).await;
    assert_eq!(socket.json().await["event"]["data"], 1);
}

#[tokio::test]
async fn who_breaks_the_websocket_protocol_is_closed_with_the_fitting_code() {
    let server = TestServer::start(SMALL);
    let mut watcher = server.subscriber(&["open.steady"]).await;
    let fragments = [masked_with(frame::TEXT, b"{\"id\""), masked(frame::TEXT, b"{}")].concat();
    let large = [masked_with(frame::TEXT, &[b' '; 10_000]), masked(0, &[b' '; 10_000])].concat();
    let whole = "x".repeat(17_000);
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("unmasked", unmasked(frame::TEXT, b"{}"), 1002),
        ("reserved bits", masked_with(0xf1, b"{}"), 1002),
        ("a compressed frame unasked", masked_with(0xc1, b"{}"), 1002),
        ("an unknown opcode", masked(3, b"{}"), 1002),
        ("an unknown control opcode", masked(11, b""), 1002),
        ("a fragmented ping", masked_with(frame::PING, b""), 1002),
        ("a long ping", masked(frame::PING, &[0; 126]), 1002),
        ("a continuation of nothing", masked(frame::CONTINUATION, b"{}"), 1002),
        ("a message within a message", fragments, 1002),
        ("a close frame of one byte", masked(frame::CLOSE, b"\x03"), 1002),
        ("a close code that is none", masked(frame::CLOSE, &frame::close(1005, "")), 1002),
        ("a text that is no UTF-8", masked(frame::TEXT, b"\xff"), 1007),
        ("a text that ends within a character", masked(frame::TEXT, b"\xc3"), 1007),
        ("a reason that is no UTF-8", masked(frame::CLOSE, b"\x03\xe8\xff"), 1007),
        ("a large message", masked(frame::TEXT, whole.as_bytes()), 1009),
        ("a large message in parts", large, 1009),
        (
            "a claim of 2^63-1 bytes",
            [frame::head(0x81, (1 << 63) - 1, 0x80), vec![0; 4]].concat(),
            1009,
        ),
    ];
    for (what, bytes, code) in cases {
        let mut socket = server.subscriber(&["open.steady"]).await;
        socket.try_send_raw(&bytes).await;
        match socket.next_within(SOON).await {
            Some(Incoming::Close(found, _)) => assert_eq!(found, code, "{what}"),
            other => panic!("{what} brings {other:?}"),
        }
        assert_eq!(socket.next().await, Incoming::End, "{what}");
    }
    server.has_connections(1).await;
    server.publish("open.steady", json!(1)).await;
    assert_eq!(watcher.json().await["event"]["data"], 1);
}

#[tokio::test]
async fn a_message_in_many_parts_with_pings_between_is_whole() {
    let server = TestServer::start(SMALL);
    let mut socket = server.connect().await;
    let text = r#"{"id":1,"ping":{}}"#.as_bytes();
    let mut bytes = masked_with(frame::TEXT, &text[..1]);
    for byte in &text[1..text.len() - 1] {
        bytes.extend(masked(frame::PING, b"p"));
        bytes.extend(masked_with(frame::CONTINUATION, &[*byte]));
    }
    bytes.extend(masked(frame::CONTINUATION, &text[text.len() - 1..]));
    // One byte at a time, so that every place is once the end of a read.
    for byte in bytes {
        socket.send_raw(&[byte]).await;
    }
    for _ in 0..text.len() - 2 {
        assert_eq!(socket.next().await, Incoming::Pong(b"p".to_vec()));
    }
    assert_eq!(socket.json().await["id"], 1);
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_and_disturbs_nobody() {
    let server = TestServer::start(SMALL);
    let mut other = server.subscriber(&["open.steady"]).await;
    let mut flooding = server.connect().await;
    let flood = masked(frame::PING, b"").repeat(50_000);
    flooding.try_send_raw(&flood).await;
    server.publish("open.steady", json!(1)).await;
    assert_eq!(other.json().await["event"]["data"], 1);
    for _ in 0..50_000 {
        assert_eq!(flooding.next().await, Incoming::Pong(Vec::new()));
    }
    assert!(server.metric("outbox_bytes").await < 200_000);
}

//! Server-sent events.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use tidings_tests::harness::account::{number, text};
use tidings_tests::harness::sse::Sent;
use tidings_tests::harness::{EventSource, Pour, SOON, TestServer, eventually, http};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;

const STREAMS: &str = r#"
[[stream]]
name = "a"
topics = ["a.>"]
retain = { count = 1_000_000 }
[[stream]]
name = "b"
topics = ["b.>"]
retain = { count = 1_000_000 }
[[stream]]
name = "small"
topics = ["small.>"]
retain = { count = 5 }
[[endpoint]]
path = "/v1/ws"
heartbeat = "200ms"
"#;

/// The positions of an id: stream and seq.
fn positions(id: &str) -> BTreeMap<String, u64> {
    let parts = id.split(',').map(|part| part.split(':').collect::<Vec<_>>());
    parts.map(|part| (part[0].to_owned(), part[2].parse().unwrap())).collect()
}

#[tokio::test]
async fn each_event_comes_with_all_positions_as_its_id() {
    let server = TestServer::start(STREAMS);
    server.publish("a.old", json!(0)).await;
    let mut source = server.events("topics=a.>,b.x", None).await;
    assert_eq!(positions(&source.last_id), [("a".into(), 1), ("b".into(), 0)].into());
    server.publish("a.x", json!({ "text": "line\nline", "é": 1 })).await;
    let sent = source.next_named("").await;
    let event = sent.json();
    assert_eq!((&event["topic"], &event["seq"]), (&json!("a.x"), &json!(2)));
    assert_eq!(event["data"], json!({ "text": "line\nline", "é": 1 }));
    assert_eq!(positions(&sent.id), [("a".into(), 2), ("b".into(), 0)].into());
    server.publish("b.x", json!(1)).await;
    assert_eq!(
        positions(&source.next_named("").await.id),
        [("a".into(), 2), ("b".into(), 1)].into()
    );
    // What is not for it moves its positions by a mark.
    server.publish("b.other", json!(1)).await;
    let mark = source.next_named("mark").await;
    assert_eq!(positions(&mark.id), [("a".into(), 2), ("b".into(), 2)].into());
}

#[tokio::test]
async fn data_with_line_breaks_between_its_tokens_arrive_whole() {
    let server = TestServer::start(STREAMS);
    let mut source = server.events("topics=a.>", None).await;
    let body = b"{\"topic\":\"a.x\",\"data\":{\r\n\"k\":\n [1,\r2]\n\n}}";
    assert_eq!(http::send(server.admin, "POST", "/v1/publish", &[], body).await.status, 200);
    assert_eq!(source.next_named("").await.json()["data"], json!({ "k": [1, 2] }));
    let headers = [("Content-Type", "image/png")];
    http::send(server.admin, "POST", "/v1/publish/a.y", &headers, b"\x00\n\xff").await.ok();
    let data = source.next_named("").await.json()["data"].clone();
    assert_eq!(data, json!({ "content_type": "image/png", "base64": "AAr/" }));
}

#[tokio::test]
async fn the_last_id_resumes_several_streams_without_loss_or_repeats() {
    let server = TestServer::start(STREAMS);
    let topics = ["a.x", "a.y", "b.x", "c"];
    let pour = Pour::start(server.library().publisher(), &topics, Duration::from_millis(1));
    let mut source = server.events("topics=a.x,b.>", None).await;
    let start = positions(&source.last_id);
    let mut received: Vec<(String, u64)> = Vec::new();
    for round in 0..25 {
        for _ in 0..10 + round % 5 {
            let sent = source.next().await;
            if sent.name.is_empty() {
                let event = sent.json();
                received.push((text(&event, "stream"), number(&event, "seq")));
            } else {
                assert_eq!(sent.name, "mark", "{sent:?}");
            }
        }
        let last_id = source.last_id.clone();
        drop(source);
        source = server.events("topics=a.x,b.>", Some(&last_id)).await;
        assert_eq!(positions(&source.last_id), positions(&last_id));
    }
    let end = positions(&source.last_id);
    let published = pour.stop();
    for stream in ["a", "b"] {
        let within = (start[stream], end[stream]);
        let expected =
            tidings_tests::harness::pour::seqs(&published, stream, within, |topic| topic != "a.y");
        let got: Vec<u64> =
            received.iter().filter(|(of, _)| of == stream).map(|(_, seq)| *seq).collect();
        assert_eq!(got, expected, "{stream}");
    }
}

#[tokio::test]
async fn who_resumes_far_behind_what_is_not_for_it_catches_up_at_once() {
    let server = TestServer::start(
        "[limits]\ntail_bytes = \"64KiB\"\n[[stream]]\nname = \"a\"\ntopics = [\"a.>\"]\n",
    );
    let source = server.events("topics=a.x", None).await;
    let id = source.last_id.clone();
    drop(source);
    let pad = "x".repeat(10_000);
    let publisher = server.library().publisher();
    for _ in 0..2_000 {
        publisher.publish("a.other", &pad).unwrap();
    }
    publisher.publish("a.x", &1).unwrap().appended().await.unwrap();
    let started = Instant::now();
    let mut source = server.events("topics=a.x", Some(&id)).await;
    assert_eq!(source.next_named("").await.json()["seq"], 2_001);
    // Nothing else happens that would have woken it, before the first heartbeat after 30 s.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_gap_is_an_event_of_its_own() {
    let server = TestServer::start(STREAMS);
    let source = server.events("topics=small.>", None).await;
    let id = source.last_id.clone();
    drop(source);
    for n in 0..20 {
        server.publish("small.x", json!(n)).await;
    }
    let mut source = server.events("topics=small.>", Some(&id)).await;
    let gap = source.next().await;
    assert_eq!(gap.name, "gap", "{gap:?}");
    let gap = gap.json();
    assert_eq!((&gap["from"], &gap["to"]), (&json!(1), &json!(15)));
    assert_eq!((&gap["stream"], &gap["reason"]), (&json!("small"), &json!("retention")));
    for seq in 16..=20 {
        assert_eq!(source.next_named("").await.json()["seq"], seq);
    }
    let other = id.replace(id.split(':').nth(1).unwrap(), "over");
    let mut source = server.events("topics=small.>", Some(&other)).await;
    let gap = source.next_named("gap").await.json();
    assert_eq!(
        (&gap["reason"], &gap["from"], &gap["to"]),
        (&json!("epoch"), &json!(1), &json!(15))
    );
    assert_eq!(source.next_named("").await.json()["seq"], 16);
}

#[tokio::test]
async fn comments_show_that_the_server_lives() {
    let server = TestServer::start(STREAMS);
    let mut source = server.events("topics=a.>", None).await;
    let comment = source.next_within(SOON).await;
    assert_eq!(
        comment,
        Some(Sent { is_comment: true, id: source.last_id.clone(), ..Sent::default() })
    );
}

#[tokio::test]
async fn parameters_are_as_in_a_subscription() {
    let server = TestServer::start(STREAMS);
    for n in 0..10 {
        server.publish("a.x", json!(n)).await;
        server.publish("a.y", json!(n)).await;
    }
    let mut source = server.events("topics=a.*&except=a.y&last=2", None).await;
    for n in [8, 9] {
        assert_eq!(source.next_named("").await.json()["data"], n);
    }
    let mut source = server.events("topics=a.>&latest&last=1", None).await;
    for topic in ["a.x", "a.y"] {
        let event = source.next_named("").await.json();
        assert_eq!((&event["topic"], &event["data"]), (&json!(topic), &json!(9)));
    }
    let mut source = server.events("topics=a.x&last=2&batch_ms=50&unknown=1", None).await;
    for n in [8, 9] {
        assert_eq!(source.next_named("").await.json()["data"], n);
    }
    let epoch = text(&server.get("/v1/streams/a").await, "epoch");
    let mut source = server.events(&format!("topics=a.x&after=a:{epoch}:16"), None).await;
    assert_eq!(source.next_named("").await.json()["seq"], 17);
}

#[tokio::test]
async fn what_cannot_be_subscribed_is_refused_with_a_status() {
    let server =
        TestServer::start(&format!("{STREAMS}\n[auth.roles.anonymous]\nsubscribe = [\"a.>\"]\n"));
    for (query, status, code) in [
        ("", 400, "bad_request"),
        ("topics=", 400, "bad_request"),
        ("topics=a..b", 400, "invalid_pattern"),
        ("topics=a.%3E.b", 400, "invalid_pattern"),
        ("topics=a.x&last=many", 400, "bad_request"),
        ("topics=a.x&max_rate=0", 400, "bad_request"),
        ("topics=a.x&max_rate=5000", 400, "bad_request"),
        ("topics=a.x&last=0", 400, "bad_request"),
        ("topics=a.x&last=1&since=1", 400, "bad_request"),
        ("topics=a.x&batch_ms=0", 400, "bad_request"),
        ("topics=a.x&latest=perhaps", 400, "bad_request"),
        ("topics=a.x&after=nonsense", 400, "bad_request"),
        ("topics=b.x", 403, "forbidden"),
        ("topics=a.x,b.x", 403, "forbidden"),
        ("topics=$system.%3E", 403, "forbidden"),
    ] {
        let reply = http::get(server.public, &format!("/v1/sse?{query}")).await;
        assert_eq!(reply.error(status), code, "{query}");
    }
    let headers = [("Last-Event-ID", "nonsense")];
    let reply = http::send(server.public, "GET", "/v1/sse?topics=a.x", &headers, b"").await;
    assert_eq!(reply.error(400), "bad_request");
    let headers = [("Origin", "http://evil.example")];
    let reply = http::send(server.public, "GET", "/v1/sse?topics=a.x", &headers, b"").await;
    assert_eq!(reply.error(403), "forbidden");
    server.has_connections(0).await;
}

#[tokio::test]
async fn a_stream_whose_request_is_refused_too_late_for_a_status_says_so_and_ends() {
    let server = TestServer::start(&format!("{STREAMS}\n[limits]\nsubscriptions = 2\n"));
    let epoch = text(&server.get("/v1/streams/a").await, "epoch");
    let ahead = format!("a:{epoch}:99");
    for (query, last_id, code) in [
        ("topics=a.>", Some(ahead.as_str()), "bad_request"),
        (&format!("topics=a.>&after={ahead}"), None, "bad_request"),
        ("topics=a.x,a.y,a.z", None, "too_many_subscriptions"),
    ] {
        let mut source = EventSource::open(server.public, query, last_id).await;
        let error = source.next().await;
        assert_eq!(
            (error.name.as_str(), &error.json()["code"]),
            ("error", &json!(code)),
            "{query}"
        );
        // A browser comes back by itself, and nothing is different at once.
        assert!(error.retry.is_some_and(|ms| ms >= 10_000), "{error:?}");
        assert_eq!(source.next_within(SOON).await, None);
        assert!(source.has_ended(), "{query}");
    }
    server.has_connections(0).await;
}

#[tokio::test]
async fn a_slow_reader_gets_everything_and_costs_little() {
    let server = TestServer::start(STREAMS);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.public).await.unwrap();
    let mut source = EventSource::over(stream, server.public, "topics=a.>", None).await;
    let pad = "x".repeat(5_000);
    for _ in 0..1_000 {
        server.library().publisher().publish("a.x", &pad).unwrap();
    }
    eventually("it is behind", || async { server.metric("lag_events").await > 500 }).await;
    assert!(server.metric("outbox_bytes").await < 100_000);
    for seq in 1..=1_000 {
        assert_eq!(source.next_named("").await.json()["seq"], seq);
    }
    server.publish("a.x", json!("now")).await;
    assert_eq!(source.next_named("").await.json()["data"], "now");
}

#[tokio::test]
async fn a_closed_reader_that_reads_nothing_is_gone_soon() {
    let server = TestServer::start(STREAMS);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.public).await.unwrap();
    let _source = EventSource::over(stream, server.public, "topics=a.>", None).await;
    let pad = "x".repeat(5_000);
    for _ in 0..1_000 {
        server.library().publisher().publish("a.x", &pad).unwrap();
    }
    eventually("it is behind", || async { server.metric("lag_events").await > 500 }).await;
    let list = server.get("/v1/connections").await;
    let id = text(&list["connections"][0], "id");
    assert_eq!(server.request("DELETE", &format!("/v1/connections/{id}")).await.status, 200);
    server.has_connections(0).await;
}

#[tokio::test]
async fn who_leaves_is_forgotten_and_who_is_closed_is_told() {
    let server = TestServer::start(STREAMS);
    let source = server.events("topics=a.>", None).await;
    server.has_connections(1).await;
    drop(source);
    server.has_connections(0).await;
    let mut source = server.events("topics=a.>", None).await;
    let list = server.get("/v1/connections").await;
    assert_eq!(list["connections"][0]["transport"], "sse");
    let id = text(&list["connections"][0], "id");
    assert_eq!(server.request("DELETE", &format!("/v1/connections/{id}")).await.status, 200);
    assert_eq!(source.next_named("closing").await.json()["code"], 4403);
    assert_eq!(source.next_within(SOON).await, None);
    assert!(source.has_ended());
    server.has_connections(0).await;
}

#[tokio::test]
async fn the_connection_of_a_stream_that_is_over_ends_with_it() {
    let server = TestServer::start(STREAMS);
    let mut source = server.events("topics=a.>", None).await;
    let list = server.get("/v1/connections").await;
    let id = text(&list["connections"][0], "id");
    let closed_at = Instant::now();
    server.request("DELETE", &format!("/v1/connections/{id}")).await.ok();
    source.next_named("closing").await;
    assert_eq!(source.next_within(SOON).await, None);
    // So that what ends it after a deadline cannot meet the next request on it.
    let mut stream = source.into_stream();
    let end = tokio::time::timeout(SOON, stream.read(&mut [0; 16])).await;
    assert_eq!(end.unwrap().unwrap(), 0);
    assert!(closed_at.elapsed() < Duration::from_secs(4), "{:?}", closed_at.elapsed());
}

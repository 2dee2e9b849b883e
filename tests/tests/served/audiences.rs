//! For whom events are, and the forms in which they come.

use std::time::Duration;

use serde_json::json;
use tidings_tests::harness::account::{number, text};
use tidings_tests::harness::socket::request;
use tidings_tests::harness::{Encoding, Incoming, Socket, http};

use super::start;

#[tokio::test]
async fn an_event_for_a_client_reaches_nobody_else_live_or_kept() {
    let server = start("");
    let mut ours = server.subscriber(&["t.>"]).await;
    let mut other = server.subscriber(&["t.>"]).await;
    for (n, client) in [(1, Some(ours.client())), (2, None)] {
        let mut body = json!({ "topic": "t.x", "data": n });
        if let Some(client) = client {
            body["client"] = client.into();
        }
        server.post("/v1/publish", &body).await.ok();
    }
    let user = json!({ "topic": "t.x", "data": 3, "user": "somebody" });
    server.post("/v1/publish", &user).await.ok();
    server.publish("t.x", json!(4)).await;
    for n in [1, 2, 4] {
        assert_eq!(ours.json().await["event"]["data"], n);
    }
    for n in [2, 4] {
        assert_eq!(other.json().await["event"]["data"], n);
    }
    let history = other.ask("history", json!({ "topic": "t.x" })).await;
    let data: Vec<u64> =
        history["events"].as_array().unwrap().iter().map(|event| number(event, "data")).collect();
    assert_eq!(data, [2, 4]);
    let mut late = server.connect().await;
    late.ask("subscribe", json!({ "topics": ["t.x"], "from": { "last": 10 } })).await;
    for n in [2, 4] {
        assert_eq!(late.json().await["event"]["data"], n);
    }
}

#[tokio::test]
async fn a_group_is_joined_and_left_over_the_api() {
    let server = start("");
    let mut member = server.subscriber(&["t"]).await;
    let mut other = server.subscriber(&["t"]).await;
    let path = format!("/v1/connections/{}/groups/editors", member.client());
    let to_group = |n: u64| json!({ "topic": "t", "data": n, "group": "editors" });
    server.post("/v1/publish", &to_group(1)).await.ok();
    assert_eq!(server.request("PUT", &path).await.ok()["member"], true);
    let shown = server.get(&format!("/v1/connections/{}", member.client())).await;
    assert_eq!(shown["groups"], json!(["editors"]));
    server.post("/v1/publish", &to_group(2)).await.ok();
    server.request("DELETE", &path).await.ok();
    server.post("/v1/publish", &to_group(3)).await.ok();
    server.publish("t", json!(4)).await;
    for n in [2, 4] {
        assert_eq!(member.json().await["event"]["data"], n);
    }
    assert_eq!(other.json().await["event"]["data"], 4);
    let nobody = path.replace(&member.client(), &"0".repeat(26));
    assert!(matches!(server.request("PUT", &nobody).await.status, 400 | 404));
}

#[tokio::test]
async fn a_client_that_comes_back_is_still_in_its_groups() {
    let server = start("");
    let mut member = server.subscriber(&["t"]).await;
    let path = format!("/v1/connections/{}/groups/editors", member.client());
    server.request("PUT", &path).await.ok();
    server.publish("t", json!(1)).await;
    let epoch = server.get("/v1/streams/default").await["epoch"].clone();
    assert_eq!(member.json().await["event"]["data"], 1);
    let session = member.session();
    drop(member);
    server.has_connections(0).await;
    let to_group = |n: u64| json!({ "topic": "t", "data": n, "group": "editors" });
    server.post("/v1/publish", &to_group(2)).await.ok();
    let mut member = server.connect().await;
    let resume = json!([{ "stream": "default", "epoch": epoch, "after": 1 }]);
    let hello =
        json!({ "session": session, "resume": resume, "subscriptions": [{ "topics": ["t"] }] });
    member.ask("hello", hello).await;
    server.post("/v1/publish", &to_group(3)).await.ok();
    for n in [2, 3] {
        assert_eq!(member.json().await["event"]["data"], n);
    }
    // It can be taken out of them still, and stays out.
    server.request("DELETE", &path).await.ok();
    drop(member);
    server.has_connections(0).await;
    let mut member = server.connect().await;
    let hello = json!({ "session": session, "subscriptions": [{ "topics": ["t"] }] });
    member.ask("hello", hello).await;
    server.post("/v1/publish", &to_group(4)).await.ok();
    server.publish("t", json!(5)).await;
    assert_eq!(member.json().await["event"]["data"], 5);
}

#[tokio::test]
async fn except_leaves_out_what_another_subscription_may_still_bring() {
    let server = start("");
    let mut socket = server.connect().await;
    socket.ask("subscribe", json!({ "topics": ["t.>"], "except": ["t.noise", "t.x.*"] })).await;
    for topic in ["t.a", "t.noise", "t.x.y", "t.x.y.z", "t.x"] {
        server.publish(topic, json!(1)).await;
    }
    for topic in ["t.a", "t.x.y.z", "t.x"] {
        assert_eq!(socket.json().await["event"]["topic"], topic);
    }
    socket.subscribe(&["t.noise"]).await;
    server.publish("t.noise", json!(2)).await;
    server.publish("t.x.y", json!(2)).await;
    server.publish("t.a", json!(2)).await;
    assert_eq!(socket.json().await["event"]["topic"], "t.noise");
    assert_eq!(socket.json().await["event"]["topic"], "t.a");
    // One topic is taken out of a subscription, the rest stays.
    socket.ask("unsubscribe", json!({ "topics": ["t.noise"] })).await;
    server.publish("t.noise", json!(3)).await;
    server.publish("t.a", json!(3)).await;
    assert_eq!(socket.json().await["event"]["topic"], "t.a");
}

#[tokio::test]
async fn batches_gather_what_comes_within_their_time() {
    let server = start("");
    let mut socket = server.connect().await;
    socket.ask("subscribe", json!({ "topics": ["t"], "batch_ms": 200 })).await;
    server.publish_numbers("t", 0..100).await;
    let (mut found, mut frames) = (Vec::new(), 0);
    while found.len() < 100 {
        let batch = match socket.json().await {
            serde_json::Value::Array(batch) => batch,
            // In Protobuf a batch of one looks like an event.
            event if server.encoding == Encoding::Protobuf => vec![event],
            other => panic!("no batch: {other}"),
        };
        found.extend(batch.iter().map(|event| number(&event["event"], "data")));
        frames += 1;
    }
    assert_eq!(found, (0..100).collect::<Vec<_>>());
    assert!(frames <= 4, "{frames} frames");
    let headers = [("Content-Type", "image/png")];
    http::send(server.admin, "POST", "/v1/publish/t", &headers, b"\x89PNG").await.ok();
    assert!(matches!(socket.next().await, Incoming::Binary(_)));
}

/// The head and the bytes of a binary frame.
async fn binary(socket: &mut Socket) -> (serde_json::Value, Vec<u8>) {
    let Incoming::Binary(frame) = socket.next().await else { panic!("no binary frame") };
    let end = frame.iter().position(|byte| *byte == b'\n').unwrap();
    (serde_json::from_slice(&frame[..end]).unwrap(), frame[end + 1..].to_vec())
}

#[tokio::test]
async fn bytes_travel_as_bytes_from_either_side() {
    let server = start("");
    let mut socket = server.subscriber(&["t.>"]).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    let headers = [("Content-Type", "image/jpeg"), ("Idempotency-Key", "k")];
    http::send(server.admin, "POST", "/v1/publish/t.a", &headers, &bytes).await.ok();
    let (head, data) = binary(&mut socket).await;
    assert_eq!(head["event"]["content_type"], "image/jpeg");
    assert_eq!(head["event"].get("data"), None);
    assert_eq!(data, bytes);

    let mut publisher = server.connect().await;
    let publish =
        json!({ "topic": "t.b", "content_type": "audio/l16", "headers": { "rate": "16000" } });
    publisher.send_publish(&json!({ "id": 1, "publish": publish }), &bytes).await;
    assert_eq!(publisher.json().await["ok"]["seq"], 2);
    let (head, data) = binary(&mut socket).await;
    assert_eq!((text(&head["event"], "topic"), number(&head["event"], "seq")), ("t.b".into(), 2));
    assert_eq!(head["event"]["headers"], json!({ "rate": "16000" }));
    assert_eq!(data, bytes);

    let publish = json!({ "topic": "t.b", "content_type": "a/b" });
    publisher.send_publish(&json!({ "id": 2, "publish": publish }), b"").await;
    assert_eq!(publisher.json().await["ok"]["seq"], 3);
    assert_eq!(binary(&mut socket).await.1, b"");
    // JSON by its type is JSON.
    let headers = [("Content-Type", "application/json; charset=utf-8")];
    http::send(server.admin, "POST", "/v1/publish/t.c", &headers, b" {\"a\": 1}\n").await.ok();
    assert_eq!(socket.json().await["event"]["data"], json!({ "a": 1 }));
    let page = server.get("/v1/streams/default/events?after=2&limit=1").await;
    assert_eq!(page["events"][0]["data"], json!({ "content_type": "a/b", "base64": "" }));
}

#[tokio::test]
async fn the_raw_route_takes_audience_from_headers() {
    let server = start("");
    let mut ours = server.subscriber(&["t"]).await;
    let mut other = server.subscriber(&["t"]).await;
    let client = ours.client();
    let json = ("Content-Type", "application/json");
    let headers = [json, ("Tidings-Client", client.as_str())];
    http::send(server.admin, "POST", "/v1/publish/t", &headers, b"1").await.ok();
    let both = [json, ("Tidings-User", "u"), ("Tidings-Group", "g")];
    let reply = http::send(server.admin, "POST", "/v1/publish/t", &both, b"1").await;
    assert_eq!(reply.error(400), "bad_request");
    http::send(server.admin, "POST", "/v1/publish/t", &[json], b"2").await.ok();
    assert_eq!(ours.json().await["event"]["data"], 1);
    assert_eq!(ours.json().await["event"]["data"], 2);
    assert_eq!(other.json().await["event"]["data"], 2);
}

#[tokio::test]
async fn topics_of_the_url_subscribe_without_a_message() {
    let server = start("");
    for n in 0..5 {
        server.publish("news.a", json!(n)).await;
    }
    let mut socket = server.connect_at("/v1/ws?topics=news.*,other&last=2").await;
    let answer = socket.json().await;
    assert_eq!((&answer["id"], &answer["ok"]["subscription"]), (&json!(0), &json!("s1")));
    for n in [3, 4] {
        assert_eq!(socket.json().await["event"]["data"], n);
    }
    server.publish("other", json!("live")).await;
    assert_eq!(socket.json().await["event"]["data"], "live");
    let wrong = request("/v1/ws?topics=a..b", "");
    let reply = http::exchange(server.public, wrong.as_bytes()).await;
    assert_eq!(reply.error(400), "invalid_pattern");
}

#[tokio::test]
async fn a_device_is_shown_and_a_session_keeps_it() {
    let server = start("");
    let mut first = server.connect().await;
    first.ask("hello", json!({ "device": "phone" })).await;
    let (session, client) = (first.session(), first.client());
    drop(first);
    server.has_connections(0).await;
    let mut second = server.connect().await;
    let answer = second.ask("hello", json!({ "device": "phone", "session": session })).await;
    assert_eq!(answer["client"], client);
    assert_eq!(server.get(&format!("/v1/connections/{client}")).await["device"], "phone");
    // The session that this connection was welcomed with is its old id's, and no longer used.
    assert_eq!(second.next_within(Duration::from_millis(100)).await, None);
}

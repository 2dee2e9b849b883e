//! Clients of the model-training system.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tidings_tests::harness::server::free_address;
use tidings_tests::harness::{Incoming, SOON, Socket, TestServer, eventually, http};
use tidings_tests::vectors;

const PROFILE: &str = include_str!("../../../profiles/trainer.toml");

/// The profile with its clients at a free address; whoever transcripts connect may handle commands.
fn profile() -> (String, SocketAddr) {
    let clients = free_address();
    let profile = PROFILE.replace("127.0.0.1:8100", &clients.to_string());
    let role = "[auth.roles.anonymous]\nsubscribe = ['>']\nhandle = ['*.pause']\n";
    (format!("{role}{profile}"), clients)
}

async fn connect(clients: SocketAddr, headers: &str) -> Socket {
    let mut socket = Socket::open_unwelcomed(clients, "/ws", headers).await.unwrap();
    assert_eq!(socket.json().await["type"], "connection_established");
    socket
}

/// What the client sends is answered by something of that type; what else comes is passed over.
async fn ask(socket: &mut Socket, message: Value, answer: &str) -> Value {
    socket.send(&message).await;
    next(socket, answer).await
}

async fn next(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let message = socket.json().await;
        if message["type"] == kind {
            return message;
        }
    }
}

async fn subscribe(socket: &mut Socket, events: &[&str]) {
    ask(socket, json!({ "type": "subscribe", "events": events }), "subscribed").await;
}

#[tokio::test]
async fn transcripts_hold() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    vectors::play_all(&server, clients, "trainer").await;
}

#[tokio::test]
async fn the_real_program_serves_it() {
    let (text, clients) = profile();
    let server = TestServer::spawn(&text).await;
    let mut socket = connect(clients, "").await;
    subscribe(&mut socket, &["log", "system_stats"]).await;
    server.publish("trainer.log", json!({ "message": "m" })).await;
    assert_eq!(next(&mut socket, "log").await["message"], "m");
    // The host's figures come by themselves.
    let figures = next(&mut socket, "system_stats").await;
    assert!(figures["ram_total_gb"].as_f64().unwrap() > 0.0, "{figures}");
    assert!(figures["cpu_percent"].is_number() && figures.get("gpu_utilization_percent").is_some());
}

#[tokio::test]
async fn progress_is_the_newest_of_each_room() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let mut socket = connect(clients, "").await;
    subscribe(&mut socket, &["training_progress"]).await;
    for step in 1..=300 {
        server.publish("trainer.one.training_progress", json!({ "step": step })).await;
        server.publish("trainer.two.training_progress", json!({ "step": step })).await;
    }
    let (mut count, mut newest) = (0, [0, 0]);
    while newest != [300, 300] {
        let progress = socket.json().await;
        count += 1;
        let room = usize::from(progress["room"] == "two");
        let step = progress["step"].as_u64().unwrap();
        assert!(step > newest[room], "{progress} came behind {newest:?}");
        newest[room] = step;
    }
    assert!(count < 600, "every one of them came");
}

#[tokio::test]
async fn the_status_tells_how_the_training_goes() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let nothing = http::get(clients, "/api/ws/status").await.ok();
    assert_eq!(nothing["active_connections"], 0);
    let unknown = json!({
        "status": null, "current_step": null, "current_epoch": null, "last_loss": null,
        "last_lr": null,
    });
    assert_eq!(nothing["training_state"], unknown);
    let (mut one, mut two) = (connect(clients, "").await, connect(clients, "").await);
    subscribe(&mut one, &["log", "training_status"]).await;
    subscribe(&mut two, &["log"]).await;
    ask(&mut two, json!({ "type": "subscribe", "events": ["log"], "room": "r" }), "subscribed")
        .await;
    server.publish("trainer.training_status", json!({ "status": "training" })).await;
    let progress = json!({ "step": 7, "epoch": 2, "loss": 0.25, "learning_rate": 1e-4 });
    server.publish("trainer.r.training_progress", progress).await;
    let status = http::get(clients, "/api/ws/status").await.ok();
    assert_eq!(status["active_connections"], 2);
    assert_eq!(status["subscriptions"], json!({ "log": 2, "training_status": 1 }));
    assert!(status["messages_per_second"].is_number(), "{status}");
    let state = json!({
        "status": "training", "current_step": 7, "current_epoch": 2, "last_loss": 0.25,
        "last_lr": 1e-4,
    });
    assert_eq!(status["training_state"], state);
    // Of another room only what is for every room is known.
    let other = http::get(clients, "/api/ws/status?room=other").await.ok();
    assert_eq!(other["training_state"]["status"], "training");
    assert_eq!(other["training_state"]["current_step"], Value::Null);
    assert_eq!(http::get(clients, "/api/ws/status?room=a.b").await.error(400), "bad_request");
    drop(one);
    eventually("a client that left is not counted", || async {
        http::get(clients, "/api/ws/status").await.ok()["active_connections"] == 1
    })
    .await;
}

#[tokio::test]
async fn who_subscribes_to_too_much_is_told_and_stays() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let mut socket = connect(clients, "").await;
    for start in [0, 400, 800] {
        let events: Vec<String> = (start..start + 400).map(|n| format!("e{n}")).collect();
        socket.send(&json!({ "type": "subscribe", "events": events })).await;
    }
    let refused = next(&mut socket, "error").await;
    assert_eq!(refused["error_code"], "TOO_MANY_SUBSCRIPTIONS");
    server.publish("trainer.e7", json!({})).await;
    next(&mut socket, "e7").await;
}

#[tokio::test]
async fn a_client_that_drops_gets_what_it_missed() {
    let (text, clients) = profile();
    let text = text.replace("remember =", "heartbeat = \"200ms\"\nremember =");
    let server = TestServer::start(&text);
    let mut socket = connect(clients, "").await;
    let cookie = format!("Cookie: {}\r\n", socket.cookie().unwrap());
    subscribe(&mut socket, &["log"]).await;
    ask(&mut socket, json!({ "type": "subscribe", "events": ["note"], "room": "r" }), "subscribed")
        .await;
    server.publish("trainer.log", json!({ "n": 1 })).await;
    next(&mut socket, "log").await;
    socket.pong().await;
    ask(&mut socket, json!({ "type": "ping" }), "pong").await;
    socket.cut();
    server.publish("trainer.log", json!({ "n": 2 })).await;
    server.publish("trainer.r.note", json!({ "n": 3 })).await;
    server.has_connections(0).await;
    let mut socket = connect(clients, &cookie).await;
    loop {
        let missed = next(&mut socket, "log").await;
        if missed["n"] == 2 {
            break;
        }
    }
    assert_eq!(next(&mut socket, "note").await["n"], 3);
    // It has its subscriptions again, and knows them.
    let all =
        ask(&mut socket, json!({ "type": "unsubscribe", "events": ["note"] }), "unsubscribed");
    assert_eq!(all.await["remaining_subscriptions"], json!(["log"]));
}

#[tokio::test]
async fn a_slow_client_keeps_nobody_waiting_and_misses_nothing() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let (mut slow, mut quick) = (connect(clients, "").await, connect(clients, "").await);
    subscribe(&mut slow, &["log"]).await;
    subscribe(&mut quick, &["log"]).await;
    let long = "x".repeat(10_000);
    for n in 0..1_000 {
        server.publish("trainer.log", json!({ "n": n, "message": long })).await;
        // The other one reads nothing meanwhile.
        assert_eq!(next(&mut quick, "log").await["n"], n);
    }
    for n in 0..1_000 {
        assert_eq!(next(&mut slow, "log").await["n"], n);
    }
}

#[tokio::test]
async fn the_program_that_trains_connects_beside_its_clients() {
    let (text, clients) = profile();
    let _server = TestServer::start(&text);
    let mut handler = Socket::open_at(clients, "/trainer/handlers").await;
    handler.ask("handle", json!({ "commands": ["trainer.*"] })).await;
    let mut socket = connect(clients, "").await;
    let stop = json!({ "type": "command", "command": "stop", "args": { "save": true } });
    ask(&mut socket, stop, "command_received").await;
    let call = handler.json_with("call").await["call"].clone();
    assert_eq!(
        (&call["command"], &call["data"]),
        (&json!("trainer.stop"), &json!({ "save": true }))
    );
    let error = json!({ "code": "BUSY", "message": "saving", "retry_after_ms": 500 });
    handler.send(&json!({ "result": { "call_id": call["call_id"], "error": error } })).await;
    let result = next(&mut socket, "command_result").await;
    assert_eq!(
        (&result["ok"], &result["error"]["code"]),
        (&json!(false), &json!("COMMAND_FAILED"))
    );
    assert_eq!(result["error"]["retry_after_ms"], 500);
    assert_eq!(result["error"]["details"]["code"], "BUSY");
}

#[tokio::test]
async fn events_come_in_batches_where_they_are_asked_for() {
    let (text, clients) = profile();
    let server = TestServer::start(&text);
    let mut socket = Socket::open_unwelcomed(clients, "/ws?batch=50ms", "").await.unwrap();
    socket.json().await;
    subscribe(&mut socket, &["log"]).await;
    server.publish("trainer.log", json!({ "n": 1 })).await;
    let batch = socket.json().await;
    assert_eq!(batch[0]["n"], 1, "{batch}");
    let refused = Socket::open_unwelcomed(clients, "/ws?batch=soon", "").await;
    assert!(refused.err().unwrap().contains(" 400 "));
    assert!(socket.next_within(SOON / 100).await.is_none_or(|it| matches!(it, Incoming::Ping(_))));
}

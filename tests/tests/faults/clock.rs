//! The wall clock jumps, as a time server or an administrator may let it.

use std::path::PathBuf;

use serde_json::{Value, json};
use tidings_tests::harness::server::temporary_directory;
use tidings_tests::harness::{Incoming, SOON, Socket, TestServer, frame, http};

use crate::{alone, tried};

const HOUR_MS: i64 = 3_600_000;
/// Heartbeats that are waited for behind each jump: more than a second, after which retention by
/// age has been looked after.
const HEARTBEATS: usize = 8;

/// Streams whose events would all be too old by a jump of an hour, were their age read off the wall
/// clock.
fn streams(directory: &str) -> String {
    let stream = |name: &str| {
        format!(
            "[[stream]]\nname = \"{name}\"\ntopics = [\"{name}.>\"]\ndurability = \"{name}\"\n\
             retain = {{ age = \"20m\" }}\n"
        )
    };
    format!(
        "[[endpoint]]\npath = \"/v1/ws\"\nheartbeat = \"200ms\"\n[broker]\ndir = \"{directory}\"\n\
         {}{}",
        stream("memory"),
        stream("buffered")
    )
}

/// The library of faketime(1), where it is installed.
fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    folders
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
}

/// Answers heartbeats until so many have come; events that came in between, as seq and time.
async fn live(socket: &mut Socket, heartbeats: usize) -> Vec<(Value, Value)> {
    let (mut events, mut count) = (Vec::new(), 0);
    while count < heartbeats {
        match socket.next().await {
            Incoming::Ping(payload) => {
                socket.send_raw(&frame::masked(frame::PONG, &payload)).await;
                count += 1;
            }
            Incoming::Json(message) => {
                assert!(message.get("gap").is_none(), "{message}");
                if let Some(event) = message.get("event") {
                    events.push((event["seq"].clone(), event["time"].clone()));
                }
            }
            other => panic!("{other:?}"),
        }
    }
    events
}

async fn publish(server: &TestServer, stream: &str, id: &str) -> Value {
    let body = json!({ "topic": format!("{stream}.t"), "data": id, "id": id });
    http::post(server.admin, "/v1/publish", &body).await.ok()
}

fn real_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Waits until the server's wall clock has jumped so far.
async fn has_jumped(server: &TestServer, offset_ms: i64) {
    let mut socket = server.connect().await;
    let started = std::time::Instant::now();
    loop {
        let shown = socket.ask("ping", json!({})).await["time"].as_i64().unwrap();
        if (shown - real_ms() - offset_ms).abs() < HOUR_MS / 4 {
            return;
        }
        assert!(started.elapsed() < SOON, "the clock shows {shown}: the jump did not happen");
    }
}

#[tokio::test]
async fn a_wall_clock_that_jumps_moves_no_timer_and_forgets_nothing() {
    let _alone = alone().await;
    let row = "10 wall clock jumps";
    let Some(library) = faketime() else {
        return tried(row, 0, "not tried: there is no faketime");
    };
    let directory = temporary_directory();
    let offset = directory.path().join("offset");
    let set = |seconds: i64| std::fs::write(&offset, format!("{seconds:+}\n")).unwrap();
    set(0);
    let variables = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let rest = streams(&directory.path().join("data").to_string_lossy());
    let server = TestServer::spawn_with_environment(&rest, &variables).await;
    has_jumped(&server, 0).await;
    let mut subscriber = server.subscriber(&["*.t"]).await;
    subscriber.pongs = false;
    for stream in ["memory", "buffered"] {
        assert_eq!(publish(&server, stream, "first").await["seq"], 1);
    }
    let mut rounds = vec![live(&mut subscriber, 2).await];
    for (jump, sign) in (2_u64..).zip([1, -1, 0, -1, 1, 0]) {
        set(sign * HOUR_MS / 1_000);
        has_jumped(&server, sign * HOUR_MS).await;
        for stream in ["memory", "buffered"] {
            let answer = publish(&server, stream, &format!("jump {jump}")).await;
            assert_eq!(answer["seq"], jump, "{answer}");
            // Its id is still known.
            let again = publish(&server, stream, "first").await;
            assert_eq!((&again["seq"], &again["duplicate"]), (&json!(1), &json!(true)), "{again}");
        }
        rounds.push(live(&mut subscriber, HEARTBEATS).await);
        for stream in ["memory", "buffered"] {
            let state = server.get(&format!("/v1/streams/{stream}")).await;
            assert_eq!((&state["first"], &state["last"]), (&json!(1), &json!(jump)), "{state}");
        }
    }
    // Both streams' events came at once, and no time went back.
    for events in &rounds {
        assert_eq!(events.len(), 2, "{rounds:?}");
    }
    for stream in ["memory", "buffered"] {
        let kept = server.get(&format!("/v1/streams/{stream}/events")).await;
        let kept: Vec<u64> = kept["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["time"].as_u64().unwrap())
            .collect();
        assert_eq!(kept.len(), rounds.len());
        assert!(kept.is_sorted(), "{kept:?}");
    }
    server.has_connections(1).await;
    tried(row, 6, "timers steady, seqs and times ascend, history and ids are kept");
}

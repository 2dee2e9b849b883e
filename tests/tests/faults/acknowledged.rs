//! What devices acknowledged, whatever ends the process.

use serde_json::{Value, json};
use tidings_tests::harness::{Socket, TestServer};

use crate::data::{Data, publish};
use crate::{alone, rounds, tried};

const STREAMS: [&str; 2] = ["fsync", "buffered"];

/// A device behind what it acknowledged: its connection, and the answer to its subscription.
async fn come_back(server: &TestServer, name: &str) -> (Socket, Value) {
    let mut socket = server.connect().await;
    socket.ask("hello", json!({ "device": name })).await;
    let body = json!({ "topics": ["fsync.>", "buffered.>"], "from": "stored" });
    let begun = socket.ask("subscribe", body).await;
    (socket, begun)
}

/// Reads the next `count` events of each stream, whose data are their seqs, behind `after`.
async fn read(socket: &mut Socket, after: u64, count: u64) {
    let mut last = [after; 2];
    while last != [after + count; 2] {
        let event = socket.json_with("event").await["event"].clone();
        let seq = &mut last[usize::from(event["stream"] == STREAMS[1])];
        *seq += 1;
        assert_eq!((&event["seq"], &event["data"]), (&json!(seq), &json!(seq)));
    }
}

async fn stored(server: &TestServer, stream: &str, name: &str) -> Value {
    let listed = server.get(&format!("/v1/streams/{stream}/cursors?limit=100")).await;
    let all = listed["cursors"].as_array().unwrap();
    let of_device = all.iter().find(|cursor| cursor["device"] == name);
    of_device.map_or(Value::Null, |cursor| json!([cursor["epoch"], cursor["seq"]]))
}

/// Ends the server at the moment at which an acknowledgement was answered, again and again: the
/// device goes on exactly behind it.
async fn end_by(signal: &str, rounds: u32) {
    let data = Data::new();
    let mut server = data.serve().await;
    publish_to_both(&server, 1).await;
    for round in 1..=u64::from(rounds) {
        let seq = round * 2;
        publish_to_both(&server, seq).await;
        publish_to_both(&server, seq + 1).await;
        let (mut socket, begun) = come_back(&server, "phone").await;
        let mut positions = begun["positions"].as_array().unwrap().clone();
        assert_eq!(positions.len(), 2);
        for position in &mut positions {
            assert_eq!(position["seq"], seq - 2);
            position["seq"] = json!(seq);
        }
        read(&mut socket, seq - 2, 3).await;
        socket.ask("ack", json!(positions)).await;
        // Nobody waits for the answer to these.
        let other = format!("{signal} {round}");
        let (mut waits_not, begun) = come_back(&server, &other).await;
        waits_not.send(&json!({ "ack": begun["positions"] })).await;
        if signal == "TERM" {
            // It has read them when it answers what follows.
            waits_not.ask_seeing("ping", json!({}), |_| {}).await;
        }
        server.signal(signal);
        let status = server.ended().await;
        assert_eq!(status.success(), signal == "TERM", "{status}");
        server = data.serve().await;
        for position in &positions {
            let (stream, epoch) = (position["stream"].as_str().unwrap(), &position["epoch"]);
            assert_eq!(stored(&server, stream, "phone").await, json!([epoch, seq]));
            if signal == "TERM" {
                assert_eq!(stored(&server, stream, &other).await, json!([epoch, 0]));
            }
        }
    }
}

async fn publish_to_both(server: &TestServer, data: u64) {
    for stream in STREAMS {
        let answer = publish(server, &format!("{stream}.a"), json!(data)).await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn killed_it_knows_what_was_acknowledged() {
    let _alone = alone().await;
    let rounds = rounds().min(50);
    end_by("KILL", rounds).await;
    tried("1 kill -9 behind an acknowledgement", rounds, "devices go on behind it");
}

#[tokio::test]
async fn sent_away_it_stores_what_it_was_told() {
    let _alone = alone().await;
    let rounds = rounds().min(5);
    end_by("TERM", rounds).await;
    tried("16 SIGTERM behind an acknowledgement", rounds, "stored, answered or not; exit 0");
}

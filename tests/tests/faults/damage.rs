//! Files are not what was written.

use std::os::unix::fs::FileExt as _;

use serde_json::json;
use tidings_tests::harness::{Account, TestServer};

use crate::data::{Data, events, publish};
use crate::{alone, tried};

async fn epoch(server: &TestServer) -> String {
    let state = server.get("/v1/streams/fsync").await;
    state["epoch"].as_str().unwrap().to_owned()
}

/// Ends a server as a loss of power would: without a word.
async fn kill(mut server: TestServer) {
    server.signal("KILL");
    server.ended().await;
}

#[tokio::test]
async fn a_torn_tail_is_cut_back() {
    let _alone = alone().await;
    let data = Data::new();
    let mut server = data.serve().await;
    let first_epoch = epoch(&server).await;
    let mut count = 0;
    for garbage in [vec![0; 5000], vec![0xff; 3], (0..=255).cycle().take(70_000).collect()] {
        publish(&server, "fsync.t", json!(count)).await.ok();
        count += 1;
        kill(server).await;
        let file = std::fs::OpenOptions::new().write(true).open(data.log("fsync")).unwrap();
        let end = file.metadata().unwrap().len();
        file.write_all_at(&garbage, end).unwrap();
        server = data.serve().await;
        assert!(server.log().contains("were cut off"), "{}", server.log());
        assert_eq!(std::fs::metadata(data.log("fsync")).unwrap().len(), end);
        assert_eq!(epoch(&server).await, first_epoch);
    }
    // Half a record.
    kill(server).await;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(data.log("fsync")).unwrap();
    let mut header = vec![0; 100];
    file.read_exact_at(&mut header, 32).unwrap();
    file.write_all_at(&header[..60], file.metadata().unwrap().len()).unwrap();
    let server = data.serve().await;
    let all: Vec<_> = (0..count).map(|n| (n as u64 + 1, json!(n))).collect();
    assert_eq!(events(&server, "fsync").await, all);
    assert_eq!(publish(&server, "fsync.t", json!(1)).await.ok()["seq"], count + 1);
    tried("4 torn tail, garbage appended", 4, "cut back to the last sound record, and logged");
}

#[tokio::test]
async fn a_bit_that_flipped_costs_one_event_and_is_a_gap() {
    let _alone = alone().await;
    let data = Data::new();
    let server = data.serve().await;
    let first_epoch = epoch(&server).await;
    for n in 1..=20 {
        publish(&server, "fsync.t", json!(format!("event {n:02}"))).await.ok();
    }
    kill(server).await;
    let path = data.log("fsync");
    let mut bytes = std::fs::read(&path).unwrap();
    for damaged in ["event 07", "event 12", "event 13"] {
        let at = bytes.windows(8).position(|window| window == damaged.as_bytes()).unwrap();
        bytes[at] ^= 0x10;
    }
    std::fs::write(&path, bytes).unwrap();

    let server = data.serve().await;
    assert!(server.log().contains("events 7 to 7 are damaged"), "{}", server.log());
    assert!(server.log().contains("events 12 to 13 are damaged"), "{}", server.log());
    assert_eq!(epoch(&server).await, first_epoch);
    let rest: Vec<u64> = (1..=20).filter(|seq| ![7, 12, 13].contains(seq)).collect();
    let seqs: Vec<u64> = events(&server, "fsync").await.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, rest);

    let mut socket = server.connect().await;
    let start = json!([{ "stream": "fsync", "epoch": first_epoch, "after": 0 }]);
    let body = json!({ "topics": ["fsync.>"], "from": { "positions": start } });
    let answer = socket.ask("subscribe", body).await;
    let mut account = Account::default();
    account.begin(&answer);
    account.read(&mut socket, |account| account.at("fsync") == 20).await;
    assert_eq!(account.received("fsync"), rest);
    let gap = |from, to| (from, to, "corruption".to_owned());
    assert_eq!(account.gaps("fsync"), [gap(7, 7), gap(12, 13)]);
    assert_eq!(publish(&server, "fsync.t", json!(1)).await.ok()["seq"], 21);
    tried("5 bit flip inside the log", 3, "the rest is served, gaps say corruption");
}

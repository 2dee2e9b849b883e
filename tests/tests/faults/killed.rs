//! The process ends at once, in the middle of anything.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidings_tests::harness::{Account, Incoming, Socket, TestServer, eventually, http};

use crate::data::{Data, events};
use crate::publishers::Told;
use crate::{alone, rounds, tried};

/// Everything that was acknowledged is there, in its epoch, and publishing it again changes
/// nothing.
async fn check(server: &TestServer, told: &Told, epochs: &BTreeMap<&str, Value>) {
    let mut kept = BTreeMap::new();
    for stream in ["fsync", "buffered"] {
        let all = events(server, stream).await;
        let seqs: Vec<u64> = all.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "holes in {stream}");
        assert_eq!(server.get(&format!("/v1/streams/{stream}")).await["epoch"], epochs[stream]);
        kept.extend(all.into_iter().map(|(seq, data)| ((stream, seq), data)));
    }
    let published = told.all();
    for (id, one) in &published {
        let Some(answer) = &one.answer else { continue };
        let stream = if answer["stream"] == "fsync" { "fsync" } else { "buffered" };
        let found = kept.get(&(stream, answer["seq"].as_u64().unwrap()));
        assert_eq!(found, Some(&json!(id)), "acknowledged as {answer}");
    }
    // Retries: what was acknowledged is a duplicate, and what was not is there once in the end.
    let all: Vec<_> = published.values().collect();
    for some in all.chunks(200) {
        let bodies: Vec<&Value> = some.iter().map(|one| &one.body).collect();
        let answers = http::post(server.admin, "/v1/publish", &json!(bodies)).await.ok();
        for (one, again) in some.iter().zip(answers.as_array().unwrap()) {
            let Some(answer) = &one.answer else { continue };
            assert_eq!((&again["seq"], &again["duplicate"]), (&answer["seq"], &json!(true)));
        }
    }
    let data = |all: Vec<(u64, Value)>| all.into_iter().map(|(_, data)| data.to_string());
    let mut ids: Vec<String> = data(events(server, "fsync").await).collect();
    ids.extend(data(events(server, "buffered").await));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), published.len(), "each is there once");
}

async fn epochs(server: &TestServer) -> BTreeMap<&'static str, Value> {
    let mut epochs = BTreeMap::new();
    for stream in ["fsync", "buffered"] {
        let state = server.get(&format!("/v1/streams/{stream}")).await;
        epochs.insert(stream, state["epoch"].clone());
    }
    epochs
}

/// Reads until it has everything up to the heads of both streams, and no gap.
async fn read_to_head(server: &TestServer, account: &mut Account, socket: &mut Socket) {
    for stream in ["fsync", "buffered"] {
        let last = server.get(&format!("/v1/streams/{stream}")).await["last"].as_u64().unwrap();
        account.read(socket, |account| account.at(stream) >= last).await;
        assert_eq!(account.gaps(stream), []);
        assert_eq!(account.received(stream), (1..=last).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn killed_under_load_it_goes_on_where_it_was() {
    let _alone = alone().await;
    let (data, told) = (Data::new(), Told::default());
    let mut server = data.serve().await;
    let epochs = epochs(&server).await;
    let mut account = Account::default();
    let mut resume = json!(null);
    for round in 0..rounds() {
        let mut socket = server.connect().await;
        let mut body = json!({ "subscriptions": [{ "topics": ["fsync.>", "buffered.>"] }] });
        if !resume.is_null() {
            body["resume"] = resume;
        }
        let answer = socket.ask("hello", body).await;
        if round == 0 {
            account.begin(&answer);
        }
        let before = told.acknowledged();
        let publishers = told.start(&server, round, 6);
        // Each round ends somewhere else.
        let enough = before + 30 + (round as usize * 37) % 100;
        eventually("publishers get on", async || told.acknowledged() >= enough).await;
        server.signal("KILL");
        server.ended().await;
        for publisher in publishers {
            publisher.await.unwrap();
        }
        while let Incoming::Json(message) = socket.next().await {
            account.take(&message);
        }
        server = data.serve().await;
        check(&server, &told, &epochs).await;
        resume = account.resume();
    }
    let mut socket = server.connect().await;
    let body =
        json!({ "resume": resume, "subscriptions": [{ "topics": ["fsync.>", "buffered.>"] }] });
    socket.ask("hello", body).await;
    read_to_head(&server, &mut account, &mut socket).await;
    tried(
        "1 kill -9 under load",
        rounds(),
        &format!("{} acknowledged, none lost", told.acknowledged()),
    );
}

#[tokio::test]
async fn killed_within_fsync_it_has_what_was_acknowledged() {
    let _alone = alone().await;
    let (data, told) = (Data::new(), Told::default());
    let server = data.serve().await;
    let epochs = epochs(&server).await;
    drop(server);
    let row = "2 kill inside fsync";
    for round in 0..rounds() {
        let inject = format!("fdatasync:signal=KILL:when={}", 3 + round * 7 % 20);
        let Some(mut server) = data.serve_with(row, &inject).await else { return };
        let publishers = told.start(&server, round, 6);
        server.ended().await;
        for publisher in publishers {
            publisher.await.unwrap();
        }
        let server = data.serve().await;
        check(&server, &told, &epochs).await;
    }
    tried(row, rounds(), &format!("{} acknowledged, none lost", told.acknowledged()));
}

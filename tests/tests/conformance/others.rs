use serde_json::json;
use tidings_tests::harness::{TestServer, http};

use super::for_every_dialect;
use crate::spoken::Spoken;
use crate::talker::{Talker, publish, serve};

for_every_dialect!(
    what_is_for_one_client_reaches_no_other,
    who_does_not_read_neither_loses_nor_slows_anything,
);

/// The ids of all clients, the first to connect first.
async fn clients(server: &TestServer) -> Vec<String> {
    let listed = server.get("/v1/connections").await;
    let listed = listed["connections"].as_array().unwrap();
    listed.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

async fn what_is_for_one_client_reaches_no_other(spoken: &Spoken) {
    let server = serve(spoken, "");
    let [a, _] = spoken.names;
    let mut one = Talker::connect(spoken, &server).await;
    one.subscribe(&[a]).await;
    let mut other = Talker::connect(spoken, &server).await;
    other.subscribe(&[a]).await;
    let first = clients(&server).await.remove(0);
    let body = json!({ "topic": spoken.topic(a), "data": { "n": 1 }, "client": first });
    http::post(server.admin, "/v1/publish", &body).await.ok();
    publish(&server, spoken, a, &[2]).await;
    assert_eq!(one.numbers(2).await, [1, 2]);
    assert_eq!(other.numbers(1).await, [2]);
}

async fn who_does_not_read_neither_loses_nor_slows_anything(spoken: &Spoken) {
    let server = serve(spoken, "");
    let [a, _] = spoken.names;
    let mut slow = Talker::connect(spoken, &server).await;
    slow.subscribe(&[a]).await;
    let mut fast = Talker::connect(spoken, &server).await;
    fast.subscribe(&[a]).await;
    // More than sockets hold.
    let filling = "x".repeat(64 << 10);
    for number in 1..=200_u64 {
        server.publish(&spoken.topic(a), json!({ "n": number, "filling": filling })).await;
        assert_eq!(fast.numbers(1).await, [number]);
    }
    assert_eq!(slow.numbers(200).await, (1..=200).collect::<Vec<u64>>());
}

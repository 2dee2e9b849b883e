use serde_json::json;

use super::server::connected;
use crate::{Error, Options, Position, Start, Subscribe};

#[tokio::test(start_paused = true)]
async fn positions_are_acknowledged_and_the_answer_says_what_holds() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let asking = client.clone();
    let positions = vec![Position::parse("s:e:3").unwrap(), Position::parse("t:f:0").unwrap()];
    let asked = tokio::spawn(async move { asking.acknowledge(positions).await });
    let spelled = json!([
        {"stream": "s", "epoch": "e", "seq": 3}, {"stream": "t", "epoch": "f", "seq": 0},
    ]);
    assert_eq!(peer.heard().await, json!({"id": 1, "ack": spelled}));
    let held = json!([{"stream": "s", "epoch": "e", "seq": 5}]);
    peer.say(&json!({"id": 1, "ok": {"positions": held}}));
    assert_eq!(asked.await.unwrap(), Ok(vec![Position::parse("s:e:5").unwrap()]));

    let asked = tokio::spawn(async move { client.acknowledge(Vec::new()).await });
    peer.heard().await;
    peer.say(&json!({"id": 2, "error": {"code": "bad_request", "message": "none"}}));
    assert!(
        matches!(asked.await.unwrap(), Err(Error::Refused(refusal)) if refusal.code == "bad_request")
    );
}

#[tokio::test(start_paused = true)]
async fn a_subscription_starts_behind_what_is_stored() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let subscribe = Subscribe::to(&["a"]).unwrap().from(Start::Stored);
    let asked = tokio::spawn(async move { client.subscribe(subscribe).await.map(drop) });
    let body = json!({"topics": ["a"], "from": "stored"});
    assert_eq!(peer.heard().await, json!({"id": 1, "subscribe": body}));
    asked.abort();
}

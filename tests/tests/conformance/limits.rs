use tidings_tests::harness::frame;

use super::for_every_dialect;
use crate::spoken::Spoken;
use crate::talker::{Talker, publish, serve};

for_every_dialect!(
    too_many_subscriptions_are_refused,
    too_many_messages_are_refused,
    too_large_a_message_closes,
    a_hundred_thousand_subscriptions_are_bounded,
    text_that_is_none_closes_its_client_alone,
);

async fn too_many_subscriptions_are_refused(spoken: &Spoken) {
    if spoken.dialect == "table" {
        // It has fewer names than any bound.
        return;
    }
    let server = serve(spoken, "limits = { subscriptions = 8 }");
    let mut talker = Talker::connect(spoken, &server).await;
    let [a, _] = spoken.names;
    talker.subscribe(&[a]).await;
    let many: Vec<String> = (0..1_000).map(|number| format!("name{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    talker.send(&(spoken.subscribe)(&many)).await;
    talker.error().await;
    publish(&server, spoken, a, &[1]).await;
    assert_eq!(talker.numbers(1).await, [1]);
}

async fn too_many_messages_are_refused(spoken: &Spoken) {
    let server = serve(spoken, "limits = { messages = \"4/min\" }");
    let mut talker = Talker::connect(spoken, &server).await;
    let [a, _] = spoken.names;
    talker.send(&(spoken.subscribe)(&[a])).await;
    for _ in 0..6 {
        talker.send(&(spoken.subscribe)(&[a])).await;
    }
    talker.error().await;
    publish(&server, spoken, a, &[1]).await;
    assert_eq!(talker.numbers(1).await, [1]);
}

async fn too_large_a_message_closes(spoken: &Spoken) {
    let server = serve(spoken, "limits = { message_bytes = \"1KiB\" }");
    let mut talker = Talker::connect(spoken, &server).await;
    talker.socket.send_text(&format!("{{\"type\":\"{}\"}}", "x".repeat(2_000))).await;
    assert_eq!(talker.socket.close_code().await, 1009);
    // Nobody else is closed.
    let mut other = Talker::connect(spoken, &server).await;
    other.settle().await;
}

async fn a_hundred_thousand_subscriptions_are_bounded(spoken: &Spoken) {
    let server = serve(spoken, "");
    let [a, _] = spoken.names;
    let mut talker = Talker::connect(spoken, &server).await;
    talker.subscribe(&[a]).await;
    for part in 0..100 {
        let many: Vec<String> = (0..1_000).map(|number| format!("n{part}x{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        talker.send(&(spoken.subscribe)(&many)).await;
        talker.settle().await;
    }
    let listed = server.get("/v1/connections").await;
    let held = listed["connections"][0]["subscriptions"].as_array().unwrap().len();
    assert!((1..=2_000).contains(&held), "{held}");
    publish(&server, spoken, a, &[1]).await;
    assert_eq!(talker.numbers(1).await, [1]);
}

async fn text_that_is_none_closes_its_client_alone(spoken: &Spoken) {
    let server = serve(spoken, "");
    let [a, _] = spoken.names;
    let mut other = Talker::connect(spoken, &server).await;
    other.subscribe(&[a]).await;
    let mut talker = Talker::connect(spoken, &server).await;
    talker.socket.send_raw(&frame::masked(frame::TEXT, b"{\"type\":\"\xff\"}")).await;
    assert_eq!(talker.socket.close_code().await, 1007);
    publish(&server, spoken, a, &[1]).await;
    assert_eq!(other.numbers(1).await, [1]);
}

//! The client against a scripted server, in virtual time.

mod acknowledge;
mod closing;
mod commands;
mod flow;
mod http;
mod model;
mod publish;
mod resume;
mod server;
mod websocket;

use serde_json::{Value, json};

use crate::{Event, Item, Payload, Subscription};

/// The seq of the next item, which must be a live event.
async fn next_event(subscription: &mut Subscription) -> Event {
    match subscription.next().await.unwrap() {
        Item::Event(event) => event,
        other => panic!("{other:?}"),
    }
}

/// The seqs of so many live events.
async fn next_seqs(subscription: &mut Subscription, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    for _ in 0..count {
        seqs.push(next_event(subscription).await.seq);
    }
    seqs
}

/// Nothing comes for a while.
async fn assert_quiet(subscription: &mut Subscription) {
    let quiet = tokio::time::timeout(std::time::Duration::from_millis(100), subscription.next());
    assert!(quiet.await.is_err(), "something came");
}

fn event(topic: &str, seq: u64) -> Value {
    json!({"event": {"topic": topic, "stream": "news", "seq": seq, "time": 5, "data": seq}})
}

fn position(seq: u64) -> Value {
    json!({"stream": "news", "epoch": "e1", "seq": seq})
}

fn after(seq: u64) -> Value {
    json!({"stream": "news", "epoch": "e1", "after": seq})
}

fn json_payload(text: &'static str) -> Payload {
    Payload::Json(text.as_bytes().into())
}

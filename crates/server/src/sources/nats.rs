use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;
use protocol::{Pattern, Topic};
use tokio::task::JoinSet;

use super::intake::{Intake, Message};
use crate::config::Source;
use crate::node::Node;

/// The header that makes a repeated message one event.
const MESSAGE_ID: &str = "Nats-Msg-Id";
/// The header that says what the data are.
const CONTENT_TYPE: &str = "Content-Type";

/// Takes what is published to the subjects, for ever. Every node takes everything: there is no
/// queue group, since one node's clients would miss what another took.
pub(super) async fn run(node: Arc<Node>, source: Arc<Source>) {
    let Some(nats) = &node.nats else { return };
    let mut messages = SelectAll::new();
    for (at, subject) in source.subjects.iter().enumerate() {
        match nats.client().subscribe(subject.as_str().to_owned()).await {
            Ok(subscriber) => messages.push(subscriber.map(move |message| (at, message))),
            Err(error) => tracing::error!(%subject, %error, "no subscription"),
        }
    }
    let intake = Arc::new(Intake::new(node.clone(), source.clone()));
    let for_reading = intake.clone();
    // Beside the connection and without being interrupted: it takes all that was read before more
    // is, so nothing is lost between the two. It ends when this is dropped.
    let mut reading = JoinSet::new();
    let read = async move {
        while let Some((at, message)) = messages.next().await {
            let before = source.subjects.get(..at).unwrap_or_default();
            if !is_matched(before, &message.subject) {
                for_reading.put(taken(message));
            }
        }
        tracing::error!("the connection to NATS has ended for good");
    };
    reading.spawn_on(tokio::task::unconstrained(read), nats.runtime());
    intake.pour().await;
}

/// Whether one of these patterns matches a subject, which then comes for that one, too.
fn is_matched(patterns: &[Pattern], subject: &str) -> bool {
    !patterns.is_empty()
        && Topic::parse(subject)
            .is_ok_and(|topic| patterns.iter().any(|pattern| pattern.matches(&topic)))
}

fn taken(message: async_nats::Message) -> Message {
    let mut taken =
        Message { name: message.subject.to_string(), data: message.payload, ..Message::default() };
    for (name, values) in message.headers.iter().flat_map(|headers| headers.iter()) {
        let values: Vec<&str> = values.iter().map(|value| value.as_str()).collect();
        let (name, value) = (name.to_string(), values.join(", "));
        if name.eq_ignore_ascii_case(MESSAGE_ID) {
            taken.id = Some(value);
        } else if name.eq_ignore_ascii_case(CONTENT_TYPE) {
            taken.content_type = Some(value);
        } else {
            taken.headers.insert(name, value);
        }
    }
    taken
}

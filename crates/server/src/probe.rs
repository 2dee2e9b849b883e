use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::{Draft, Payload, Topic};
use tokio::sync::oneshot;

use crate::node::Node;

/// How long a part may take to answer a probe.
const DEADLINE: Duration = Duration::from_secs(2);
/// The topic of probes, in the system's own stream.
const TOPIC: &str = "$system.probe";

/// What a probe found.
pub(crate) struct Probe {
    /// How long an event took through the broker into its stream's tail.
    pub(crate) took: Duration,
    /// Why the server could not deliver; empty where it could.
    pub(crate) reasons: Vec<String>,
}

/// Sends an event through the broker and asks every worker whether it answers.
pub(crate) async fn probe(node: &Node) -> Probe {
    let mut reasons = Vec::new();
    if node.is_draining() {
        reasons.push("the server is draining".to_owned());
    }
    if node.is_stopped() {
        reasons.push("publishing and delivery are stopped".to_owned());
    }
    let start = Instant::now();
    if let Err(reason) = through_broker(node).await {
        reasons.push(reason);
    }
    let took = start.elapsed();
    let workers = node.inboxes().len();
    match tokio::time::timeout(DEADLINE, node.ask_all(|_| ())).await {
        Ok(answers) if answers.len() == workers => {}
        _ => reasons.push("a worker does not answer".to_owned()),
    }
    Probe { took, reasons }
}

async fn through_broker(node: &Node) -> Result<(), String> {
    let topic = Topic::parse(TOPIC).map_err(|error| error.to_string())?;
    let stream = node.table.stream_of(&topic).ok_or("the system's stream is missing")?;
    let draft = Draft::new(topic, Payload::Json(Bytes::from_static(b"null")));
    let (answer, answered) = oneshot::channel();
    node.append(stream, vec![draft], Box::new(move |result| drop(answer.send(result))));
    let answered = tokio::time::timeout(DEADLINE, answered).await;
    let mut appended = answered
        .map_err(|_| "the broker does not answer")?
        .map_err(|_| "the broker gave no answer")?;
    let appended = appended.pop().ok_or("the broker gave no answer")?;
    let seq = appended.map_err(|error| format!("the broker refuses: {}", error.message))?.seq;
    let state = node.broker.state(stream).ok_or("the system's stream is missing")?;
    if state.last < seq { Err("what was appended is not there".into()) } else { Ok(()) }
}

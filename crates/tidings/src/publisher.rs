use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use protocol::{Appended, Draft, Error, ErrorCode, Payload, Topic};
use serde::Serialize;
use server::Node;
use tokio::sync::oneshot;

/// Events of one server that the broker has not answered yet; more are refused.
const UNANSWERED_MAX: usize = 65_536;

/// Publishes from any thread, sync or async, without waiting. Cloning is cheap.
#[derive(Clone)]
pub struct Publisher {
    node: Arc<Node>,
    unanswered: Arc<AtomicUsize>,
}

/// What becomes of a published event. It need not be looked at.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<Appended, Error>>);

impl Publisher {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node, unanswered: Arc::default() }
    }

    /// Publishes JSON data.
    ///
    /// # Errors
    /// `invalid_topic`, `invalid_data`, `too_large`; `overloaded` where as many events as may
    /// wait for the broker do so, or the device is behind that the stream's `wait_for` names;
    /// `draining` while the server takes none.
    pub fn publish(&self, topic: &str, data: &impl Serialize) -> Result<Receipt, Error> {
        let text = serde_json::to_vec(data).map_err(|error| {
            Error::new(ErrorCode::InvalidData, format!("the data cannot be JSON: {error}"))
        })?;
        self.publish_draft(Draft::new(Topic::parse(topic)?, Payload::Json(text.into())))
    }

    /// Publishes bytes with a content type.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub fn publish_bytes(
        &self,
        topic: &str,
        content_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Result<Receipt, Error> {
        let payload = Payload::Binary { content_type: content_type.into(), bytes: bytes.into() };
        self.publish_draft(Draft::new(Topic::parse(topic)?, payload))
    }

    /// Publishes an event with an audience, headers or an id.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub fn publish_draft(&self, draft: Draft) -> Result<Receipt, Error> {
        self.node.check_draft(&draft)?;
        if draft.topic.is_system() {
            let message = "topics that begin with `$` are the system's";
            return Err(Error::new(ErrorCode::Forbidden, message));
        }
        let stream =
            self.node.table.stream_of(&draft.topic).ok_or_else(|| {
                Error::new(ErrorCode::InvalidTopic, "no stream captures this topic")
            })?;
        self.node.check_consumers(stream)?;
        if self.unanswered.fetch_add(1, Ordering::Relaxed) >= UNANSWERED_MAX {
            self.unanswered.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::new(ErrorCode::Overloaded, "the broker is behind"));
        }
        let (answer, answered) = oneshot::channel();
        let unanswered = self.unanswered.clone();
        let answer = Box::new(move |mut results: Vec<_>| {
            unanswered.fetch_sub(1, Ordering::Relaxed);
            // Nobody may be waiting.
            if let Some(result) = results.pop() {
                let _ = answer.send(result);
            }
        });
        self.node.append(stream, vec![draft], answer);
        Ok(Receipt(answered))
    }
}

impl Receipt {
    /// Waits until the event is kept as its stream promises.
    ///
    /// # Errors
    /// What the broker refused it for.
    pub async fn appended(self) -> Result<Appended, Error> {
        self.0.await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// Like [`Receipt::appended`], for threads without a runtime.
    ///
    /// # Errors
    /// What the broker refused it for.
    pub fn wait(self) -> Result<Appended, Error> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(unanswered()))
    }
}

fn unanswered() -> Error {
    Error::new(ErrorCode::BrokerUnavailable, "the broker gave no answer")
}

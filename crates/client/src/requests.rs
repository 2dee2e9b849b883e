use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::{Appended, Position};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::event::HistoryPage;
use crate::link::Frame;
use crate::subscriptions::Key;

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// Who waits for an answer.
#[derive(Debug)]
pub(crate) enum Waiting {
    Publish(Reply<Appended>),
    History(Reply<HistoryPage>),
    Acknowledge(Reply<Vec<Position>>),
    Ping(Reply<u64>),
    Call(Reply<Bytes>),
    Handle(Vec<Key>),
    Subscribe(Key),
    Unsubscribe(Key),
}

impl Waiting {
    /// Whether whoever asked has stopped waiting.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Publish(reply) => reply.is_closed(),
            Self::History(reply) => reply.is_closed(),
            Self::Acknowledge(reply) => reply.is_closed(),
            Self::Ping(reply) => reply.is_closed(),
            Self::Call(reply) => reply.is_closed(),
            Self::Handle(_) => false,
            // Until the answer, which may have to be undone.
            Self::Subscribe(_) | Self::Unsubscribe(_) => false,
        }
    }

    /// Whether it is to be asked again on a new connection: not where whoever asked has stopped
    /// waiting. A subscription that was to be ended has ended with the connection.
    fn outlives_connection(&self, awaits_answer: impl Fn(Key) -> bool) -> bool {
        match self {
            Self::Subscribe(key) => awaits_answer(*key),
            // What is handled is said anew.
            Self::Unsubscribe(_) | Self::Handle(_) => false,
            _ => !self.is_abandoned(),
        }
    }

    /// Tells whoever waits that there will be no answer.
    pub(crate) fn fail(self, error: Error) {
        // Who stopped waiting needs no answer.
        match self {
            Self::Publish(reply) => drop(reply.send(Err(error))),
            Self::History(reply) => drop(reply.send(Err(error))),
            Self::Acknowledge(reply) => drop(reply.send(Err(error))),
            Self::Ping(reply) => drop(reply.send(Err(error))),
            Self::Call(reply) => drop(reply.send(Err(error))),
            Self::Subscribe(_) | Self::Unsubscribe(_) | Self::Handle(_) => {}
        }
    }
}

/// Requests that have no answer yet, by id. Ids ascend, so their order is that of asking; a
/// request keeps its id when it is sent again on another connection.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    last_id: i64,
    open: BTreeMap<i64, (Frame, Waiting)>,
}

impl Requests {
    /// An id for the next request.
    pub(crate) fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    /// Keeps a request, which `frame` spells.
    pub(crate) fn add(&mut self, id: i64, frame: Frame, waiting: Waiting) {
        self.open.insert(id, (frame, waiting));
    }

    /// Takes out what was answered.
    pub(crate) fn answered(&mut self, id: i64) -> Option<Waiting> {
        self.open.remove(&id).map(|(_, waiting)| waiting)
    }

    /// How many have no answer.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Forgets what nobody waits for; late answers mean nothing.
    pub(crate) fn forget_abandoned(&mut self) {
        self.open.retain(|_, (_, waiting)| !waiting.is_abandoned());
    }

    /// The connection broke on which calls were sent: asked again, they might be carried out twice.
    pub(crate) fn fail_calls(&mut self, error: &Error) {
        let sent = self.open.extract_if(.., |_, (_, waiting)| matches!(waiting, Waiting::Call(_)));
        sent.for_each(|(_, (_, waiting))| waiting.fail(error.clone()));
    }

    /// Forgets what need not be asked again on a new connection.
    pub(crate) fn connection_lost(&mut self, awaits_answer: impl Fn(Key) -> bool) {
        self.open.retain(|_, (_, waiting)| waiting.outlives_connection(&awaits_answer));
    }

    /// All frames, in the order in which they were asked, to be sent on a new connection.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.open.values().map(|(frame, _)| frame)
    }

    /// Takes out those whose frame is larger than the server allows.
    pub(crate) fn take_larger_than(&mut self, bytes_max: usize) -> Vec<Waiting> {
        let larger = self.open.extract_if(.., |_, (frame, _)| frame.bytes.len() > bytes_max);
        larger.map(|(_, (_, waiting))| waiting).collect()
    }

    /// There will be no more answers.
    pub(crate) fn fail(&mut self, error: &Error) {
        for (_, (_, waiting)) in std::mem::take(&mut self.open) {
            waiting.fail(error.clone());
        }
    }
}

use std::collections::BTreeMap;

use protocol::{ErrorCode, Pattern};
use tokio::sync::mpsc;

use crate::commands::{Answer, HandlerCall};
use crate::error::Error;
use crate::requests::Reply;
use crate::subscriptions::Key;

/// Where calls go.
pub(crate) type Queue = mpsc::Sender<(HandlerCall, Answer)>;

/// What the client handles, by who handles it.
#[derive(Debug, Default)]
pub(crate) struct Handlers {
    by_key: BTreeMap<Key, Handler>,
}

#[derive(Debug)]
struct Handler {
    patterns: Vec<Pattern>,
    queue: Queue,
    /// Who waits until the server knows of it.
    reply: Option<Reply<()>>,
}

impl Handlers {
    pub(crate) fn add(&mut self, key: Key, patterns: Vec<Pattern>, queue: Queue, reply: Reply<()>) {
        self.by_key.insert(key, Handler { patterns, queue, reply: Some(reply) });
    }

    /// Whether there was one.
    pub(crate) fn remove(&mut self, key: Key) -> bool {
        self.by_key.remove(&key).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.by_key.keys().copied().collect()
    }

    /// All that is handled, each pattern once.
    pub(crate) fn patterns(&self) -> Vec<Pattern> {
        let all = self.by_key.values().flat_map(|handler| &handler.patterns);
        let mut all: Vec<Pattern> = all.cloned().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The server gives their commands to these.
    pub(crate) fn confirmed(&mut self, keys: &[Key]) {
        for key in keys {
            if let Some(reply) = self.by_key.get_mut(key).and_then(|handler| handler.reply.take()) {
                // Who stopped waiting drops what it asked for, too.
                let _ = reply.send(Ok(()));
            }
        }
    }

    /// The server does not: those who wait for it learn why. Without such, those that it took on an
    /// earlier connection are refused, and end.
    pub(crate) fn refused(&mut self, keys: &[Key], error: &Error) {
        let awaits = |handler: &Handler| handler.reply.is_some();
        let is_new = keys.iter().any(|key| self.by_key.get(key).is_some_and(awaits));
        for key in keys {
            let Some(handler) = self.by_key.get(key) else { continue };
            if awaits(handler) || !is_new {
                if let Some(Handler { reply: Some(reply), .. }) = self.by_key.remove(key) {
                    let _ = reply.send(Err(error.clone()));
                } else {
                    tracing::warn!(%error, "commands are not handled any more");
                }
            }
        }
    }

    /// Gives a call to the most specific handler.
    ///
    /// # Errors
    /// For its answer: there is none, or it is behind.
    pub(crate) fn give(
        &self,
        call: HandlerCall,
        answer: Answer,
    ) -> Result<(), (Answer, protocol::Error)> {
        let fitting = self.by_key.values().filter_map(|handler| {
            let fitting = handler.patterns.iter().filter(|pattern| pattern.matches(&call.command));
            Some((fitting.map(Pattern::generality).min()?, handler))
        });
        let Some((_, handler)) = fitting.min_by(|a, b| a.0.cmp(&b.0)) else {
            let message = "the handler is gone; nothing was done";
            let error = protocol::Error::new(ErrorCode::NoHandler, message);
            return Err((answer, error.retry_after(RETRY_MS)));
        };
        handler.queue.try_send((call, answer)).map_err(|unsent| {
            let (_, answer) = unsent.into_inner();
            let message = "the handler is behind; nothing was done";
            let error = protocol::Error::new(ErrorCode::Overloaded, message);
            (answer, error.retry_after(RETRY_MS))
        })
    }

    /// There will be no calls any more.
    pub(crate) fn fail(&mut self, error: &Error) {
        for (_, handler) in std::mem::take(&mut self.by_key) {
            if let Some(reply) = handler.reply {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

/// When a call that was not taken may be, in ms.
const RETRY_MS: u64 = 500;

use std::collections::VecDeque;

use crate::dialect::Misspelled;
use crate::error::Error;
use crate::message::{Answer, Message, Welcome};

/// What answers need that come later, by the ids that requests were given.
///
/// It holds as much as the engine lets one client have unanswered.
#[derive(Debug)]
pub struct Pending<T> {
    last: i64,
    /// In the order of ids: answers come in nearly the same order.
    waiting: VecDeque<(i64, T)>,
}

/// What dialects tell a client besides events whose clients know nothing of places in streams.
#[derive(Debug)]
pub enum Said<'m, T> {
    /// It has connected.
    Welcome(&'m Welcome),
    /// How a request went, with what was kept for its answer; errors may be about none.
    Outcome(Option<T>, Result<&'m Answer, &'m Error>),
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { last: 0, waiting: VecDeque::new() }
    }
}

impl<T> Pending<T> {
    /// Keeps what the answer to a request needs; the id to give the request.
    pub fn keep(&mut self, context: T) -> i64 {
        self.last += 1;
        self.waiting.push_back((self.last, context));
        self.last
    }

    /// What the answer to this request needs, where more than one message may come of it.
    pub fn get(&self, id: i64) -> Option<&T> {
        let at = self.place(id)?;
        self.waiting.get(at).map(|(_, context)| context)
    }

    /// Takes what the answer to this request needs.
    pub fn take(&mut self, id: i64) -> Option<T> {
        let at = self.place(id)?;
        let (_, context) = self.waiting.remove(at)?;
        if self.waiting.is_empty() {
            // Clients are many and mostly silent.
            self.waiting = VecDeque::new();
        }
        Some(context)
    }

    /// Refuses a message of the client, keeping what the error's spelling needs.
    pub fn refuse(&mut self, context: T, error: Error) -> Misspelled {
        Misspelled { id: Some(self.keep(context)), error, was_hello: false }
    }

    /// What a message means to such clients; `None` where they have no word for it.
    pub fn said<'m>(&mut self, message: &'m Message) -> Option<Said<'m, T>> {
        match message {
            Message::Welcome(welcome) => Some(Said::Welcome(welcome)),
            Message::Reply { id, result } => {
                Some(Said::Outcome(id.and_then(|id| self.take(id)), result.as_ref()))
            }
            Message::Error(error) => Some(Said::Outcome(None, Err(error))),
            // Places in streams and what follows from them. Commands are confirmed, if at all,
            // before they are passed on; the close code says why it is over.
            Message::Replay { .. }
            | Message::Restored(_)
            | Message::Gap(_)
            | Message::Mark(_)
            | Message::Called { .. }
            | Message::Call { .. }
            | Message::Expiring { .. }
            | Message::Closing { .. } => None,
        }
    }

    /// How many answers are still to come.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether everything is answered.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn place(&self, id: i64) -> Option<usize> {
        self.waiting.binary_search_by_key(&id, |(known, _)| *known).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_taken_once_in_any_order() {
        let mut pending = Pending::default();
        let [a, b, c] = ["a", "b", "c"].map(|context| pending.keep(context));
        assert_eq!(pending.get(b), Some(&"b"));
        assert_eq!(pending.take(b), Some("b"));
        assert_eq!(pending.take(b), None);
        assert_eq!(pending.take(a), Some("a"));
        let d = pending.keep("d");
        assert_eq!((pending.take(d), pending.take(c)), (Some("d"), Some("c")));
        assert_eq!(pending.take(d + 1), None);
        assert!(pending.is_empty());
    }

    #[test]
    fn nothing_is_held_once_all_is_answered() {
        let mut pending = Pending::default();
        let ids: Vec<i64> = (0..1_000).map(|n| pending.keep(n)).collect();
        assert_eq!(pending.len(), 1_000);
        assert!(ids.into_iter().all(|id| pending.take(id).is_some()));
        assert_eq!(pending.waiting.capacity(), 0);
    }
}

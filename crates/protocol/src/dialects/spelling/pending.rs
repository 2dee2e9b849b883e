use std::collections::VecDeque;

/// What answers need that come later, by the ids that requests were given.
///
/// It holds as much as the engine lets one client have unanswered.
#[derive(Debug)]
pub struct Pending<T> {
    last: i64,
    /// In the order of ids: answers come in nearly the same order.
    waiting: VecDeque<(i64, T)>,
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

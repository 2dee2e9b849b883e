use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use protocol::{Event, Filter, FilterSet, Seq};

use crate::streams::StreamIndex;

/// Verdicts that are remembered, in each of two generations.
const VERDICTS_MAX: usize = 8 << 10;
/// Verdicts of a larger set are not remembered: it would push out all others at every event.
const SET_MAX: usize = 256;

/// Names a filter of a worker; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FilterKey(NonZeroU64);

/// The filters of a worker's subscriptions: each distinct one is kept once and judges an event
/// once, however many sessions have it.
pub(crate) struct Filters {
    known: HashMap<Arc<Filter>, FilterKey>,
    entries: HashMap<FilterKey, Entry>,
    next: NonZeroU64,
    verdicts: RefCell<Verdicts>,
}

struct Entry {
    filter: Arc<Filter>,
    /// Subscriptions that have it.
    uses: usize,
}

/// What filters said of the events that were looked at last. Readers that catch up or wait for
/// their time come to an event one by one.
#[derive(Default)]
struct Verdicts {
    young: HashMap<(FilterKey, StreamIndex, Seq), bool>,
    old: HashMap<(FilterKey, StreamIndex, Seq), bool>,
    /// Judgements so far.
    count: u64,
}

impl Filters {
    pub(crate) fn new() -> Self {
        let (known, entries, verdicts) = Default::default();
        Self { known, entries, next: NonZeroU64::MIN, verdicts }
    }

    /// One more subscription has this filter.
    pub(crate) fn hold(&mut self, filter: &Arc<Filter>) -> FilterKey {
        let key = *self.known.entry(filter.clone()).or_insert_with(|| {
            let key = FilterKey(self.next);
            self.next = self.next.saturating_add(1);
            self.entries.insert(key, Entry { filter: filter.clone(), uses: 0 });
            key
        });
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.uses += 1;
        }
        key
    }

    /// One subscription less has it.
    pub(crate) fn release(&mut self, key: FilterKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.uses -= 1;
        if entry.uses == 0
            && let Some(entry) = self.entries.remove(&key)
        {
            self.known.remove(&entry.filter);
        }
    }

    pub(crate) fn get(&self, key: FilterKey) -> Option<&Arc<Filter>> {
        self.entries.get(&key).map(|entry| &entry.filter)
    }

    /// Judgements so far: of one event by one filter.
    pub(crate) fn judgements(&self) -> u64 {
        self.verdicts.borrow().count
    }

    /// Whether a filter accepts an event of a stream.
    pub(crate) fn accepts(&self, key: FilterKey, at: StreamIndex, event: &Event) -> bool {
        let mut verdicts = self.verdicts.borrow_mut();
        let place = (key, at, event.seq);
        let known = verdicts.young.get(&place).or_else(|| verdicts.old.get(&place));
        if let Some(verdict) = known {
            return *verdict;
        }
        let filter = self.get(key);
        let verdict = filter.is_some_and(|filter| filter.accepts(&event.draft.payload));
        verdicts.count += 1;
        verdicts.remember(place, verdict);
        verdict
    }

    /// Lets the filters of a set judge an event that is new: its data are walked once. `accepted`
    /// is told of each that accepts.
    pub(crate) fn judge(
        &self,
        set: &FilterSet,
        keys: &[FilterKey],
        at: StreamIndex,
        event: &Event,
        mut accepted: impl FnMut(usize),
    ) {
        let mut verdicts = self.verdicts.borrow_mut();
        verdicts.count += set.len() as u64;
        set.judge(&event.draft.payload, |place, verdict| {
            if verdict {
                accepted(place);
            }
            if keys.len() <= SET_MAX
                && let Some(key) = keys.get(place)
            {
                verdicts.remember((*key, at, event.seq), verdict);
            }
        });
    }

    /// A stream begins an epoch: its seqs name other events.
    pub(crate) fn forget(&mut self, at: StreamIndex) {
        let Verdicts { young, old, .. } = self.verdicts.get_mut();
        young.retain(|(_, stream, _), _| *stream != at);
        old.retain(|(_, stream, _), _| *stream != at);
    }
}

impl Verdicts {
    fn remember(&mut self, place: (FilterKey, StreamIndex, Seq), verdict: bool) {
        if self.young.len() >= VERDICTS_MAX {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(place, verdict);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use protocol::filter::{Comparison, Condition, Number, Pointer, Scalar, Test};
    use protocol::{Draft, Payload, Topic};

    use super::*;

    fn event(seq: Seq) -> Event {
        let payload = Payload::Json(Bytes::from(format!("{{\"n\":{seq}}}")));
        Event { seq, time_ms: 0, draft: Draft::new(Topic::parse("a").unwrap(), payload) }
    }

    fn above(bound: u64) -> Arc<Filter> {
        let bound = Scalar::Number(Number::parse(&bound.to_string()).unwrap());
        let test = Test::Compare(Comparison::Gt, bound);
        Arc::new(Filter::new(Condition::Field(Pointer::parse("/n").unwrap(), test)))
    }

    #[test]
    fn a_filter_is_kept_while_somebody_has_it() {
        let mut filters = Filters::new();
        let first = filters.hold(&above(5));
        assert_eq!(filters.hold(&above(5)), first);
        assert_ne!(filters.hold(&above(6)), first);
        filters.release(first);
        assert!(filters.get(first).is_some());
        filters.release(first);
        assert!(filters.get(first).is_none());
        assert_ne!(filters.hold(&above(5)), first, "late verdicts would be taken for its own");
    }

    #[test]
    fn an_event_is_judged_once_until_its_seq_names_another() {
        let mut filters = Filters::new();
        let (key, stream) = (filters.hold(&above(5)), StreamIndex(0));
        for _ in 0..3 {
            assert!(!filters.accepts(key, stream, &event(5)));
            assert!(filters.accepts(key, stream, &event(6)));
        }
        assert_eq!(filters.judgements(), 2);
        assert!(!filters.accepts(key, StreamIndex(1), &event(5)));
        assert_eq!(filters.judgements(), 3);
        filters.forget(stream);
        filters.accepts(key, stream, &event(5));
        assert_eq!(filters.judgements(), 4);
    }

    #[test]
    fn verdicts_are_bounded() {
        let mut filters = Filters::new();
        let key = filters.hold(&above(5));
        for seq in 1..100_000 {
            assert_eq!(filters.accepts(key, StreamIndex(0), &event(seq)), seq > 5);
        }
        let verdicts = filters.verdicts.borrow();
        assert!(verdicts.young.len() + verdicts.old.len() <= 2 * VERDICTS_MAX);
    }
}

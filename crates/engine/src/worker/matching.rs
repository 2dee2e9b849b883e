use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use protocol::{Audience, Event, FilterSet, Mode};
use smallvec::SmallVec;

use super::Worker;
use crate::filters::FilterKey;
use crate::index::SubscriptionKey;
use crate::render::{Renderer as _, Rendering};
use crate::streams::StreamIndex;

/// Most targets that the match cache of a stream holds.
const MATCHES_MAX: usize = 256 << 10;

/// Which sessions an event goes to.
#[derive(Debug, Default)]
pub(super) struct MatchSet {
    /// Readers that take every event at once, by rendering.
    pub(super) groups: Vec<Group>,
    /// Readers that wait for their time, or whose bytes are their own.
    pub(super) others: Vec<Target>,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) rendering: Rendering,
    pub(super) targets: Vec<Target>,
}

/// A reader of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) place: u32,
    pub(super) reader: u32,
}

/// Who gets the events of a topic.
#[derive(Clone)]
pub(super) enum Matches {
    /// All events go to the same readers.
    Plain(Rc<MatchSet>),
    /// Their data decide.
    Filtered(Rc<Filtered>),
}

/// Filters that decide who gets the events of a topic.
pub(super) struct Filtered {
    set: FilterSet,
    /// The same filters, by name.
    keys: Vec<FilterKey>,
    /// Sorted.
    candidates: Vec<Candidate>,
    /// By which filters accept: each its bit.
    outcomes: RefCell<HashMap<Outcome, Rc<MatchSet>>>,
}

type Outcome = SmallVec<[u64; 2]>;

/// A subscription that takes a topic. Of those of a session the most generous one comes first, and
/// of those the one that takes everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    session: u32,
    mode: Mode,
    filter: Option<FilterKey>,
}

/// Kept between events for its allocations.
#[derive(Default)]
pub(super) struct Scratch {
    found: Vec<SubscriptionKey>,
    candidates: Vec<Candidate>,
    outcome: Outcome,
}

impl Worker {
    /// The readers of an event for everyone, from the cache where nothing changed.
    pub(super) fn matches(
        &mut self,
        at: StreamIndex,
        event: &Event,
        scratch: &mut Scratch,
    ) -> Rc<MatchSet> {
        match self.matches_of_topic(at, event, scratch) {
            Matches::Plain(set) => set,
            Matches::Filtered(filtered) => self.judged(at, event, &filtered, scratch),
        }
    }

    fn matches_of_topic(
        &mut self,
        at: StreamIndex,
        event: &Event,
        scratch: &mut Scratch,
    ) -> Matches {
        let generation = self.index.generation();
        if let Some(stream) = self.streams.get_mut(at.get()) {
            if stream.matches_generation != generation || stream.matches_entries > MATCHES_MAX {
                stream.matches.clear();
                (stream.matches_generation, stream.matches_entries) = (generation, 0);
            }
            if let Some(matches) = stream.matches.get(event.topic()) {
                return matches.clone();
            }
        }
        let matches = self.match_everyone(at, event, scratch);
        if let Some(stream) = self.streams.get_mut(at.get()) {
            stream.matches_entries += 8 + matches.len();
            stream.matches.insert(event.topic().clone(), matches.clone());
        }
        matches
    }

    fn match_everyone(&self, at: StreamIndex, event: &Event, scratch: &mut Scratch) -> Matches {
        let Some(spec) = self.table.spec(at) else { return Matches::Plain(Rc::default()) };
        let Scratch { found, candidates, .. } = scratch;
        self.index.matches(event.topic(), found);
        candidates.clear();
        candidates.extend(found.iter().filter_map(|key| self.index.get(*key)).map(|found| {
            let (session, filter) = (found.session, found.filter());
            Candidate { session, mode: found.mode.narrowed(spec.mode), filter }
        }));
        candidates.sort_unstable();
        // What comes behind one that takes everything never decides.
        candidates.dedup_by(|next, kept| {
            next.session == kept.session && (kept.filter.is_none() || next == kept)
        });
        if candidates.iter().all(|candidate| candidate.filter.is_none()) {
            let owners = candidates.iter().map(|candidate| (candidate.session, candidate.mode));
            return Matches::Plain(Rc::new(self.match_set(at, owners)));
        }
        let mut keys: Vec<FilterKey> = candidates.iter().filter_map(|c| c.filter).collect();
        keys.sort_unstable();
        keys.dedup();
        let filters = keys.iter().filter_map(|key| self.index.filters().get(*key).cloned());
        Matches::Filtered(Rc::new(Filtered {
            set: FilterSet::new(filters),
            candidates: candidates.clone(),
            keys,
            outcomes: RefCell::default(),
        }))
    }

    /// The readers of an event among those whose filters decide.
    fn judged(
        &mut self,
        at: StreamIndex,
        event: &Event,
        filtered: &Filtered,
        scratch: &mut Scratch,
    ) -> Rc<MatchSet> {
        let outcome = &mut scratch.outcome;
        outcome.clear();
        outcome.resize(filtered.set.len().div_ceil(64), 0);
        self.index.filters().judge(&filtered.set, &filtered.keys, at, event, |place| {
            if let Some(word) = outcome.get_mut(place / 64) {
                *word |= 1 << (place % 64);
            }
        });
        let known = filtered.outcomes.borrow().get(outcome.as_slice()).cloned();
        if let Some(known) = known {
            return known;
        }
        let set = Rc::new(self.match_set(at, filtered.owners(outcome)));
        if let Some(stream) = self.streams.get_mut(at.get()) {
            stream.matches_entries += 8 + outcome.len() + set.len();
        }
        filtered.outcomes.borrow_mut().insert(outcome.clone(), set.clone());
        set
    }

    /// An event for a user, a group or a client looks only at their sessions.
    pub(super) fn match_audience(&self, at: StreamIndex, event: &Event) -> MatchSet {
        let Some(spec) = self.table.spec(at) else { return MatchSet::default() };
        let none = Vec::new();
        let places: SmallVec<[u32; 8]> = match &event.draft.audience {
            Audience::Everyone => SmallVec::new(),
            Audience::User(user) => self.by_user.get(user).unwrap_or(&none).as_slice().into(),
            Audience::Group(group) => self.by_group.get(group).unwrap_or(&none).as_slice().into(),
            Audience::Client(client) => {
                self.by_client.get(*client, &self.sessions).into_iter().collect()
            }
        };
        let owners = places.into_iter().filter_map(|place| {
            let session = self.sessions.get(place as usize)?;
            let owner = session.owner(&self.index, at, spec.mode, event)?;
            Some((place, owner))
        });
        self.match_set(at, owners)
    }

    fn match_set(&self, at: StreamIndex, owners: impl Iterator<Item = (u32, Mode)>) -> MatchSet {
        let mut set = MatchSet::default();
        for (place, mode) in owners {
            let Some(session) = self.sessions.get(place as usize) else { continue };
            let mut readers = session.readers.iter();
            let found = readers.position(|reader| reader.stream == at && reader.mode == mode);
            let Some(reader) = found else { continue };
            let target = Target { place, reader: reader as u32 };
            let rendering = session.rendering;
            if mode != Mode::EVERY || self.renderer.names_positions(rendering) {
                set.others.push(target);
                continue;
            }
            match set.groups.iter_mut().find(|group| group.rendering == rendering) {
                Some(group) => group.targets.push(target),
                None => set.groups.push(Group { rendering, targets: vec![target] }),
            }
        }
        set
    }
}

impl Matches {
    /// What it counts against the bound of the cache.
    fn len(&self) -> usize {
        match self {
            Self::Plain(set) => set.len(),
            Self::Filtered(filtered) => filtered.candidates.len() + filtered.keys.len(),
        }
    }
}

impl MatchSet {
    fn len(&self) -> usize {
        self.others.len() + self.groups.iter().map(|group| group.targets.len()).sum::<usize>()
    }
}

impl Filtered {
    /// The mode in which each session gets an event that these filters accept.
    fn owners(&self, outcome: &[u64]) -> impl Iterator<Item = (u32, Mode)> {
        let accepts = |key: FilterKey| {
            let place = self.keys.binary_search(&key).ok();
            let word = place.and_then(|place| Some((outcome.get(place / 64)?, place % 64)));
            word.is_some_and(|(word, bit)| word & (1 << bit) != 0)
        };
        let mut last = None;
        self.candidates.iter().filter_map(move |candidate| {
            let is_owner = last != Some(candidate.session) && candidate.filter.is_none_or(accepts);
            if is_owner {
                last = Some(candidate.session);
            }
            is_owner.then_some((candidate.session, candidate.mode))
        })
    }
}

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use engine::{ClientKey, Now, Remembered};
use parking_lot::Mutex;

use crate::auth::Mark;

/// Who a client is on every connection of its own: what it had belongs to nobody else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// The id of its endpoint: what it had is spelled in that dialect.
    pub(crate) endpoint: Arc<str>,
    /// The authenticated user.
    pub(crate) user: Option<Arc<str>>,
    /// What tells this client from the user's others, or from everybody's.
    pub(crate) word: Word,
}

/// What tells clients apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Word {
    /// The device of an authenticated user.
    Device(Arc<str>),
    /// The token that only this user has.
    Token(Mark),
    /// Whichever token of the user's.
    AnyToken,
    /// The random cookie that an earlier connection was given.
    Cookie(Arc<str>),
}

impl Identity {
    /// Under what its place is found: under its own, and by the user's other tokens.
    fn keys(&self) -> impl Iterator<Item = Self> + use<> {
        let is_token = matches!(self.word, Word::Token(..));
        let any = is_token.then(|| Self { word: Word::AnyToken, ..self.clone() });
        std::iter::once(self.clone()).chain(any)
    }
}

/// How a client is remembered.
#[derive(Clone, Debug)]
pub(crate) struct Continuity {
    pub(crate) identity: Identity,
    /// When nobody can come back under it any more, in ms since 1970: its token expires.
    pub(crate) expires_at_ms: Option<u64>,
    /// As whom it came.
    pub(crate) first: Identity,
    /// For how long.
    pub(crate) remember_ms: u64,
}

/// Whether nobody can come back any more under what expires then.
fn is_over(expires_at_ms: Option<u64>, wall_ms: u64) -> bool {
    expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= wall_ms)
}

/// Most of what is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) count_max: usize,
    pub(crate) bytes_max: usize,
}

/// What clients had whose connections ended, until they come back or it is forgotten. Beyond its
/// bounds what would be forgotten first is forgotten at once: its client begins anew.
#[derive(Default)]
pub(crate) struct Absent {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In the order in which it is forgotten.
    places: BTreeMap<Order, Place>,
    by_identity: HashMap<Identity, BTreeSet<Order>>,
    /// Clients who found no place of theirs, as their earlier connection may only seem to live.
    /// Each with its own word.
    heirs: HashMap<Identity, Vec<(Word, Heir)>>,
    bytes: usize,
    number_last: u64,
    /// Places that were forgotten before their time.
    crowded_out: u64,
}

/// When a place is forgotten, in ms of the node's clock, and a number that tells places apart.
type Order = (u64, u64);

struct Place {
    identity: Identity,
    expires_at_ms: Option<u64>,
    remembered: Remembered,
    bytes: usize,
}

/// A connected client that has no place of an earlier connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heir {
    pub(crate) worker: usize,
    pub(crate) client: ClientKey,
    /// Since when.
    pub(crate) since: Instant,
}

impl Absent {
    /// A client comes: what the one of its identity had that dropped longest ago. Whose token has
    /// expired comes with another one.
    pub(crate) fn take(&self, now: Now, identity: &Identity) -> Option<Remembered> {
        let mut state = self.state.lock();
        state.forget_expired(now.ms);
        let order = state.find(identity, now.wall_ms)?;
        state.remove(order).map(|place| place.remembered)
    }

    /// A client dropped.
    pub(crate) fn keep(
        &self,
        now_ms: u64,
        continuity: &Continuity,
        remembered: Remembered,
        bounds: Bounds,
    ) {
        let mut state = self.state.lock();
        state.forget_expired(now_ms);
        state.number_last += 1;
        let order = (now_ms + continuity.remember_ms, state.number_last);
        let (identity, expires_at_ms) = (continuity.identity.clone(), continuity.expires_at_ms);
        let bytes = remembered.bytes() + size_of::<Place>();
        for key in identity.keys() {
            state.by_identity.entry(key).or_default().insert(order);
        }
        state.places.insert(order, Place { identity, expires_at_ms, remembered, bytes });
        state.bytes += bytes;
        while state.places.len() > bounds.count_max || state.bytes > bounds.bytes_max {
            let Some(oldest) = state.places.keys().next().copied() else { break };
            state.remove(oldest);
            state.crowded_out += 1;
        }
    }

    /// A client came and found nothing: an earlier connection of its own may still seem to live.
    pub(crate) fn expect(&self, identity: &Identity, heir: Heir) {
        let mut state = self.state.lock();
        for key in identity.keys() {
            state.heirs.entry(key).or_default().push((identity.word.clone(), heir));
        }
    }

    /// A client has left, and inherits nothing any more.
    pub(crate) fn expect_no_more(&self, identity: &Identity, worker: usize, client: ClientKey) {
        self.state.lock().expect_no_more(identity, worker, client);
    }

    /// A connection turns out to be dead of which nothing was heard after `heard`: whoever came
    /// after that, as the same, and found nothing, is its client. Whose token has expired, at this
    /// time in ms since 1970, came with another one.
    pub(crate) fn heir(
        &self,
        continuity: &Continuity,
        heard: Instant,
        wall_ms: u64,
    ) -> Option<Heir> {
        let mut state = self.state.lock();
        let identity = &continuity.identity;
        let is_over = is_over(continuity.expires_at_ms, wall_ms);
        let mut keys = identity.keys().take(if is_over { 2 } else { 1 });
        let (word, heir) = keys.find_map(|key| {
            let mut heirs = state.heirs.get(&key)?.iter();
            heirs.find(|(_, heir)| heir.since > heard).cloned()
        })?;
        let own = Identity { word, ..identity.clone() };
        state.expect_no_more(&own, heir.worker, heir.client);
        Some(heir)
    }

    /// Forgets what nobody came back for.
    pub(crate) fn forget_expired(&self, now_ms: u64) {
        self.state.lock().forget_expired(now_ms);
    }

    /// How many places there are, and how many were forgotten before their time.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.places.len() as u64, state.crowded_out)
    }
}

impl State {
    /// The place of who comes.
    fn find(&self, identity: &Identity, wall_ms: u64) -> Option<Order> {
        let is_left = |order: &&Order| {
            self.places.get(order).is_some_and(|place| is_over(place.expires_at_ms, wall_ms))
        };
        let mut keys = identity.keys();
        let own = keys.next().and_then(|own| self.by_identity.get(&own)?.first());
        let other = || self.by_identity.get(&keys.next()?)?.iter().find(is_left);
        own.or_else(other).copied()
    }

    fn expect_no_more(&mut self, identity: &Identity, worker: usize, client: ClientKey) {
        for key in identity.keys() {
            let Entry::Occupied(mut heirs) = self.heirs.entry(key) else { continue };
            heirs.get_mut().retain(|(_, heir)| (heir.worker, heir.client) != (worker, client));
            if heirs.get().is_empty() {
                heirs.remove();
            }
        }
    }

    fn forget_expired(&mut self, now_ms: u64) {
        while let Some((&order, _)) = self.places.first_key_value()
            && order.0 <= now_ms
        {
            self.remove(order);
        }
    }

    fn remove(&mut self, order: Order) -> Option<Place> {
        let place = self.places.remove(&order)?;
        self.bytes -= place.bytes;
        for key in place.identity.keys() {
            let Entry::Occupied(mut places) = self.by_identity.entry(key) else { continue };
            places.get_mut().remove(&order);
            if places.get().is_empty() {
                places.remove();
            }
        }
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::{Mode, Pattern, Start, Subscribe};

    use super::*;

    const BOUNDS: Bounds = Bounds { count_max: 100, bytes_max: 1 << 20 };

    fn had(topic: &str) -> Remembered {
        let topics = vec![Pattern::parse(topic).unwrap()];
        let (except, start, mode) = (Vec::new(), Start::Now, Mode::EVERY);
        Remembered::new(vec![Subscribe { topics, except, filter: None, start, mode }], Vec::new())
    }

    fn at(ms: u64) -> Now {
        Now { ms, wall_ms: ms }
    }

    fn who(user: Option<&str>, word: Word) -> Continuity {
        let identity = Identity { endpoint: "/ws".into(), user: user.map(Arc::from), word };
        let (first, expires_at_ms) = (identity.clone(), None);
        Continuity { identity, expires_at_ms, first, remember_ms: 1_000 }
    }

    fn cookie(cookie: &str) -> Continuity {
        who(None, Word::Cookie(cookie.into()))
    }

    fn heir(place: u32, since: Instant) -> Heir {
        Heir { worker: 0, client: ClientKey { place, generation: 0 }, since }
    }

    #[test]
    fn a_place_is_its_identitys_and_the_longest_dropped_comes_first() {
        let absent = Absent::default();
        let phone = |user| who(Some(user), Word::Device("phone".into()));
        let all = [
            cookie("x"),
            cookie("y"),
            phone("ann"),
            phone("bob"),
            who(Some("ann"), Word::Token(Mark(1))),
            who(Some("ann"), Word::Token(Mark(2))),
            who(Some("ann"), Word::Cookie("x".into())),
        ];
        for (place, continuity) in all.iter().enumerate() {
            absent.keep(0, continuity, had(&format!("first.n{place}")), BOUNDS);
            absent.keep(1, continuity, had(&format!("second.n{place}")), BOUNDS);
        }
        for (place, Continuity { identity, .. }) in all.iter().enumerate() {
            for order in ["first", "second"] {
                assert_eq!(absent.take(at(1), identity), Some(had(&format!("{order}.n{place}"))));
            }
            assert_eq!(absent.take(at(1), identity), None);
            let elsewhere = Identity { endpoint: "/other".into(), ..identity.clone() };
            assert_eq!(absent.take(at(1), &elsewhere), None);
        }
        assert_eq!(absent.counts(), (0, 0));
    }

    #[test]
    fn what_an_expired_token_had_goes_to_a_newer_one_of_its_user() {
        let absent = Absent::default();
        let by = |user, mark, expires_at_ms| {
            let expires_at_ms = Some(expires_at_ms);
            Continuity { expires_at_ms, ..who(Some(user), Word::Token(Mark(mark))) }
        };
        absent.keep(0, &by("ann", 1, 500), had("ann"), BOUNDS);
        let newer = |user| by(user, 2, 9_000).identity;
        assert_eq!(absent.take(at(499), &newer("ann")), None);
        assert_eq!(absent.take(at(500), &newer("bob")), None);
        assert_eq!(absent.take(at(500), &newer("ann")), Some(had("ann")));
        assert_eq!(absent.take(at(500), &newer("ann")), None);
        assert!(absent.state.lock().by_identity.is_empty());
    }

    #[test]
    fn its_time_is_over_to_the_ms_and_nothing_is_left_of_it() {
        let absent = Absent::default();
        absent.keep(5, &cookie("x"), had("a"), BOUNDS);
        absent.forget_expired(1_004);
        assert_eq!(absent.counts(), (1, 0));
        assert_eq!(absent.take(at(1_005), &cookie("x").identity), None);
        let state = absent.state.lock();
        assert!(state.by_identity.is_empty() && state.bytes == 0);
    }

    #[test]
    fn beyond_its_bounds_what_goes_first_goes_at_once() {
        let (count, bytes) = (Absent::default(), Absent::default());
        let room = 3 * (had("a").bytes() + size_of::<Place>());
        for name in ["p", "q", "r", "s", "t"] {
            count.keep(0, &cookie(name), had("a"), Bounds { count_max: 3, ..BOUNDS });
            bytes.keep(0, &cookie(name), had("a"), Bounds { bytes_max: room, ..BOUNDS });
        }
        for absent in [count, bytes] {
            assert_eq!(absent.counts(), (3, 2));
            let left = ["p", "q", "r", "s", "t"]
                .map(|n| absent.take(at(0), &cookie(n).identity).is_some());
            assert_eq!(left, [false, false, true, true, true]);
            assert_eq!(absent.state.lock().bytes, 0);
        }
    }

    #[test]
    fn who_came_after_a_connection_fell_silent_is_its_client() {
        let (absent, x) = (Absent::default(), cookie("x"));
        let began = Instant::now();
        let at = |ns| began + Duration::from_nanos(ns);
        for (place, since) in [(1, 10), (2, 20), (3, 30)] {
            absent.expect(&x.identity, heir(place, at(since)));
        }
        assert_eq!(absent.heir(&cookie("y"), at(0), 0), None);
        // It was heard of at the moment at which the second came, so only the third can be it.
        assert_eq!(absent.heir(&x, at(20), 0), Some(heir(3, at(30))));
        assert_eq!(absent.heir(&x, at(20), 0), None);
        absent.expect_no_more(&x.identity, 0, heir(1, at(10)).client);
        assert_eq!(absent.heir(&x, at(0), 0), Some(heir(2, at(20))));
        assert!(absent.state.lock().heirs.is_empty());
    }

    #[test]
    fn who_came_with_a_newer_token_is_the_client_of_an_expired_one() {
        let absent = Absent::default();
        let by = |user, mark| who(Some(user), Word::Token(Mark(mark)));
        let old = Continuity { expires_at_ms: Some(500), ..by("ann", 1) };
        let began = Instant::now();
        let since = began + Duration::from_nanos(1);
        absent.expect(&by("ann", 2).identity, heir(1, since));
        absent.expect(&by("bob", 3).identity, heir(2, since));
        assert_eq!(absent.heir(&old, began, 499), None);
        assert_eq!(absent.heir(&old, began, 500), Some(heir(1, since)));
        assert_eq!(absent.heir(&old, began, 500), None);
        absent.expect_no_more(&by("bob", 3).identity, 0, heir(2, since).client);
        assert!(absent.state.lock().heirs.is_empty());
    }
}

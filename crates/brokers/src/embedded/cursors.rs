use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use engine::{Cursor, CursorQuery, Device};
use parking_lot::Mutex;

use crate::clock::Now;

/// Most cursors that are forgotten under one lock because of their age.
const LOCKED_DROPS_MAX: usize = 1024;

/// How far devices have acknowledged one stream, in memory: so many of them, each for so long
/// after it was last used. Where there are too many, the one that was not used for longest is
/// forgotten: its device begins with the first kept event again, and misses nothing.
pub(super) struct Cursors {
    age_ms_max: u64,
    count_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_device: BTreeMap<Device, Kept>,
    /// Devices in the order of use.
    by_use: BTreeSet<(Used, Device)>,
    use_last: u64,
}

struct Kept {
    cursor: Cursor,
    used: Used,
}

/// When a cursor was used: the steady time, and a number that tells uses of one ms apart.
type Used = (u64, u64);

impl Cursors {
    /// No cursors yet.
    pub(super) fn new(age_ms_max: u64, count_max: usize) -> Self {
        Self { age_ms_max, count_max: count_max.max(1), state: Mutex::default() }
    }

    /// Stores a cursor, unless the device has come further in that epoch; the device's cursor.
    pub(super) fn store(&self, device: Device, cursor: Cursor, now: Now) -> Cursor {
        let mut state = self.state.lock();
        let cursor = match state.by_device.get(&device) {
            Some(before) if before.cursor.epoch == cursor.epoch => {
                Cursor { seq: cursor.seq.max(before.cursor.seq), ..cursor }
            }
            _ => cursor,
        };
        if state.by_device.len() >= self.count_max && !state.by_device.contains_key(&device) {
            state.forget_oldest();
        }
        state.keep(device, cursor.clone(), now.steady_ms);
        cursor
    }

    /// The cursor of a device, which is used by that.
    pub(super) fn load(&self, device: &Device, now: Now) -> Option<Cursor> {
        let mut state = self.state.lock();
        let kept = state.by_device.get(device)?;
        if self.is_past(kept.used, now) {
            return None;
        }
        let cursor = kept.cursor.clone();
        state.keep(device.clone(), cursor.clone(), now.steady_ms);
        Some(cursor)
    }

    /// The cursors that are asked for, in the order of their devices.
    pub(super) fn list(&self, query: &CursorQuery, now: Now) -> Vec<(Device, Cursor)> {
        let state = self.state.lock();
        let after = query.after.as_ref().filter(|after| query.selects(after));
        let start = match (after, &query.user) {
            (Some(after), _) => Bound::Excluded(after.clone()),
            (None, Some(user)) => {
                Bound::Included(Device { user: Some(user.clone()), name: "".into() })
            }
            (None, None) => Bound::Unbounded,
        };
        let behind = state.by_device.range((start, Bound::Unbounded));
        // Devices of one user are neighbours.
        let of_user = behind.take_while(|(device, _)| query.selects(device));
        let kept = of_user.filter(|(_, kept)| !self.is_past(kept.used, now));
        kept.take(query.limit).map(|(device, kept)| (device.clone(), kept.cursor.clone())).collect()
    }

    /// Forgets cursors that nobody used for too long.
    pub(super) fn maintain(&self, now: Now) {
        loop {
            let mut state = self.state.lock();
            for _ in 0..LOCKED_DROPS_MAX {
                match state.by_use.first() {
                    Some((used, _)) if self.is_past(*used, now) => state.forget_oldest(),
                    _ => return,
                }
            }
        }
    }

    fn is_past(&self, used: Used, now: Now) -> bool {
        now.steady_ms.saturating_sub(used.0) > self.age_ms_max
    }
}

impl State {
    fn keep(&mut self, device: Device, cursor: Cursor, steady_ms: u64) {
        self.use_last += 1;
        let used = (steady_ms, self.use_last);
        if let Some(before) = self.by_device.insert(device.clone(), Kept { cursor, used }) {
            self.by_use.remove(&(before.used, device.clone()));
        }
        self.by_use.insert((used, device));
    }

    fn forget_oldest(&mut self) {
        if let Some((_, device)) = self.by_use.pop_first() {
            self.by_device.remove(&device);
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::Epoch;

    use super::*;

    fn device(name: usize) -> Device {
        Device { user: None, name: name.to_string().into() }
    }

    fn at(steady_ms: u64) -> Now {
        Now { steady_ms, wall_ms: 0 }
    }

    fn cursor(seq: u64) -> Cursor {
        Cursor { epoch: Epoch::parse("e").unwrap(), seq, at_ms: 0 }
    }

    #[test]
    fn the_one_that_was_not_used_for_longest_goes_where_there_are_too_many() {
        let cursors = Cursors::new(1_000, 3);
        for name in 0..3 {
            cursors.store(device(name), cursor(1), at(0));
        }
        // Used again, by storing and by loading.
        cursors.store(device(0), cursor(2), at(0));
        assert!(cursors.load(&device(1), at(0)).is_some());
        cursors.store(device(3), cursor(1), at(0));
        let kept = |name| cursors.load(&device(name), at(0)).is_some();
        assert_eq!([0, 1, 2, 3].map(kept), [true, true, false, true]);
    }

    #[test]
    fn what_is_not_used_is_forgotten_in_time_and_frees_its_memory() {
        let cursors = Cursors::new(1_000, 10_000);
        for name in 0..5_000 {
            cursors.store(device(name), cursor(1), at(name as u64 / 1_000));
        }
        assert!(cursors.load(&device(7), at(1_000)).is_some());
        cursors.maintain(at(1_003));
        let state = cursors.state.lock();
        assert_eq!(state.by_device.len(), 2_001);
        assert_eq!(state.by_use.len(), 2_001);
    }
}

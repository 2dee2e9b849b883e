use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use engine::{Cursor, CursorQuery, Device};
use parking_lot::Mutex;

use crate::clock::Now;

/// Most cursors that are forgotten under one lock because of their age.
const LOCKED_DROPS_MAX: usize = 1024;

/// How far devices have acknowledged one stream: so many of them, each for so long after it was
/// last used. Where there are too many, the one that was not used for longest is forgotten: its
/// device begins with the first kept event again, and misses nothing.
pub(crate) struct Cursors {
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
    /// Devices whose cursors were used or forgotten since somebody wrote that down, where anybody
    /// does.
    changed: Option<BTreeSet<Device>>,
}

struct Kept {
    cursor: Cursor,
    used: Used,
}

/// When a cursor was used: the steady time, before 0 in an earlier process, and a number that tells
/// uses of one ms apart.
type Used = (i64, u64);

impl Cursors {
    /// No cursors yet.
    pub(crate) fn new(age_ms_max: u64, count_max: usize) -> Self {
        Self { age_ms_max, count_max: count_max.max(1), state: Mutex::default() }
    }

    /// Those that were written down, each with how long ago it was used; what follows is to be
    /// written down, too.
    pub(crate) fn restored(
        age_ms_max: u64,
        count_max: usize,
        mut written: Vec<(Device, Cursor, u64)>,
        now: Now,
    ) -> Self {
        let cursors = Self::new(age_ms_max, count_max);
        let mut state = State { changed: Some(BTreeSet::new()), ..State::default() };
        written.sort_by_key(|(_, _, unused_ms)| std::cmp::Reverse(*unused_ms));
        for (device, cursor, unused_ms) in written {
            let used_ms = steady(now).saturating_sub_unsigned(unused_ms);
            cursors.make_room(&mut state, &device);
            state.keep(device, cursor, used_ms);
        }
        *cursors.state.lock() = state;
        cursors.maintain(now);
        cursors
    }

    /// Stores a cursor, unless the device has come further in that epoch; the device's cursor.
    pub(crate) fn store(&self, device: Device, cursor: Cursor, now: Now) -> Cursor {
        let mut state = self.state.lock();
        let cursor = further(state.by_device.get(&device).map(|kept| &kept.cursor), cursor);
        self.make_room(&mut state, &device);
        state.keep(device, cursor.clone(), steady(now));
        cursor
    }

    /// What a device has, and for how long nobody used that.
    pub(crate) fn peek(&self, device: &Device, now: Now) -> Option<(Cursor, u64)> {
        let state = self.state.lock();
        let kept = state.by_device.get(device)?;
        Some((kept.cursor.clone(), unused_ms(kept.used, now)))
    }

    /// Takes the devices whose cursors were used or forgotten since.
    pub(crate) fn take_changed(&self) -> BTreeSet<Device> {
        self.state.lock().changed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether there are any.
    pub(crate) fn has_changed(&self) -> bool {
        self.state.lock().changed.as_ref().is_some_and(|changed| !changed.is_empty())
    }

    /// They could not be written down.
    pub(crate) fn put_back(&self, devices: impl IntoIterator<Item = Device>) {
        if let Some(changed) = &mut self.state.lock().changed {
            changed.extend(devices);
        }
    }

    /// The cursor of a device, which is used by that.
    pub(crate) fn load(&self, device: &Device, now: Now) -> Option<Cursor> {
        let mut state = self.state.lock();
        let kept = state.by_device.get(device)?;
        if self.is_past(kept.used, now) {
            return None;
        }
        let cursor = kept.cursor.clone();
        state.keep(device.clone(), cursor.clone(), steady(now));
        state.note(device.clone());
        Some(cursor)
    }

    /// The cursors that are asked for, in the order of their devices.
    pub(crate) fn list(&self, query: &CursorQuery, now: Now) -> Vec<(Device, Cursor)> {
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
    pub(crate) fn maintain(&self, now: Now) {
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

    fn make_room(&self, state: &mut State, device: &Device) {
        if state.by_device.len() >= self.count_max && !state.by_device.contains_key(device) {
            state.forget_oldest();
        }
    }

    fn is_past(&self, used: Used, now: Now) -> bool {
        unused_ms(used, now) > self.age_ms_max
    }
}

/// What a device has that had one cursor and acknowledges another.
pub(crate) fn further(before: Option<&Cursor>, cursor: Cursor) -> Cursor {
    match before {
        Some(before) if before.epoch == cursor.epoch => {
            Cursor { seq: cursor.seq.max(before.seq), ..cursor }
        }
        _ => cursor,
    }
}

fn steady(now: Now) -> i64 {
    i64::try_from(now.steady_ms).unwrap_or(i64::MAX)
}

fn unused_ms(used: Used, now: Now) -> u64 {
    u64::try_from(steady(now).saturating_sub(used.0)).unwrap_or_default()
}

impl State {
    fn keep(&mut self, device: Device, cursor: Cursor, used_ms: i64) {
        self.use_last += 1;
        let used = (used_ms, self.use_last);
        if let Some(before) = self.by_device.insert(device.clone(), Kept { cursor, used }) {
            self.by_use.remove(&(before.used, device.clone()));
        }
        self.by_use.insert((used, device));
    }

    fn forget_oldest(&mut self) {
        if let Some((_, device)) = self.by_use.pop_first() {
            self.by_device.remove(&device);
            self.note(device);
        }
    }

    fn note(&mut self, device: Device) {
        if let Some(changed) = &mut self.changed {
            changed.insert(device);
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
    fn what_was_written_down_goes_on_ageing_within_the_bounds() {
        let written = |unused_ms| (device(unused_ms), cursor(1), unused_ms as u64);
        let written = [700, 5_000, 300, 500].map(written).to_vec();
        let cursors = Cursors::restored(1_000, 2, written, at(100));
        let kept = |name, ms| cursors.peek(&device(name), at(ms)).map(|(_, unused_ms)| unused_ms);
        assert_eq!(
            [300, 500, 700, 5_000].map(|n| kept(n, 110)),
            [Some(310), Some(510), None, None]
        );
        assert_eq!(cursors.take_changed(), [5_000, 700].map(device).into());
        cursors.maintain(at(601));
        assert_eq!((kept(300, 601), kept(500, 601)), (Some(801), None));
        assert!(cursors.has_changed());
        assert!(cursors.load(&device(300), at(602)).is_some());
        assert_eq!(cursors.take_changed(), [300, 500].map(device).into());
        assert!(!cursors.has_changed());
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

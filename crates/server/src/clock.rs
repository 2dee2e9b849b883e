use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::Now;

/// The process's clocks, as the engine wants them.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose steady time begins now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Both times.
    pub fn now(&self) -> Now {
        let ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { ms, wall_ms: wall_ms() }
    }

    /// The steady time in ns: half as large as an [`Instant`].
    pub(crate) fn ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The instant of a steady time.
    pub fn instant(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// The instant of a steady time in ns.
    pub(crate) fn instant_ns(&self, ns: u64) -> Instant {
        self.start + Duration::from_nanos(ns)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// The wall clock, in ms since 1970; 0 before that.
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

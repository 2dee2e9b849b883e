use std::time::{Instant, SystemTime, UNIX_EPOCH};

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

    /// The instant of a steady time.
    pub fn instant(&self, ms: u64) -> Instant {
        self.start + std::time::Duration::from_millis(ms)
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

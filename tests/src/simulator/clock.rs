use std::sync::atomic::{AtomicU64, Ordering};

use engine::Now;

/// Steps of a world since its beginning: a finer order than ms.
pub type Tick = u64;

/// What the wall clock shows when a world begins, in ms since 1970.
pub const WALL_MS: u64 = 1_700_000_000_000;

/// The virtual time of a world. Atomic only because a broker has to be `Sync`.
#[derive(Default)]
pub struct Clock {
    ms: AtomicU64,
    tick: AtomicU64,
}

impl Clock {
    /// The next step happens at `ms`.
    pub fn step_to(&self, ms: u64) {
        self.ms.store(ms, Ordering::Relaxed);
        self.tick.fetch_add(1, Ordering::Relaxed);
    }

    /// ms since the world began.
    pub fn ms(&self) -> u64 {
        self.ms.load(Ordering::Relaxed)
    }

    /// Steps since the world began.
    pub fn tick(&self) -> Tick {
        self.tick.load(Ordering::Relaxed)
    }

    /// The time of an input to a worker.
    pub fn now(&self) -> Now {
        Now { ms: self.ms(), wall_ms: WALL_MS + self.ms() }
    }
}

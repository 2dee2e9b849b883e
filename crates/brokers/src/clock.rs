use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

/// One reading of a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// ms since 1970, as the machine's clock has it: it may jump, back too.
    pub wall_ms: u64,
    /// ms since some moment before the broker was made; never goes back.
    pub steady_ms: u64,
}

/// Tells a broker the time.
///
/// Events are stamped with the wall clock; ages are measured by the steady one, so that a jump of
/// the wall clock neither forgets history nor keeps it for ever.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Now;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { wall_ms: wall.as_millis() as u64, steady_ms: self.start.elapsed().as_millis() as u64 }
    }
}

/// Clocks that stand still until a test or a simulation moves them.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicU64,
    steady_ms: AtomicU64,
}

impl ManualClock {
    /// Clocks of which the wall clock shows `wall_ms`.
    pub fn new(wall_ms: u64) -> Self {
        Self { wall_ms: AtomicU64::new(wall_ms), steady_ms: AtomicU64::new(0) }
    }

    /// Lets time pass, on both clocks.
    pub fn advance(&self, ms: u64) {
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
        self.steady_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets the wall clock, as an administrator or a time server does; no time passes.
    pub fn set_wall(&self, wall_ms: u64) {
        self.wall_ms.store(wall_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        Now {
            wall_ms: self.wall_ms.load(Ordering::SeqCst),
            steady_ms: self.steady_ms.load(Ordering::SeqCst),
        }
    }
}

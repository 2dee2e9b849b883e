use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use super::notice::Notice;
use crate::clock::{Clock, SystemClock};

/// What an embedded broker needs from outside, and its bounds.
#[derive(Clone)]
pub struct Options {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// 64 random bits a call: epochs and the keys of hashes are made of them.
    pub random: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Most bytes of newest events in a stream's tail, beyond its newest batch. In a memory stream
    /// the tail shares them with the log.
    pub tail_bytes_max: usize,
    /// How long an idempotency id is remembered, in ms.
    pub id_window_ms: u64,
    /// Most idempotency ids that a stream remembers, at some 60 to 120 bytes each.
    pub id_window_count: usize,
    /// Most events that a search for the last matching ones looks at.
    pub locate_scan_max: usize,
    /// Names the time since the machine was started: what a process wrote is there as long as the
    /// machine runs.
    pub boot: Arc<dyn Fn() -> String + Send + Sync>,
    /// Takes what the operator has to know.
    pub tell: Tell,
    /// How long the cursor of a device is kept that nobody uses, in ms.
    pub cursor_age_ms: u64,
    /// Most devices of which a stream keeps the cursor.
    pub cursor_count: usize,
}

/// Takes notices, on any thread.
pub type Tell = Arc<dyn Fn(Notice) + Send + Sync>;

impl Default for Options {
    /// The machine's clock and randomness, 4 MiB of tail, ids for 10 minutes or 1,000,000 ids,
    /// searches of 100,000 events, cursors of 100,000 devices for 30 days; nobody is told anything.
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock::default()),
            random: Arc::new(random_bits),
            tail_bytes_max: 4 << 20,
            id_window_ms: 600_000,
            id_window_count: 1_000_000,
            locate_scan_max: 100_000,
            boot: Arc::new(boot_id),
            tell: Arc::new(|_| {}),
            cursor_age_ms: 30 * 24 * 3_600_000,
            cursor_count: 100_000,
        }
    }
}

/// Linux names each start (random(4)). Where nobody does, every start may be another one.
fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let id = id.trim();
    if id.is_empty() { format!("{:016x}", random_bits()) } else { id.to_owned() }
}

/// Each `RandomState` has keys of its own, drawn from the operating system's randomness.
fn random_bits() -> u64 {
    RandomState::new().build_hasher().finish()
}

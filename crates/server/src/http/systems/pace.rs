use std::collections::HashMap;
use std::time::Instant;

use parking_lot::Mutex;
use protocol::ClientId;

/// Looks that are closer together than this tell the same.
const WINDOW_MS_MIN: u128 = 1_000;

/// How many events per second clients are sent: on average since the last look that was at least a
/// second ago. Nothing is counted while nobody looks.
pub(super) struct Pace {
    last: Mutex<Look>,
}

struct Look {
    at: Instant,
    /// What each client had been sent.
    sent: HashMap<ClientId, u64>,
    per_second: f64,
}

impl Pace {
    /// Begins now.
    pub(super) fn new() -> Self {
        let look = Look { at: Instant::now(), sent: HashMap::new(), per_second: 0.0 };
        Self { last: Mutex::new(look) }
    }

    /// What the clients of this moment have been sent so far: the events per second.
    pub(super) fn look(&self, now: Instant, sent: HashMap<ClientId, u64>) -> f64 {
        let mut last = self.last.lock();
        let window = now.saturating_duration_since(last.at);
        if window.as_millis() < WINDOW_MS_MIN {
            return last.per_second;
        }
        // A client that was not there before has been sent all of its events since.
        let before = |id: &ClientId| last.sent.get(id).copied().unwrap_or(0);
        let events: u64 = sent.iter().map(|(id, count)| count.saturating_sub(before(id))).sum();
        let per_second = events as f64 / window.as_secs_f64();
        *last = Look { at: now, sent, per_second };
        per_second
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_what_was_sent_since_the_last_look() {
        let (pace, start) = (Pace::new(), Instant::now());
        let look = |ms, counts: &[(u128, u64)]| {
            let sent = counts.iter().map(|(id, count)| (ClientId(*id), *count)).collect();
            pace.look(start + Duration::from_millis(ms), sent).round()
        };
        assert_eq!(look(2_000, &[(1, 20)]), 10.0);
        // Too soon for another figure.
        assert_eq!(look(2_500, &[(1, 500)]), 10.0);
        // One came, and one left.
        assert_eq!(look(4_000, &[(1, 120), (2, 100)]), 100.0);
        assert_eq!(look(6_000, &[(2, 140)]), 20.0);
        assert_eq!(look(8_000, &[]), 0.0);
    }
}

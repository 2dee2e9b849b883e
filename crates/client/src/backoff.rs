use std::time::Duration;

/// Exponential back-off with full jitter: the wait is drawn from nothing up to a bound that
/// doubles with each failure, so that clients that lost one server do not return in step.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// The next wait; `random` is any 64 random bits.
    pub(crate) fn next(&mut self, random: u64) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let bound = self.min.saturating_mul(factor).min(self.max);
        bound.mul_f64(random as f64 / u64::MAX as f64)
    }

    /// Begins anew: a connection has proved itself.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_its_bound_and_draws_from_all_of_it() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let longest: Vec<_> = (0..6).map(|_| backoff.next(u64::MAX).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(backoff.next(0), Duration::ZERO);
        assert_eq!(backoff.next(u64::MAX / 2).as_millis(), 500);
        for _ in 0..100 {
            backoff.next(1);
        }
        backoff.reset();
        assert_eq!(backoff.next(u64::MAX).as_millis(), 100);
    }
}

/// How long a client's answers to pings take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Latency {
    /// The last one, in ms; meaningless before the first.
    last_ms: u32,
    min_ms: u32,
    max_ms: u32,
    sum_ms: u64,
    count: u32,
    /// How much one differs from the next, smoothed as RFC 3550 has it in section 6.4.1.
    jitter_ms: f32,
    /// Pings in a row without an answer.
    missed: u32,
}

impl Latency {
    /// A ping was answered.
    pub(crate) fn answered(&mut self, ms: u32) {
        if self.count == 0 {
            (self.min_ms, self.max_ms) = (ms, ms);
        } else {
            self.jitter_ms += (ms.abs_diff(self.last_ms) as f32 - self.jitter_ms) / 16.0;
        }
        self.min_ms = self.min_ms.min(ms);
        self.max_ms = self.max_ms.max(ms);
        self.sum_ms += u64::from(ms);
        self.count = self.count.saturating_add(1);
        (self.last_ms, self.missed) = (ms, 0);
    }

    /// A ping was not answered before the next.
    pub(crate) fn missed(&mut self) {
        self.missed = self.missed.saturating_add(1);
    }

    /// The last one, in ms.
    pub(crate) fn last_ms(&self) -> Option<u64> {
        (self.count > 0).then_some(u64::from(self.last_ms))
    }

    /// Least, mean and most, in ms.
    pub(crate) fn range_ms(&self) -> Option<(u32, f64, u32)> {
        let mean = self.sum_ms as f64 / f64::from(self.count);
        (self.count > 0).then_some((self.min_ms, mean, self.max_ms))
    }

    /// How much it varies, in ms.
    pub(crate) fn jitter_ms(&self) -> f64 {
        f64::from(self.jitter_ms)
    }

    /// Pings in a row without an answer.
    pub(crate) fn missed_in_a_row(&self) -> u32 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_summed_up() {
        let mut latency = Latency::default();
        assert_eq!((latency.last_ms(), latency.range_ms()), (None, None));
        latency.missed();
        assert_eq!(latency.missed_in_a_row(), 1);
        for ms in [10, 26, 10] {
            latency.answered(ms);
        }
        assert_eq!(latency.missed_in_a_row(), 0);
        assert_eq!(latency.last_ms(), Some(10));
        let (min, mean, max) = latency.range_ms().unwrap();
        assert_eq!((min, max), (10, 26));
        assert!((mean - 46.0 / 3.0).abs() < 1e-9);
        assert!(latency.jitter_ms() > 1.0 && latency.jitter_ms() < 2.0);
    }
}

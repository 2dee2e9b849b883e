use std::time::Duration;

/// Latencies of one run.
#[derive(Default)]
pub(crate) struct Latencies {
    /// Counts of whole microseconds up to a bound; the last takes all that is more.
    counts: Vec<u64>,
    total: u64,
}

const MICROS_MAX: usize = 10_000_000;

impl Latencies {
    pub(crate) fn add(&mut self, latency: Duration) {
        let micros = usize::try_from(latency.as_micros()).unwrap_or(MICROS_MAX).min(MICROS_MAX);
        if self.counts.len() <= micros {
            self.counts.resize(micros + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(micros) {
            *count += 1;
        }
        self.total += 1;
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.counts.clear();
        self.total = 0;
    }

    /// The latency that so great a part of all does not exceed, in ms.
    pub(crate) fn percentile_ms(&self, part: f64) -> f64 {
        let wanted = (self.total as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (micros, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return micros as f64 / 1000.0;
            }
        }
        0.0
    }
}

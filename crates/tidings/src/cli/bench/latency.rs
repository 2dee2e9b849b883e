use std::time::Duration;

/// Latencies, counted in buckets a sixty-fourth of their value wide at most.
#[derive(Default)]
pub(super) struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

/// Buckets for each doubling.
const STEPS: u64 = 64;

impl Latencies {
    pub(super) fn add(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket(micros);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.total += 1;
    }

    /// The latency that so great a part of all does not exceed, in ms.
    pub(super) fn percentile_ms(&self, part: f64) -> f64 {
        let wanted = (self.total as f64 * part).ceil() as u64;
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted && seen > 0
        });
        reached.map_or(0.0, |bucket| micros_of(bucket) as f64 / 1e3)
    }
}

/// Exact up to [`STEPS`] microseconds, and so many buckets for each doubling above.
fn bucket(micros: u64) -> usize {
    let doublings = (micros / STEPS).checked_ilog2().map_or(0, |log| u64::from(log) + 1);
    let step = micros >> doublings.saturating_sub(1);
    (doublings * STEPS + step - if doublings > 0 { STEPS } else { 0 }) as usize
}

/// The least number of microseconds in a bucket.
fn micros_of(bucket: usize) -> u64 {
    let (doublings, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match doublings {
        0 => step,
        _ => (STEPS + step) << (doublings - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_and_are_narrow() {
        let mut last = 0;
        for micros in 0..100_000 {
            let bucket = bucket(micros);
            assert!(bucket == last || bucket == last + 1, "{micros}: {bucket} after {last}");
            let least = micros_of(bucket);
            assert!(least <= micros && (micros - least) * STEPS <= micros, "{micros} in {least}");
            last = bucket;
        }
    }

    #[test]
    fn percentiles_are_those_of_what_was_added() {
        let mut latencies = Latencies::default();
        assert!(latencies.percentile_ms(0.5).abs() < f64::EPSILON);
        for ms in 1..=100 {
            latencies.add(Duration::from_millis(ms));
        }
        for (part, ms) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            let found = latencies.percentile_ms(part);
            assert!((found - ms).abs() <= ms / 32.0, "{found} instead of {ms}");
        }
    }
}

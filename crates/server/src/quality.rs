//! How good a connection is, in figures and words.

/// The latency that halves a score, in ms.
const LATENCY_HALF_MS: f64 = 200.0;

/// How good a client's connection is, from 0, bad, to 1, good: by how long its answer to a ping
/// takes, pings in a row that it did not answer, and whether it takes nothing at the moment.
pub(crate) fn score(latency_ms: Option<u64>, missed: u32, is_slow: bool) -> f64 {
    let latency = latency_ms.map_or(1.0, |ms| LATENCY_HALF_MS / (LATENCY_HALF_MS + ms as f64));
    let answers = 1.0 / f64::from(missed.saturating_add(1));
    let takes = if is_slow { 0.5 } else { 1.0 };
    latency * answers * takes
}

/// A latency in words.
pub(crate) fn level_of(latency_ms: f64) -> &'static str {
    match latency_ms {
        ms if ms < 20.0 => "excellent",
        ms if ms < 50.0 => "good",
        ms if ms < 100.0 => "fair",
        ms if ms < 200.0 => "poor",
        _ => "critical",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_falls_with_all_that_is_bad() {
        assert_eq!(score(None, 0, false), 1.0);
        assert_eq!(score(Some(0), 0, false), 1.0);
        assert_eq!(score(Some(200), 0, false), 0.5);
        assert_eq!(score(Some(200), 1, false), 0.25);
        assert_eq!(score(Some(200), 1, true), 0.125);
        assert!(score(Some(u64::MAX), u32::MAX, true) >= 0.0);
    }

    #[test]
    fn levels_begin_where_they_are_said_to() {
        let levels = [0.0, 20.0, 50.0, 100.0, 200.0].map(level_of);
        assert_eq!(levels, ["excellent", "good", "fair", "poor", "critical"]);
        assert_eq!(level_of(19.99), "excellent");
        assert_eq!(level_of(f64::NAN), "critical");
    }
}

use client::Position;
use server::config::Timespan;

use crate::cli::text::{now_ms, parse_time};

/// `10m` or a time, in ms since 1970.
pub(super) fn since(text: &str) -> Result<u64, String> {
    if let Some(ms) = parse_time(text) {
        return Ok(ms);
    }
    let span = text.parse::<Timespan>();
    span.map(|span| now_ms().saturating_sub(span.as_ms())).map_err(|_| {
        "write how long ago (10m, 24h, 7d), or a time (2026-01-31T12:00:00Z, or ms since 1970)"
            .to_owned()
    })
}

/// `STREAM:EPOCH:SEQ`.
pub(super) fn position(text: &str) -> Result<Position, String> {
    Position::parse(text).map_err(|error| error.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_length_or_a_time() {
        assert_eq!(since("1767225600000"), Ok(1_767_225_600_000));
        assert_eq!(since("2026-01-01T00:00:00Z"), Ok(1_767_225_600_000));
        let (before, hour_ago) = (now_ms(), since("1h").unwrap());
        assert!((before - 3_600_000..=now_ms() - 3_600_000).contains(&hour_ago));
        assert!(since("yesterday").is_err());
        assert!(since("").is_err());
    }
}

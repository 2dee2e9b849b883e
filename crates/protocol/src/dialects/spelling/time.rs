use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

/// The last ms of the year 9999, the last that ISO 8601 spells with four digits.
const MS_MAX: u64 = 253_402_300_799_999;

/// A time in ms since 1970 in ISO 8601 with ms: `2026-01-02T03:04:05.678Z`.
pub fn iso(time_ms: u64) -> impl std::fmt::Display {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(time_ms.min(MS_MAX)))
}

/// Appends a time in ms since 1970 as a JSON string, in ISO 8601 with ms.
pub fn push_iso(time_ms: u64, out: &mut Vec<u8>) {
    // Writing into a Vec cannot fail.
    let _ = write!(out, "\"{}\"", iso(time_ms));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(time_ms: u64) -> String {
        let mut out = Vec::new();
        push_iso(time_ms, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_have_ms_and_are_in_utc() {
        assert_eq!(spelled(0), "\"1970-01-01T00:00:00.000Z\"");
        assert_eq!(spelled(1_767_323_045_678), "\"2026-01-02T03:04:05.678Z\"");
    }

    #[test]
    fn a_time_that_cannot_be_is_the_last_that_can() {
        assert_eq!(spelled(u64::MAX), "\"9999-12-31T23:59:59.999Z\"");
    }
}

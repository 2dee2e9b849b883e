use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY_MS: u64 = 86_400_000;

/// `text` without characters that would steer a terminal or hide what stands there: they become
/// escapes as JSON has them, so that JSON stays the same JSON.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if steers(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Control characters, and those that change the direction in which others are shown.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Now, in ms since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A time in ms since 1970, in UTC as RFC 3339 writes it.
pub(crate) fn time(ms: u64) -> String {
    let (year, month, day) = date_of(ms / DAY_MS);
    let (second, ms) = (ms / 1_000 % 86_400, ms % 1_000);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Reads a time: RFC 3339, a date (its midnight in UTC), or ms since 1970.
pub(crate) fn parse_time(text: &str) -> Option<u64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let (date, rest) = text.split_at_checked(10)?;
    let days = days_of_text(date)?;
    if rest.is_empty() {
        return Some(days * DAY_MS);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, offset_ms) = split_offset(rest)?;
    let ms = days * DAY_MS + clock_ms(clock)?;
    ms.checked_add_signed(-offset_ms)
}

fn days_of_text(date: &str) -> Option<u64> {
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4)?;
    let (month, day) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let days = days_before(year, month, day)?;
    // The 31st of June is found out by going there.
    (parts.next().is_none() && date_of(days) == (year, month, day)).then_some(days)
}

/// The clock and how far it is ahead of UTC.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let at = text.rfind(['+', '-'])?;
    let (clock, offset) = text.split_at_checked(at)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    let ms = i64::try_from((hours * 60 + minutes) * 60_000).ok()?;
    let fits = hours < 24 && minutes < 60;
    fits.then_some((clock, if offset.starts_with('-') { -ms } else { ms }))
}

fn clock_ms(clock: &str) -> Option<u64> {
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |second| number(second, 2))?;
    // RFC 3339 knows leap seconds; the clock of ms does not.
    let fits = hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    let is_number = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let ms: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    (fits && is_number).then_some((hour * 3_600 + minute * 60 + second) * 1_000 + ms)
}

fn number(text: &str, digits: usize) -> Option<u64> {
    let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

/// Year, month and day of the day so many days after 1970-01-01: Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Its inverse, `days_from_civil`; `None` before 1970.
fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

/// A length of time, for people: its two largest units.
pub(crate) fn span(ms: u64) -> String {
    match ms {
        ms if ms < 1_000 => format!("{ms}ms"),
        ms if ms < 60_000 => format!("{}s", ms / 1_000),
        ms if ms < 3_600_000 => format!("{}m {}s", ms / 60_000, ms / 1_000 % 60),
        ms if ms < DAY_MS => format!("{}h {}m", ms / 3_600_000, ms / 60_000 % 60),
        ms => format!("{}d {}h", ms / DAY_MS, ms / 3_600_000 % 24),
    }
}

/// A size in bytes, for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1_024.0;
    let mut unit = UNITS.iter();
    let mut name = unit.next().copied().unwrap_or_default();
    while size >= 1_024.0 {
        let Some(larger) = unit.next() else { break };
        (size, name) = (size / 1_024.0, larger);
    }
    format!("{size:.1} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_back() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(time(ms), text);
            assert_eq!(parse_time(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let day = 1_767_225_600_000;
        for (text, ms) in [
            ("2026-01-01", day),
            ("1767225600000", day),
            ("2026-01-01T00:00Z", day),
            ("2026-01-01 01:00:00+01:00", day),
            ("2025-12-31t19:30:00.5-04:30", day + 500),
        ] {
            assert_eq!(parse_time(text), Some(ms), "{text}");
        }
        for wrong in [
            "",
            "x",
            "2026-13-01",
            "2026-02-30",
            "2026-01-01T",
            "2026-01-01T00:00",
            "2026-01-01T24:00Z",
            "2026-01-01T00:00:00.Z",
            "26-01-01",
            "1969-12-31",
            "2026-01-01T00:00+99:00",
            "2026-01-0é",
        ] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn texts_of_others_do_not_steer_the_terminal() {
        assert_eq!(escaped("größe 日本"), "größe 日本");
        assert_eq!(
            escaped("a\u{1b}[31m\nb\u{9b}c\u{202e}\u{7f}"),
            "a\\u001b[31m\\nb\\u009bc\\u202e\\u007f"
        );
    }

    #[test]
    fn sizes_and_spans_are_short() {
        assert_eq!(size(1_023), "1023 B");
        assert_eq!(size(1_536), "1.5 KiB");
        assert_eq!(size(5 << 30), "5.0 GiB");
        assert_eq!(span(90_000), "1m 30s");
        assert_eq!(span(50), "50ms");
        assert_eq!(span(2 * DAY_MS), "2d 0h");
    }
}

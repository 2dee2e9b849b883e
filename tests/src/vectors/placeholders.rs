use std::collections::BTreeMap;

/// What placeholders were found to stand for, by the names that were given.
#[derive(Debug, Default)]
pub(super) struct Found(BTreeMap<String, String>);

impl Found {
    /// `text` with what is known in the place of its placeholders.
    pub(super) fn filled(&self, text: &str) -> String {
        let mut filled = self.named(text);
        while let Some((before, count, what, after)) = repetition(&filled) {
            filled = format!("{before}{}{after}", what.repeat(count));
        }
        filled
    }

    fn named(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("<{name}>"), value))
    }

    /// Whether `found` is as `expected` says, and keeps what placeholders stand for.
    pub(super) fn compare(&mut self, expected: &str, found: &str) -> Result<(), String> {
        let expected = self.named(expected);
        match matched(&expected, found) {
            Some(named) => {
                self.0.extend(named);
                Ok(())
            }
            None => Err(format!("expected {expected}\n   found {found:.2000}")),
        }
    }
}

/// The first `<repeat N TEXT>` of a text: what is before, N, the text, what is after.
fn repetition(text: &str) -> Option<(&str, usize, &str, &str)> {
    let (before, rest) = text.split_once("<repeat ")?;
    let (inner, after) = rest.split_once('>')?;
    let (count, what) = inner.split_once(' ')?;
    Some((before, count.parse().ok()?, what, after))
}

/// What the named placeholders of `expected` stand for in `found`, where both agree.
fn matched(expected: &str, found: &str) -> Option<Vec<(String, String)>> {
    let (mut expected, mut found) = (expected, found);
    let mut named = Vec::new();
    loop {
        if let Some(rest) = expected.strip_prefix('…') {
            // Any of the places where the rest may go on.
            let mut starts = found.char_indices().map(|(at, _)| at).chain([found.len()]);
            return starts.find_map(|at| {
                let mut more = matched(rest, &found[at..])?;
                more.splice(..0, named.iter().cloned());
                Some(more)
            });
        }
        if let Some((kind, name, rest)) = placeholder(expected) {
            let length = length_of(kind, found)?;
            if let Some(name) = name {
                named.push((name.to_owned(), found[..length].to_owned()));
            }
            (expected, found) = (rest, &found[length..]);
            continue;
        }
        let Some(next) = expected.chars().next() else {
            return found.is_empty().then_some(named);
        };
        found = found.strip_prefix(next)?;
        expected = &expected[next.len_utf8()..];
    }
}

/// The placeholder that a text begins with: kind, name, what follows.
fn placeholder(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let (inner, rest) = text.strip_prefix('<')?.split_once('>')?;
    let (kind, name) = match inner.split_once('=') {
        Some((kind, name)) => (kind, Some(name)),
        None => (inner, None),
    };
    ["id", "ms", "iso", "n"].contains(&kind).then_some((kind, name, rest))
}

/// How much of `text` is of a kind.
fn length_of(kind: &str, text: &str) -> Option<usize> {
    let run = |is_of: fn(u8) -> bool| text.bytes().take_while(|byte| is_of(*byte)).count();
    match kind {
        "id" => Some(run(|byte| byte.is_ascii_hexdigit())).filter(|length| *length == 32),
        "ms" => Some(run(|byte| byte.is_ascii_digit())).filter(|length| *length == 13),
        "iso" => text.get(..24).filter(|time| is_iso(time)).map(str::len),
        _ => {
            let length = run(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
            text[..length].parse::<f64>().ok().map(|_| length)
        }
    }
}

/// Whether a text is a time as in `2026-01-02T03:04:05.678Z`.
fn is_iso(text: &str) -> bool {
    text.bytes().zip(*b"0000-00-00T00:00:00.000Z").all(|(found, form)| match form {
        b'0' => found.is_ascii_digit(),
        other => found == other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees(expected: &str, found: &str) -> bool {
        Found::default().compare(expected, found).is_ok()
    }

    #[test]
    fn text_must_be_the_same() {
        assert!(agrees(r#"{"a":1}"#, r#"{"a":1}"#));
        assert!(!agrees(r#"{"a":1}"#, r#"{"a": 1}"#));
        assert!(!agrees("a", "ab"));
        assert!(!agrees("ab", "a"));
        assert!(agrees("a < b > c", "a < b > c"));
    }

    #[test]
    fn placeholders_have_their_form() {
        let id = "0123456789abcdef0123456789abcdef";
        assert!(agrees("\"<id>\"", &format!("\"{id}\"")));
        assert!(!agrees("<id>", &id[1..]));
        assert!(!agrees("<id>", &format!("{id}0")));
        assert!(agrees("<ms>,", "1767323045678,"));
        assert!(!agrees("<ms>", "1767323045"));
        assert!(agrees("<iso>", "2026-01-02T03:04:05.678Z"));
        assert!(!agrees("<iso>", "2026-01-02 03:04:05.678Z"));
        assert!(agrees("[<n>,<n>]", "[-1.5e3,0]"));
        assert!(!agrees("<n>", "\"1\""));
        assert!(!agrees("<n>", ""));
    }

    #[test]
    fn an_ellipsis_stands_for_anything() {
        assert!(agrees("a…c…e", "abbcdce"));
        assert!(agrees("…", ""));
        assert!(agrees("a…<n>}", "a1b22}"));
        assert!(!agrees("a…c", "ab"));
        assert!(!agrees("b…", "ab"));
    }

    #[test]
    fn what_was_found_can_be_named_again() {
        let mut found = Found::default();
        found.compare("{<n=first>,<n>}", "{7,8}").unwrap();
        assert_eq!(found.filled("again <first>"), "again 7");
        assert!(found.compare("<first>", "7").is_ok());
        assert!(found.compare("<first>", "8").is_err());
        found.compare("…<n=last>]", "[x,9]").unwrap();
        assert_eq!(found.filled("<last>"), "9");
    }

    #[test]
    fn long_texts_are_spelled_short() {
        assert_eq!(Found::default().filled("[<repeat 3 0,>0]"), "[0,0,0,0]");
    }
}

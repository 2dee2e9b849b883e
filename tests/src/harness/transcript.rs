use super::socket::{Incoming, Socket};

/// Whether `text` is as `pattern` says, where `…` stands for anything.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let found = match parts.peek() {
            // The last part must stand at the very end.
            None => rest.ends_with(part).then(|| rest.len() - part.len()),
            Some(_) => rest.find(part),
        };
        let Some(found) = found else { return false };
        rest = &rest[found + part.len()..];
    }
    rest.is_empty()
}

/// Plays a transcript: each line that begins with `>` is sent as a text frame, each that begins
/// with `<` must be what comes next, `…` standing for anything. `< close CODE` is a close frame.
pub async fn play(socket: &mut Socket, transcript: &str) {
    for line in transcript.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_at(1) {
            (">", text) => socket.send_text(text.trim_start()).await,
            ("<", expected) => {
                let expected = expected.trim_start();
                let found = match socket.next().await {
                    Incoming::Json(_) | Incoming::Text(_) => socket.last_text().to_owned(),
                    Incoming::Close(code, _) => format!("close {code}"),
                    other => format!("{other:?}"),
                };
                assert!(matches(expected, &found), "expected {expected}\n   found {found}");
            }
            _ => panic!("a line of a transcript begins with > or <, not so: {line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipsis_stands_for_anything() {
        assert!(matches("a…c…e", "abbcde"));
        assert!(matches("…", ""));
        assert!(matches("a…", "a"));
        assert!(!matches("a…c", "ab"));
        assert!(!matches("a", "ab"));
        assert!(!matches("b…", "ab"));
        assert!(!matches("a…bb", "ab"));
    }
}

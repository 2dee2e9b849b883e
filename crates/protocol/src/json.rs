use crate::error::Error;

/// Deepest nesting that is read from a peer.
pub const DEPTH_MAX: usize = 32;

/// Refuses JSON text that nests deeper than [`DEPTH_MAX`], before any parser recurses into it.
///
/// # Errors
/// [`crate::ErrorCode::BadRequest`].
pub fn check_depth(text: &[u8]) -> Result<(), Error> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    let message = format!("the JSON nests deeper than {DEPTH_MAX} levels");
                    return Err(Error::bad_request(message));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Appends `text` as a JSON string.
pub fn push_str(out: &mut Vec<u8>, text: &str) {
    let plain = text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\');
    if plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing a string into a Vec cannot fail.
        let _ = serde_json::to_writer(out, text);
    }
}

/// Appends a list, each item as `push_item` writes it.
pub fn push_list<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    push_item: impl Fn(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        push_item(item, out);
    }
    out.push(b']');
}

/// Appends a list of strings.
pub fn push_str_list<'a>(items: impl IntoIterator<Item = &'a str>, out: &mut Vec<u8>) {
    push_list(items, out, |item, out| push_str(out, item));
}

/// Appends an integer.
pub fn push_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_strings() {
        assert!(check_depth(&b"[".repeat(32)).is_ok());
        assert!(check_depth(&b"[".repeat(33)).is_err());
        assert!(
            check_depth(format!("\"{}\\\"{}\"", "[".repeat(99), "{".repeat(99)).as_bytes()).is_ok()
        );
        assert!(check_depth(&b"[]".repeat(99)).is_ok());
        assert!(check_depth(&b"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn strings_are_escaped() {
        let mut out = Vec::new();
        push_str(&mut out, "a\"b\\c\nd");
        push_str(&mut out, "grün");
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\c\\nd\"\"grün\"");
    }
}

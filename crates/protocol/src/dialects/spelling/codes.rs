use crate::error::{Error, ErrorCode};
use crate::json::push_u64;

/// Appends a code as a JSON string in UPPER_SNAKE, for dialects that spell codes so.
pub fn push_upper(code: ErrorCode, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend(code.as_str().bytes().map(|byte| byte.to_ascii_uppercase()));
    out.push(b'"');
}

/// Appends `,"retry_after_ms":…` where an error says when to try again.
pub fn push_retry_after(error: &Error, out: &mut Vec<u8>) {
    if let Some(ms) = error.retry_after_ms {
        out.extend_from_slice(b",\"retry_after_ms\":");
        push_u64(out, ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_underscores() {
        let mut out = Vec::new();
        push_upper(ErrorCode::NoHandler, &mut out);
        assert_eq!(out, b"\"NO_HANDLER\"");
    }
}

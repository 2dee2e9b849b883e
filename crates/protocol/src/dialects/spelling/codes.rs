use crate::error::ErrorCode;

/// Appends a code as a JSON string in UPPER_SNAKE, for dialects that spell codes so.
pub fn push_upper(code: ErrorCode, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend(code.as_str().bytes().map(|byte| byte.to_ascii_uppercase()));
    out.push(b'"');
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

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};

const NAME: &str = "tidings_continuity";
/// Random bytes of a cookie: nobody finds another client's by trying.
const RANDOM_BYTES: usize = 16;

/// The cookie of a request, or a new one; none where the system gives no random numbers, which
/// leaves the client unknown.
///
/// It only tells who gets back what it subscribed to, under the permissions that it has anyway: it
/// is never a credential.
pub(super) fn cookie(headers: &HeaderMap) -> Option<Arc<str>> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    let known = pairs.find(|(name, value)| name.trim() == NAME && is_one(value.trim()));
    if let Some((_, value)) = known {
        return Some(value.trim().into());
    }
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes).into())
}

/// Whether a pair of a `Cookie` header is this cookie.
pub(super) fn is_ours(pair: &str) -> bool {
    pair.split_once('=').is_some_and(|(name, _)| name.trim() == NAME)
}

fn is_one(value: &str) -> bool {
    let mut bytes = [0; RANDOM_BYTES];
    URL_SAFE_NO_PAD.decode_slice(value, &mut bytes) == Ok(RANDOM_BYTES)
}

/// The header that sets it (RFC 6265): for the path of the request, out of reach of scripts and of
/// other sites' pages, until the browser is closed.
pub(super) fn set(cookie: &str, path: &str) -> HeaderValue {
    let line = format!("{NAME}={cookie}; Path={path}; HttpOnly; SameSite=Lax");
    // Paths of endpoints can stand in a header.
    HeaderValue::from_str(&line).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(lines: &[&str]) -> HeaderMap {
        let line = |line: &&str| (header::COOKIE, HeaderValue::from_str(line).unwrap());
        lines.iter().map(line).collect()
    }

    #[test]
    fn a_cookie_of_ours_is_kept_and_others_are_replaced() {
        let ours = cookie(&HeaderMap::new()).unwrap();
        assert_eq!(ours.len(), 22);
        let found = |lines: &[&str]| cookie(&with(lines)).unwrap();
        assert_eq!(found(&[&format!("a=b; {NAME}={ours}; c")]), ours);
        assert_eq!(found(&["a=b", &format!(" {NAME} = {ours} ")]), ours);
        for wrong in ["", "short", "AAAAAAAAAAAAAAAAAAAAA*", &"A".repeat(23), &"A".repeat(9_000)] {
            let fresh = found(&[&format!("{NAME}={wrong}")]);
            assert!(fresh.len() == 22 && &*fresh != wrong, "{wrong}");
        }
    }
}

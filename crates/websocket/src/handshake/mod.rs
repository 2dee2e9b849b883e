//! The opening handshake (RFC 6455 section 4, RFC 7692 section 5, RFC 8441).
//!
//! Header lines come in as pairs of a name and a value, whichever library read them. With the
//! `http` crate that is
//! `map.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))`. Nothing that is kept
//! after the handshake borrows from them.

mod client; // asks for a connection and judges the answer
mod extensions; // what is said about permessage-deflate
mod head; // HTTP/1.1 heads in byte slices, for who has no HTTP library
mod server; // judges a request and answers it

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};

pub use client::{Agreed, AnswerError, ClientHandshake};
pub use extensions::Deflate;
pub use head::{HEADERS_MAX, HeadError, RequestHead, ResponseHead, write_head};
pub use server::{Accepted, Upgrade, UpgradeError, asks_for_websocket};

/// The only version of the protocol there is.
const VERSION: &str = "13";

/// What a server appends to the client's key (RFC 6455 section 1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The value of `Sec-WebSocket-Accept` for a value of `Sec-WebSocket-Key`.
#[must_use]
pub fn accept_value(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(KEY_SUFFIX);
    BASE64.encode(hash.finalize())
}

/// The elements of a comma-separated header value; empty ones are skipped (RFC 9110 section 5.6.1).
fn elements(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(|element| element.trim_matches([' ', '\t'])).filter(|e| !e.is_empty())
}

fn has_element(value: &str, wanted: &str) -> bool {
    elements(value).any(|element| element.eq_ignore_ascii_case(wanted))
}

/// A header value as text: ASCII, spaces and tabs, no other control characters.
fn header_text(value: &[u8]) -> Option<&str> {
    let allowed = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    if value.iter().all(allowed) { str::from_utf8(value).ok() } else { None }
}

/// Whether this is a subprotocol's name, or what clients put in its place: visible characters
/// without the comma. The RFC asks for a token; tokens of other kinds (base64 with `=` and `/`)
/// travel here too, and break nothing.
fn is_protocol(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_value_is_as_in_the_rfc() {
        assert_eq!(accept_value("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn lists_are_read_leniently_and_compared_without_case() {
        assert_eq!(elements(" a, ,b ,\tc,,").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(has_element("keep-alive, UPGRADE", "upgrade"));
        assert!(!has_element("upgraded", "upgrade"));
    }
}

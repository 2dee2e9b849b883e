//! Close codes and reasons (RFC 6455 section 7.4).

use std::borrow::Cow;
use std::fmt;

use crate::error::DecodeError;

/// Longest reason that a close frame holds, in bytes: 125 for a control frame, less the code.
pub const CLOSE_REASON_BYTES_MAX: usize = 123;

/// A close code that may appear in a close frame.
///
/// Codes that only exist inside an endpoint (1005 "no code", 1006 "abnormal", 1015 "TLS") and
/// those that nobody has assigned cannot be made, so they cannot be sent by mistake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: a server stops or a browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that this endpoint does not take (binary where text is spoken).
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1007: data that is not what its type says (text that is not UTF-8, deflate that is not).
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: a rule of the application was broken.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message is larger than this endpoint takes.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: a client misses an extension in the server's answer.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: this endpoint failed.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts (registered with IANA after the RFC).
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: overloaded, try again later (registered with IANA after the RFC).
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid answer (registered with IANA after the RFC).
    pub const BAD_GATEWAY: Self = Self(1014);

    /// The code with this number, or `None` where section 7.4 keeps it out of close frames.
    ///
    /// Allowed are 1000 to 1003, 1007 to 1014, 3000 to 3999 (registered by libraries) and
    /// 4000 to 4999 (private to applications).
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

/// What a close frame with a body says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// Why, for programs.
    pub code: CloseCode,
    /// Why, for people; at most [`CLOSE_REASON_BYTES_MAX`] bytes, often empty.
    pub reason: Cow<'a, str>,
}

impl<'a> Close<'a> {
    /// Reads the body of a close frame (section 5.5.1); an empty body says nothing and is `None`.
    pub(crate) fn decode(body: Cow<'a, [u8]>) -> Result<Option<Self>, DecodeError> {
        if body.is_empty() {
            return Ok(None);
        }
        let Some((code, _)) = body.split_first_chunk::<2>() else {
            return Err(DecodeError::CloseLength);
        };
        let number = u16::from_be_bytes(*code);
        let code = CloseCode::new(number).ok_or(DecodeError::CloseCode(number))?;
        let reason = match body {
            Cow::Borrowed(body) => {
                let reason = body.get(2..).unwrap_or_default();
                Cow::Borrowed(std::str::from_utf8(reason).map_err(|_| DecodeError::InvalidUtf8)?)
            }
            Cow::Owned(mut body) => {
                body.drain(..2);
                Cow::Owned(String::from_utf8(body).map_err(|_| DecodeError::InvalidUtf8)?)
            }
        };
        Ok(Some(Self { code, reason }))
    }

    /// The same without a borrow, to be kept.
    #[must_use]
    pub fn into_owned(self) -> Close<'static> {
        Close { code: self.code, reason: Cow::Owned(self.reason.into_owned()) }
    }
}

/// Cuts a reason to what fits a close frame, at a character's boundary.
pub(crate) fn fitting_reason(reason: &str) -> &str {
    let end = reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX);
    reason.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_for_the_wire_exist() {
        let refused = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535];
        for code in refused {
            assert_eq!(CloseCode::new(code), None, "{code}");
        }
        for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            assert_eq!(CloseCode::new(code).map(CloseCode::get), Some(code));
        }
    }

    #[test]
    fn a_body_is_empty_or_begins_with_a_code() {
        let decode = |body: &'static [u8]| Close::decode(Cow::Borrowed(body));
        assert_eq!(decode(b""), Ok(None));
        assert_eq!(decode(b"\x03"), Err(DecodeError::CloseLength));
        assert_eq!(decode(b"\x03\xed"), Err(DecodeError::CloseCode(1005)));
        assert_eq!(decode(b"\x03\xe8\xff"), Err(DecodeError::InvalidUtf8));
        let close = decode(b"\x03\xe8bye").unwrap().unwrap();
        assert_eq!((close.code, &*close.reason), (CloseCode::NORMAL, "bye"));
        let owned = Close::decode(Cow::Owned(b"\x03\xe8bye".to_vec())).unwrap().unwrap();
        assert_eq!(owned, close);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = "ä".repeat(70);
        assert_eq!(fitting_reason(&reason).len(), 122);
        assert_eq!(fitting_reason("short"), "short");
    }
}

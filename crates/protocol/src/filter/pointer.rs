use std::fmt;

use crate::error::Error;
use crate::topic::quoted;

/// Most names of a pointer: data do not nest deeper.
const NAMES_MAX: usize = 32;

/// Names a field of JSON data (RFC 6901): `/a/0/b`; the empty one names the data as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer {
    text: Box<str>,
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// `bad_request` where it neither is empty nor begins with `/`, or has a `~` that is followed
    /// by neither `0` nor `1`, or more than 32 names.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if !(text.is_empty() || text.starts_with('/')) {
            let message = format!("{} is no JSON pointer: it must begin with `/`", quoted(text));
            return Err(Error::bad_request(message));
        }
        if text.matches('/').count() > NAMES_MAX {
            let message = format!("a JSON pointer has at most {NAMES_MAX} names");
            return Err(Error::bad_request(message));
        }
        let mut parts = text.split('~');
        // What stands before the first `~`.
        parts.next();
        if parts.any(|part| !part.starts_with(['0', '1'])) {
            let message = format!(
                "{} is no JSON pointer: `~` is written `~0`, and `/` in a name `~1`",
                quoted(text)
            );
            return Err(Error::bad_request(message));
        }
        Ok(Self { text: text.into() })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names on the way to the field, unescaped.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        // `~1` first: `~01` is `~1`, not `/`.
        self.text.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~"))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

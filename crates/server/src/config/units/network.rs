use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::{ParseError, serde_as_text};

/// The path of an endpoint: begins with `/`, and no character in it needs escaping.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointPath(Box<str>);

impl EndpointPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EndpointPath {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if !text.starts_with('/') {
            return Err(ParseError::new(format!("a path begins with `/`: write `/{text}`")));
        }
        // pchar of RFC 3986 3.3, without percent-encoding: one spelling per path.
        let fits = |c: char| c.is_ascii_alphanumeric() || "/-._~!$&'()*+,;=:@".contains(c);
        if let Some(c) = text.chars().find(|c| !fits(*c)) {
            return Err(ParseError::new(format!("{c:?} may not be part of a path")));
        }
        if text.contains("//") || (text.len() > 1 && text.ends_with('/')) {
            return Err(ParseError::new("a path has no empty part and no `/` at its end"));
        }
        Ok(Self(text.into()))
    }
}

/// A web origin that may connect: `https://app.example`, `null`, `loopback` for every port of this
/// machine, or `*` for every one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebOrigin(Box<str>);

impl WebOrigin {
    /// Every one.
    const ANY: &str = "*";
    /// Those whose host is the machine of the browser.
    const LOOPBACK: &str = "loopback";

    /// As browsers send it in `Origin`; or one of the words.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every origin is meant.
    pub fn is_any(&self) -> bool {
        self.as_str() == Self::ANY
    }

    /// Whether an origin as browsers send it is meant.
    pub fn covers(&self, origin: &str) -> bool {
        match self.as_str() {
            Self::ANY => true,
            Self::LOOPBACK => is_of_loopback(origin),
            known => known == origin,
        }
    }
}

impl FromStr for WebOrigin {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if matches!(text, Self::ANY | Self::LOOPBACK | "null") {
            return Ok(Self(text.into()));
        }
        let form = || {
            ParseError::new(
                "write it as browsers do, such as `https://app.example`, without a path",
            )
        };
        let (scheme, host) = text.split_once("://").ok_or_else(form)?;
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        if scheme.is_empty() || !scheme.chars().all(is_scheme) || host.is_empty() {
            return Err(form());
        }
        if host.chars().any(|c| c.is_whitespace() || c.is_control() || "/?#@*\\".contains(c)) {
            return Err(form());
        }
        // Browsers send both in lower case (RFC 6454 6.2).
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

/// Whether the host of an origin is `localhost` or a loopback address, on whatever port.
fn is_of_loopback(origin: &str) -> bool {
    let Some((_, place)) = origin.split_once("://") else { return false };
    let host = match place.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => place,
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A host's name as requests carry it, without a port; in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Box<str>);

impl HostName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if text.is_empty() || !text.chars().all(fits) {
            return Err(ParseError::new("write a name such as `events.example`, without a port"));
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

/// The URL of a remote part. Neither `Debug` nor `Display` shows a password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(Box<str>);

impl Url {
    /// The URL with its password, to connect with.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What stands before `://`.
    pub fn scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(scheme, _)| scheme)
    }
}

impl FromStr for Url {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let form = || ParseError::new("write a URL, such as `https://host/path`");
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        let plain = |c: char| c.is_whitespace() || c.is_control();
        if scheme.is_empty() || rest.is_empty() || text.chars().any(plain) {
            return Err(form());
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", without_password(&self.0))
    }
}

/// `text` with the password of each URL in it masked, byte for byte, so that places stay true.
///
/// Errs on the side of masking: a stray `/` in a password does not let it show.
pub(crate) fn without_password(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut rest = text;
    while let Some((before, secret, after)) = next_password(rest) {
        masked.push_str(before);
        masked.extend(std::iter::repeat_n('*', secret.len()));
        rest = after;
    }
    if masked.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(masked + rest) }
}

/// Splits `text` around its first password. A user without a password may be a token: it counts.
fn next_password(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find("://") {
        let start = from + at + 3;
        let rest = text.get(start..)?;
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
        let url = rest.find(ends).and_then(|end| rest.get(..end)).unwrap_or(rest);
        if let Some((userinfo, _)) = url.rsplit_once('@') {
            let user = userinfo.split_once(':').map_or(0, |(user, _)| user.len() + 1);
            let (secret, end) = (start + user, start + userinfo.len());
            return Some((text.get(..secret)?, text.get(secret..end)?, text.get(end..)?));
        }
        from = start;
    }
    None
}

macro_rules! display_as_text {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        serde_as_text!($type);
    )*};
}
display_as_text!(EndpointPath, WebOrigin, HostName);

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

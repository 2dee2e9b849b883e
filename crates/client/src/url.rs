use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// Where a server is: `http://host:port/path`, `ws://…`, or just `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    host: String,
    port: u16,
    target: String,
}

impl Url {
    /// The host: a name, an IPv4 address, or an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 80 where none was given.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, beginning with `/`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Host and port as the `Host` header has them.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The same server at `path` where this URL names none, keeping its query.
    #[must_use]
    pub(crate) fn or_path(mut self, path: &str) -> Self {
        let (own, query) = match self.target.split_once('?') {
            Some((own, query)) => (own, format!("?{query}")),
            None => (&*self.target, String::new()),
        };
        if own == "/" {
            self.target = format!("{path}{query}");
        }
        self
    }
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Invalid(format!("{text:?} is not a server's URL: {why}"));
        let rest = match text.split_once("://") {
            None => text,
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "http" | "ws" => rest,
                "https" | "wss" => return Err(wrong("TLS is not available in this version")),
                _ => return Err(wrong("it must begin with http:// or ws://")),
            },
        };
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("it may only contain visible ASCII characters"));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let path = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(path);
        if authority.contains('@') {
            return Err(wrong("credentials do not belong into it; give a token"));
        }
        let (host, port) = split_authority(authority).ok_or_else(|| wrong("the port is wrong"))?;
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { host: host.to_owned(), port, target })
    }
}

/// Host and port; `None` where the port is no number or something follows an IPv6 address.
fn split_authority(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    // `u16` would also take a sign.
    let digits = |port: &&str| port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.map_or(Some(80), |port| Some(port).filter(digits)?.parse().ok())?;
    Some((host, port)).filter(|_| port != 0)
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_type() {
        for (text, host, port, target) in [
            ("http://127.0.0.1:8080", "127.0.0.1", 8080, "/"),
            ("ws://example.org/v1/ws?x=1", "example.org", 80, "/v1/ws?x=1"),
            ("HTTP://a", "a", 80, "/"),
            ("localhost:9", "localhost", 9, "/"),
            ("a?b=/c", "a", 80, "/?b=/c"),
            ("http://[::1]:8080/x#y", "::1", 8080, "/x"),
            ("[::1]", "::1", 80, "/"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.host(), url.port(), url.target()), (host, port, target), "{text}");
            assert_eq!(url.to_string().parse::<Url>().unwrap(), url);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, why) in [
            ("https://a", "TLS is not available in this version"),
            ("wss://a", "TLS is not available in this version"),
            ("nats://a", "http:// or ws://"),
            ("", "no host"),
            ("http://", "no host"),
            ("http://:80", "no host"),
            ("a:", "port"),
            ("a:0", "port"),
            ("a:+1", "port"),
            ("a:65536", "port"),
            ("::1", "port"),
            ("[::1]80", "port"),
            ("a b", "visible"),
            ("a\r\nHost: b", "visible"),
            ("http://u:p@a", "credentials"),
        ] {
            let error = text.parse::<Url>().unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_path_is_added_where_there_is_none() {
        let at = |text: &str| text.parse::<Url>().unwrap().or_path("/v1/ws").target().to_owned();
        assert_eq!(at("a"), "/v1/ws");
        assert_eq!(at("a/?b=1"), "/v1/ws?b=1");
        assert_eq!(at("a/c?b=1"), "/c?b=1");
    }
}

use http::{HeaderMap, header};

use super::guard::is_same_host;
use crate::config::WebOrigin;
use crate::endpoint::Endpoint;

/// The page that a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page<'a> {
    /// No page: a program, or a link that its visitor followed.
    None,
    /// One of this host.
    Own,
    /// One of another origin.
    Of(&'a str),
    /// One of another site embeds the answer, such as an image; its origin, where that is told.
    Embedding(Option<&'a str>),
    /// No browser says such a thing.
    Odd,
}

impl<'a> Page<'a> {
    /// Browsers name the origin in every upgrade and in what a script asks for (Fetch standard,
    /// section 3.2); of what a page embeds, such as an image, they tell the site (Fetch Metadata)
    /// and, as a rule, the origin in `Referer`.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next().map(|origin| origin.to_str()), origins.next()) {
            (Some(Ok(origin)), None) if is_same_host(origin, headers) => Self::Own,
            (Some(Ok(origin)), None) => Self::Of(origin),
            (Some(_), _) => Self::Odd,
            (None, _) if !is_embedded_elsewhere(headers) => Self::None,
            (None, _) => Self::Embedding(referrer(headers)),
        }
    }

    /// Whether it may connect to an endpoint. What is merely embedded its scripts cannot read.
    pub(super) fn is_allowed(self, endpoint: &Endpoint) -> bool {
        match self {
            Self::None | Self::Own | Self::Embedding(_) => true,
            Self::Of(origin) => endpoint.origins.iter().any(|listed| listed.covers(origin)),
            Self::Odd => false,
        }
    }

    /// Whether it may do so as its visitor, whose cookies are sent with whatever any page asks for:
    /// not where merely every page may connect, or every one that hides its origin in a sandbox.
    pub(super) fn is_trusted(self, endpoint: &Endpoint) -> bool {
        let is_anybody = |listed: &WebOrigin| listed.is_any() || listed.as_str() == "null";
        let mut named = endpoint.origins.iter().filter(|listed| !is_anybody(listed));
        match self {
            Self::None | Self::Own => true,
            Self::Of(origin) | Self::Embedding(Some(origin)) => {
                named.any(|listed| listed.covers(origin))
            }
            Self::Embedding(None) | Self::Odd => false,
        }
    }
}

/// A link that is followed is its visitor's own doing; a frame is filled in the same way.
fn is_embedded_elsewhere(headers: &HeaderMap) -> bool {
    let is = |name, value: &str| headers.get(name).is_some_and(|found| found == value);
    is("sec-fetch-site", "cross-site") && !is("sec-fetch-dest", "document")
}

/// The origin of the page that the request names as where it comes from.
fn referrer(headers: &HeaderMap) -> Option<&str> {
    let url = headers.get(header::REFERER)?.to_str().ok()?;
    let host_at = url.find("://")? + 3;
    let host = url.get(host_at..)?;
    url.get(..host_at + host.find('/').unwrap_or(host.len()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn page(lines: &[(&'static str, &'static str)]) -> Page<'static> {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, HeaderValue::from_static("a.example:1"));
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Page::of(Box::leak(Box::new(headers)))
    }

    #[test]
    fn a_page_is_known_by_what_browsers_say_of_it() {
        let cross = ("sec-fetch-site", "cross-site");
        let from = ("referer", "https://b.example:2/page?x");
        assert_eq!(page(&[]), Page::None);
        assert_eq!(page(&[("origin", "http://a.example:1")]), Page::Own);
        assert_eq!(page(&[("origin", "https://b.example")]), Page::Of("https://b.example"));
        assert_eq!(page(&[("origin", "null")]), Page::Of("null"));
        assert_eq!(page(&[("origin", "null"), ("origin", "http://a.example:1")]), Page::Odd);
        assert_eq!(page(&[cross, from]), Page::Embedding(Some("https://b.example:2")));
        assert_eq!(page(&[cross]), Page::Embedding(None));
        assert_eq!(page(&[cross, ("referer", "x")]), Page::Embedding(None));
        assert_eq!(page(&[cross, ("sec-fetch-dest", "object")]), Page::Embedding(None));
        assert_eq!(page(&[cross, ("sec-fetch-dest", "document")]), Page::None);
        assert_eq!(page(&[("sec-fetch-site", "same-site"), from]), Page::None);
    }
}

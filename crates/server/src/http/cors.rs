use std::net::SocketAddr;

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use super::systems;
use crate::config::{Config, Endpoint};

/// How long a browser remembers what a preflight told, in seconds.
const PREFLIGHT_SECONDS: &str = "600";
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

/// That the page of a request may read its answer (Fetch standard, section 3.2).
pub(super) struct Readers {
    /// The page's origin, or every one.
    allowed: HeaderValue,
}

impl Readers {
    /// Whether the endpoint that a path belongs to lets the page read; `None` where the request is
    /// of no page or of one that may not.
    pub(super) fn of<B>(config: &Config, request: &Request<B>, listen: SocketAddr) -> Option<Self> {
        let origin = request.headers().get(header::ORIGIN)?;
        let path = request.uri().path();
        let mut origins = config
            .endpoints_at(listen)
            .filter(|endpoint| serves(endpoint, path))
            .flat_map(|endpoint| &endpoint.cors);
        let known = origin.to_str().ok()?;
        let listed = origins.find(|listed| listed.covers(known))?;
        let any = HeaderValue::from_static("*");
        Some(Self { allowed: if listed.is_any() { any } else { origin.clone() } })
    }

    /// The answer to a preflight, where the request is one: pages ask by it before they send what
    /// no form could.
    pub(super) fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let asked = request.headers();
        asked.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        if request.method() != Method::OPTIONS {
            return None;
        }
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        let headers = answer.headers_mut();
        let mut set = |name: HeaderName, value| drop(headers.insert(name, value));
        set(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        set(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_SECONDS));
        if let Some(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            set(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        self.allow(headers);
        Some(answer)
    }

    /// Lets the page read an answer.
    pub(super) fn allow(&self, headers: &mut HeaderMap) {
        if self.allowed != "*" {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.allowed.clone());
    }
}

/// Whether what is at a path is an endpoint's: its page, its system's routes, or of the native one
/// the API for clients.
fn serves(endpoint: &Endpoint, path: &str) -> bool {
    endpoint.is_at(path)
        || systems::paths(endpoint).iter().any(|route| fits(route, path))
        || (endpoint.path.as_str() == "/v1/ws" && path.starts_with("/v1/"))
}

/// Whether a path is as a route says, in which `{name}` stands for any part.
fn fits(route: &str, path: &str) -> bool {
    let (mut parts, mut found) = (route.split('/'), path.split('/'));
    loop {
        match (parts.next(), found.next()) {
            (None, None) => return true,
            (Some(part), Some(_)) if part.starts_with('{') => {}
            (Some(part), Some(found)) if part == found => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_in_braces_stands_for_any() {
        assert!(fits("/a/{id}/b", "/a/7/b"));
        assert!(!fits("/a/{id}/b", "/a/7"));
        assert!(!fits("/a/{id}", "/a/7/b"));
        assert!(!fits("/a/b", "/a/c"));
    }
}

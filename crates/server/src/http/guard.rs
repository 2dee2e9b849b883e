use std::net::SocketAddr;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, Request, StatusCode, header};
use protocol::{Error, ErrorCode};
use sha2::{Digest, Sha256};

use super::Peer;
use super::error::response;
use crate::listen::Side;
use crate::node::Node;

/// Refuses requests by where they come from: an unknown Host (DNS rebinding), a foreign page on
/// the admin side, a missing or wrong admin token.
#[expect(clippy::result_large_err, reason = "the answer is used at once")]
pub(super) fn check<B>(
    node: &Node,
    request: &Request<B>,
    peer: Peer,
) -> Result<(), Response<Body>> {
    check_host(node, request, peer)?;
    if peer.side == Side::Admin {
        check_page(request.headers())?;
        // Whether a process lives is no secret; what starts it has no token.
        if !matches!(request.uri().path(), "/healthz" | "/readyz") {
            check_token(node, request.headers())?;
        }
    }
    Ok(())
}

#[expect(clippy::result_large_err, reason = "the answer is used at once")]
fn check_host<B>(node: &Node, request: &Request<B>, peer: Peer) -> Result<(), Response<Body>> {
    let config = node.config();
    let listener = match peer.side {
        Side::Public(address) => address,
        Side::Admin => config.listen.admin,
    };
    if config.listen.hosts.is_empty() && !listener.ip().is_loopback() {
        return Ok(());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().host());
    let is_known = host.is_some_and(|host| {
        let name = name_of(host);
        let is_address = name
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip == listener.ip() || ip.is_loopback());
        is_address
            || name.eq_ignore_ascii_case("localhost")
            || config.listen.hosts.iter().any(|known| known.as_str().eq_ignore_ascii_case(name))
    });
    if is_known && hosts.next().is_none() {
        return Ok(());
    }
    let message = "the Host header does not name this server (setting `listen.hosts`)";
    let error = Error::new(ErrorCode::Forbidden, message);
    Err(response(&error, Some(StatusCode::MISDIRECTED_REQUEST)))
}

/// Refuses who may not manage the server at a public listener: who has no admin token or, where
/// none is configured, whoever is not on this machine and a page of this server's own.
#[expect(clippy::result_large_err, reason = "the answer is used at once")]
pub(super) fn check_manager(
    node: &Node,
    headers: &HeaderMap,
    listener: SocketAddr,
) -> Result<(), Response<Body>> {
    check_page(headers)?;
    if node.admin_token.is_some() || listener.ip().is_loopback() {
        return check_token(node, headers);
    }
    let message = "management needs an admin token (setting `admin.token_env`)";
    Err(response(&Error::new(ErrorCode::Forbidden, message), None))
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// A page of another site must not be able to reach the admin side through its visitor's browser.
#[expect(clippy::result_large_err, reason = "the answer is used at once")]
fn check_page(headers: &HeaderMap) -> Result<(), Response<Body>> {
    let is_cross_site = headers
        .get("sec-fetch-site")
        .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    let is_foreign = headers
        .get(header::ORIGIN)
        .is_some_and(|origin| !origin.to_str().is_ok_and(|origin| is_same_host(origin, headers)));
    if is_cross_site || is_foreign {
        let message = "requests of other sites' pages are refused here";
        return Err(response(&Error::new(ErrorCode::Forbidden, message), None));
    }
    Ok(())
}

/// Whether an Origin names the host and port that the request was sent to.
pub(super) fn is_same_host(origin: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let place = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    place.is_some() && place == host
}

#[expect(clippy::result_large_err, reason = "the answer is used at once")]
fn check_token(node: &Node, headers: &HeaderMap) -> Result<(), Response<Body>> {
    let Some(token) = &node.admin_token else { return Ok(()) };
    let given = headers.get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    // Digests are compared, so that the time says nothing about the token.
    if given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(token)) {
        return Ok(());
    }
    let error = Error::new(ErrorCode::Unauthorized, "the admin token is missing or wrong");
    Err(response(&error, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_known_by_the_whole_of_its_origin() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "good.com:8081".parse().unwrap());
        assert!(is_same_host("http://good.com:8081", &headers));
        for foreign in
            ["null", "http://good.com", "http://good.com:8081.evil", "http://sub.good.com:8081", ""]
        {
            assert!(!is_same_host(foreign, &headers), "{foreign}");
        }
    }

    #[test]
    fn a_host_is_compared_without_its_port() {
        assert_eq!(name_of("localhost:80"), "localhost");
        assert_eq!(name_of("[::1]:80"), "[::1]");
        assert_eq!(name_of("example.org"), "example.org");
    }
}

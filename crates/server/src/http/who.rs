use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Uri, header};
use protocol::{Error, ErrorCode};

use super::continuity;
use super::error::response;
use super::page::Page;
use super::query;
use crate::auth::{Asking, Principal, TOKEN_BYTES_MAX};
use crate::config::{Access, TokenPlace};
use crate::endpoint::Endpoint;
use crate::node::Node;

/// What a subprotocol begins with that is a token.
const BEARER: &str = "bearer.";

/// Who a request is from.
pub(super) enum Who {
    /// Somebody who is known, or is known to be anonymous.
    Known(Principal),
    /// Its first message has to say.
    Later,
}

/// What a request shows.
#[derive(Default)]
pub(super) struct Shown<'a> {
    pub(super) headers: Option<&'a HeaderMap>,
    pub(super) query: Option<&'a str>,
    /// The token among its subprotocols.
    pub(super) protocol: Option<&'a str>,
    /// Its client can still say who it is, in its first message.
    pub(super) can_say_later: bool,
}

impl<'a> Shown<'a> {
    pub(super) fn of(headers: &'a HeaderMap, uri: &'a Uri) -> Self {
        Self { headers: Some(headers), query: uri.query(), ..Self::default() }
    }
}

/// The subprotocols that a client offers, told apart from a token among them.
pub(super) struct Offered<'a> {
    /// Names of protocols.
    pub(super) names: Vec<&'a str>,
    /// The token.
    pub(super) token: Option<&'a str>,
    /// What is given back where no name of the dialect's was offered: browsers want something.
    pub(super) alone: Option<&'a str>,
}

impl<'a> Offered<'a> {
    /// A lone value that no protocol has is a token, too.
    pub(super) fn read(endpoint: &Endpoint, offered: &[&'a str], known: &[&str]) -> Self {
        // Where tokens are not looked at, a dialect that has protocols refuses all others.
        let looks = endpoint.access != Access::None || known.is_empty();
        if !looks || !endpoint.takes(TokenPlace::Protocol) {
            return Self::of(offered.to_vec(), None, known);
        }
        let stripped = |value: &'a str| value.strip_prefix(BEARER);
        if let [value] = *offered
            && !known.contains(&value)
        {
            let token = Some(stripped(value).unwrap_or(value));
            return Self { names: Vec::new(), token, alone: Some(value) };
        }
        let token = offered.iter().copied().find_map(stripped);
        let names = offered.iter().copied().filter(|value| stripped(value).is_none()).collect();
        Self::of(names, token, known)
    }

    /// Browsers give up where none of what they offered comes back: a dialect without names of its
    /// own takes the first.
    fn of(names: Vec<&'a str>, token: Option<&'a str>, known: &[&str]) -> Self {
        let alone = names.first().copied().filter(|_| known.is_empty());
        Self { names, token, alone }
    }
}

/// Finds out who a request is from.
///
/// # Errors
/// `unauthorized`, `token_expired`, or `overloaded` where a backend would know and is away.
pub(super) async fn identify(
    node: &Node,
    endpoint: &Endpoint,
    shown: Shown<'_>,
) -> Result<Who, Error> {
    if endpoint.access == Access::None {
        return Ok(Who::Known(Principal::default()));
    }
    let (authority, wall_ms) = (node.authority(), crate::clock::wall_ms());
    let token = token(endpoint, &shown)?;
    let known = token.as_ref().map(|token| authority.check(token, wall_ms, &node.revoked));
    if let Some(Ok(principal)) = known {
        return Ok(Who::Known(principal));
    }
    if let (Some(Err(error)), Some(token)) = (&known, &token)
        && authority.has_signed(token)
    {
        return Err(error.clone());
    }
    if let Some(backend) = &authority.backend {
        let asking = asking(endpoint, &shown, token.as_deref());
        if !asking.is_empty() {
            return backend.ask(asking, wall_ms).await.map(Who::Known);
        }
    }
    match known {
        Some(Err(error)) => Err(error),
        _ if endpoint.access == Access::Optional => Ok(Who::Known(Principal::default())),
        _ if shown.can_say_later && endpoint.takes(TokenPlace::Message) => Ok(Who::Later),
        _ => Err(missing(endpoint)),
    }
}

fn missing(endpoint: &Endpoint) -> Error {
    let places: Vec<&str> = endpoint.tokens.iter().map(|place| place.as_str()).collect();
    let message =
        format!("a token is missing: it may come by {} (setting `tokens`)", places.join(", "));
    Error::new(ErrorCode::Unauthorized, message)
}

/// The token of a request, from the first place that the endpoint takes one from.
fn token(endpoint: &Endpoint, shown: &Shown<'_>) -> Result<Option<String>, Error> {
    let by_header = match shown.headers.filter(|_| endpoint.takes(TokenPlace::Header)) {
        Some(headers) => bearer(headers)?,
        None => None,
    };
    let by_protocol = || shown.protocol.map(str::to_owned);
    let by_query = || {
        let pairs = query::pairs(shown.query.filter(|_| endpoint.takes(TokenPlace::Query)));
        pairs.into_iter().find(|(name, _)| name == "token").map(|(_, token)| token)
    };
    let token = by_header.or_else(by_protocol).or_else(by_query);
    if token.as_ref().is_some_and(|token| token.len() > TOKEN_BYTES_MAX) {
        return Err(Error::new(ErrorCode::Unauthorized, "the token is too long"));
    }
    Ok(token)
}

/// The token of `Authorization: Bearer` (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        let message = "there is more than one Authorization header";
        return Err(Error::new(ErrorCode::Unauthorized, message));
    }
    let parts = value.to_str().ok().and_then(|value| value.split_once(' '));
    let token = parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Ok(token.map(|(_, token)| token.trim().to_owned()))
}

/// What a backend is shown of a request.
fn asking(endpoint: &Endpoint, shown: &Shown<'_>, token: Option<&str>) -> Asking {
    let line = |name: header::HeaderName| {
        let values = shown.headers?.get_all(name).iter();
        let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    };
    let authorization = match token {
        Some(token) => Some(format!("Bearer {token}")),
        None => line(header::AUTHORIZATION),
    };
    // A token may hold what no header can.
    let authorization = authorization.filter(|value| HeaderValue::from_str(value).is_ok());
    // Ours says nothing of who somebody is.
    let others = |line: String| {
        let pairs = line.split(';').map(str::trim);
        let pairs: Vec<&str> = pairs.filter(|pair| !continuity::is_ours(pair)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    };
    // Any page whatever has its visitor's cookies sent: that one may connect is no reason that it
    // may do so as its visitor.
    let is_trusted = shown.headers.is_some_and(|headers| Page::of(headers).is_trusted(endpoint));
    let cookie = line(header::COOKIE).filter(|_| is_trusted).and_then(others);
    Asking { cookie, authorization }
}

/// The answer to who is not known, which says how one becomes it (RFC 9110, section 11.6.1).
pub(super) fn refuse(error: &Error) -> Response<Body> {
    let mut refused = response(error, None);
    if refused.status() == http::StatusCode::UNAUTHORIZED {
        let how = HeaderValue::from_static("Bearer");
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, how);
    }
    refused
}

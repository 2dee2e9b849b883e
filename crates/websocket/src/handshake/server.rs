//! A server's side of the handshake (RFC 6455 section 4.2, RFC 8441 for HTTP/2).

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::extensions::{Deflate, choose_offer};
use super::{VERSION, accept_value, elements, has_element, header_text, is_protocol, write_head};

/// Base64 with padding; the four bits that 16 bytes leave over may be anything, since not every
/// client that draws a random key clears them.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Whether a request's headers ask for a WebSocket, rightly or not: what is not asked for here
/// belongs to plain HTTP.
pub fn asks_for_websocket<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> bool {
    headers.into_iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("upgrade")
            && header_text(value).is_some_and(|value| has_element(value, "websocket"))
    })
}

/// A request for a WebSocket that is valid. Who may have one is the caller's to decide.
#[derive(Clone, Debug)]
pub struct Upgrade<'a> {
    /// None over HTTP/2, which has no such header.
    key: Option<&'a str>,
    protocols: Vec<&'a str>,
    deflate: Option<Deflate>,
}

impl<'a> Upgrade<'a> {
    /// Judges an HTTP/1.x request by its method, the `x` of its version and its headers.
    ///
    /// Besides what RFC 6455 section 4.2.1 asks for, a request with a body and one with headers
    /// repeated that must not be are refused: what a proxy in front makes of those is anyone's
    /// guess.
    ///
    /// # Errors
    ///
    /// [`UpgradeError`], with the status to answer with.
    pub fn http1(
        method: &str,
        minor_version: u8,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, UpgradeError> {
        if method != "GET" {
            return Err(UpgradeError::Method);
        }
        if minor_version < 1 {
            return Err(UpgradeError::HttpVersion);
        }
        let fields = Fields::collect(headers)?;
        if !fields.upgrade || !fields.connection {
            return Err(UpgradeError::NotUpgrade);
        }
        if fields.hosts != 1 {
            return Err(UpgradeError::Host);
        }
        if fields.body {
            return Err(UpgradeError::Body);
        }
        fields.check_version()?;
        let [key] = *fields.keys.as_slice() else {
            return Err(UpgradeError::Key);
        };
        // 16 bytes are 22 digits and padding; the buffer is what the decoder estimates for 24.
        let mut nonce = [0; 18];
        if key.len() != 24 || KEY_BASE64.decode_slice(key, &mut nonce) != Ok(16) {
            return Err(UpgradeError::Key);
        }
        Ok(Self { key: Some(key), protocols: fields.protocols, deflate: fields.deflate })
    }

    /// Judges the headers of an HTTP/2 request whose `:method` is CONNECT and whose `:protocol` is
    /// `websocket` (RFC 8441 section 5).
    ///
    /// # Errors
    ///
    /// [`UpgradeError`], with the status to answer with.
    pub fn http2(
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, UpgradeError> {
        let fields = Fields::collect(headers)?;
        fields.check_version()?;
        Ok(Self { key: None, protocols: fields.protocols, deflate: fields.deflate })
    }

    /// The subprotocols that the client offers, the one that it likes best first. Credentials may
    /// be among them.
    #[must_use]
    pub fn protocols(&self) -> &[&'a str] {
        &self.protocols
    }

    /// The first of the client's subprotocols that is among `supported`.
    #[must_use]
    pub fn choose_protocol(&self, supported: &[&str]) -> Option<&'a str> {
        self.protocols.iter().find(|offered| supported.contains(offered)).copied()
    }

    /// What can be agreed about compression; `None` if the client offers nothing acceptable.
    #[must_use]
    pub const fn deflate(&self) -> Option<Deflate> {
        self.deflate
    }

    /// The answer that opens the connection, with one of the offered subprotocols or none (a
    /// browser gives up where it offered some and gets none), and with compression if it was
    /// offered and is wanted. A protocol that was not offered is not answered.
    #[must_use]
    pub fn accept(&self, protocol: Option<&str>, deflate: Option<Deflate>) -> Accepted {
        let deflate = deflate.filter(|_| self.deflate.is_some());
        Accepted {
            accept: self.key.map(accept_value),
            protocol: protocol.filter(|name| self.protocols.contains(name)).map(str::to_owned),
            extensions: deflate.map(Deflate::answer),
            deflate,
        }
    }
}

/// A positive answer to a request; borrows nothing from it.
#[derive(Clone, Debug)]
pub struct Accepted {
    accept: Option<String>,
    protocol: Option<String>,
    extensions: Option<String>,
    deflate: Option<Deflate>,
}

impl Accepted {
    /// 101 over HTTP/1.1, 200 over HTTP/2.
    #[must_use]
    pub const fn status(&self) -> u16 {
        if self.accept.is_some() { 101 } else { 200 }
    }

    /// The headers of the answer, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let upgrade = self.accept.as_deref().map(|accept| {
            [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", accept)]
        });
        let protocol = self.protocol.as_deref().map(|value| ("sec-websocket-protocol", value));
        let extensions =
            self.extensions.as_deref().map(|value| ("sec-websocket-extensions", value));
        upgrade.into_iter().flatten().chain(protocol).chain(extensions)
    }

    /// The subprotocol that was agreed.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// What was agreed about compression: give it to the decoder, and keep it for writing.
    #[must_use]
    pub const fn deflate(&self) -> Option<Deflate> {
        self.deflate
    }

    /// Appends the answer as it goes over an HTTP/1.1 connection.
    pub fn write_http1(&self, out: &mut Vec<u8>) {
        write_head(out, "HTTP/1.1 101 Switching Protocols", self.headers());
    }
}

/// Why a request does not become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// 405: not a GET.
    #[error("a WebSocket is opened with GET")]
    Method,
    /// 400: HTTP before 1.1 has no upgrade.
    #[error("a WebSocket needs HTTP/1.1")]
    HttpVersion,
    /// 426: no `Upgrade: websocket` and `Connection: Upgrade`.
    #[error("this is a WebSocket endpoint: Upgrade and Connection headers are missing")]
    NotUpgrade,
    /// 400: no `Host`, or several.
    #[error("exactly one Host header is needed")]
    Host,
    /// 400: the request has a body.
    #[error("a request for a WebSocket has no body")]
    Body,
    /// 426: `Sec-WebSocket-Version` is missing or not 13.
    #[error("Sec-WebSocket-Version must be 13")]
    Version,
    /// 400: several `Sec-WebSocket-Version` headers.
    #[error("Sec-WebSocket-Version is repeated")]
    VersionRepeated,
    /// 400: `Sec-WebSocket-Key` is missing, repeated, or not 16 bytes in base64.
    #[error("Sec-WebSocket-Key must be one value of 16 bytes in base64")]
    Key,
    /// 400: `Sec-WebSocket-Protocol` is not a list of names.
    #[error("Sec-WebSocket-Protocol is malformed")]
    Protocol,
    /// 400: `Sec-WebSocket-Extensions` is not a list of extensions.
    #[error("Sec-WebSocket-Extensions is malformed")]
    Extensions,
}

impl UpgradeError {
    /// The HTTP status to answer with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::NotUpgrade | Self::Version => 426,
            _ => 400,
        }
    }

    /// The headers that this status asks for (RFC 6455 section 4.4, RFC 9110 sections 15.5.6 and
    /// 15.5.22), names in lower case.
    #[must_use]
    pub const fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("allow", "GET")],
            Self::NotUpgrade | Self::Version => &[
                ("upgrade", "websocket"),
                ("connection", "Upgrade"),
                ("sec-websocket-version", VERSION),
            ],
            _ => &[],
        }
    }
}

/// What the headers of a request say, in whatever order they come.
#[derive(Default)]
struct Fields<'a> {
    upgrade: bool,
    connection: bool,
    body: bool,
    hosts: usize,
    keys: Vec<&'a str>,
    versions: Vec<&'a str>,
    protocols: Vec<&'a str>,
    deflate: Option<Deflate>,
}

impl<'a> Fields<'a> {
    fn collect(
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, UpgradeError> {
        let mut fields = Self::default();
        for (name, value) in headers {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            let text = || header_text(value).map(str::trim);
            if is("host") {
                fields.hosts += 1;
            } else if is("upgrade") {
                fields.upgrade |= text().is_some_and(|value| has_element(value, "websocket"));
            } else if is("connection") {
                fields.connection |= text().is_some_and(|value| has_element(value, "upgrade"));
            } else if is("transfer-encoding") {
                fields.body = true;
            } else if is("content-length") {
                fields.body |= text() != Some("0");
            } else if is("sec-websocket-key") {
                fields.keys.push(text().ok_or(UpgradeError::Key)?);
            } else if is("sec-websocket-version") {
                fields.versions.push(text().ok_or(UpgradeError::Version)?);
            } else if is("sec-websocket-protocol") {
                fields.add_protocols(text().ok_or(UpgradeError::Protocol)?)?;
            } else if is("sec-websocket-extensions") {
                fields.add_extensions(text().ok_or(UpgradeError::Extensions)?)?;
            }
        }
        Ok(fields)
    }

    fn add_protocols(&mut self, value: &'a str) -> Result<(), UpgradeError> {
        for name in elements(value) {
            if !is_protocol(name) {
                return Err(UpgradeError::Protocol);
            }
            self.protocols.push(name);
        }
        Ok(())
    }

    /// The header may be divided among several lines (RFC 6455 section 9.1).
    fn add_extensions(&mut self, value: &str) -> Result<(), UpgradeError> {
        let offer = choose_offer(value).map_err(|_| UpgradeError::Extensions)?;
        self.deflate = self.deflate.or(offer);
        Ok(())
    }

    fn check_version(&self) -> Result<(), UpgradeError> {
        match *self.versions.as_slice() {
            [VERSION] => Ok(()),
            [] | [_] => Err(UpgradeError::Version),
            _ => Err(UpgradeError::VersionRepeated),
        }
    }
}

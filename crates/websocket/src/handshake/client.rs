//! A client's side of the handshake (RFC 6455 section 4.1).

use base64::Engine as _;

use super::extensions::{Deflate, OFFER, judge_answer};
use super::head::{HeadError, ResponseHead};
use super::{BASE64, VERSION, accept_value, has_element, header_text, is_protocol, write_head};

/// A request for a WebSocket, and the measure of its answer.
///
/// ```
/// use websocket::handshake::ClientHandshake;
///
/// let handshake = ClientHandshake::new([7; 16]).protocol("tidings.v1.json").deflate();
/// let mut request = Vec::new();
/// handshake.write_request(&mut request, "localhost:8080", "/v1/ws", [])?;
/// assert!(request.starts_with(b"GET /v1/ws HTTP/1.1\r\nhost: localhost:8080\r\n"));
/// # Ok::<(), websocket::handshake::HeadError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    key: String,
    protocols: Vec<String>,
    deflate: bool,
}

/// What client and server agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// One of the subprotocols that were offered; `None` if the server chose none.
    pub protocol: Option<String>,
    /// Compression, if it was offered and accepted: for the decoder, and for writing.
    pub deflate: Option<Deflate>,
}

impl ClientHandshake {
    /// A request without subprotocols or compression; `nonce` must be fresh and random.
    #[must_use]
    pub fn new(nonce: [u8; 16]) -> Self {
        Self { key: BASE64.encode(nonce), protocols: Vec::new(), deflate: false }
    }

    /// Offers another subprotocol, less liked than those before.
    #[must_use]
    pub fn protocol(mut self, name: impl Into<String>) -> Self {
        self.protocols.push(name.into());
        self
    }

    /// Offers permessage-deflate.
    #[must_use]
    pub const fn deflate(mut self) -> Self {
        self.deflate = true;
        self
    }

    /// The headers of the request, names in lower case, for an HTTP library to send with `Host`.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("upgrade", "websocket".to_owned()),
            ("connection", "Upgrade".to_owned()),
            ("sec-websocket-version", VERSION.to_owned()),
            ("sec-websocket-key", self.key.clone()),
        ];
        if !self.protocols.is_empty() {
            headers.push(("sec-websocket-protocol", self.protocols.join(", ")));
        }
        if self.deflate {
            headers.push(("sec-websocket-extensions", OFFER.to_owned()));
        }
        headers
    }

    /// Appends the request as it goes over an HTTP/1.1 connection. `host` is the authority (with
    /// the port where it is not the scheme's), `target` the path and query, `more` further
    /// headers.
    ///
    /// # Errors
    ///
    /// [`HeadError::Malformed`] where a part has characters that it must not have: nothing is
    /// written then.
    pub fn write_request<'a>(
        &self,
        out: &mut Vec<u8>,
        host: &str,
        target: &str,
        more: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), HeadError> {
        let more: Vec<(&str, &str)> = more.into_iter().collect();
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let proper = visible(host)
            && visible(target)
            && self.protocols.iter().all(|name| is_protocol(name))
            && more.iter().all(|(name, value)| {
                visible(name) && !name.contains(':') && header_text(value.as_bytes()).is_some()
            });
        if !proper {
            return Err(HeadError::Malformed);
        }
        let own = self.headers();
        let own = own.iter().map(|(name, value)| (*name, value.as_str()));
        let headers = [("host", host)].into_iter().chain(own).chain(more);
        write_head(out, &format!("GET {target} HTTP/1.1"), headers);
        Ok(())
    }

    /// Judges an answer that begins `bytes`; `None` while it is not complete, else what was agreed
    /// and how many bytes the answer took. The caller bounds how long an answer may become.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify), and where this is no HTTP/1.1.
    pub fn read_answer(&self, bytes: &[u8]) -> Result<Option<(Agreed, usize)>, AnswerError> {
        let Some((head, used)) = ResponseHead::decode(bytes)? else {
            return Ok(None);
        };
        Ok(Some((self.verify(head.status, head.headers)?, used)))
    }

    /// Judges an answer by its status and headers.
    ///
    /// # Errors
    ///
    /// [`AnswerError`]: the connection is not a WebSocket.
    pub fn verify<'a>(
        &self,
        status: u16,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Agreed, AnswerError> {
        if status != 101 {
            return Err(AnswerError::Status(status));
        }
        let (mut upgrade, mut connection) = (false, false);
        let (mut accept, mut protocol, mut extensions) = (None, None, None);
        for (name, value) in headers {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            let text = || header_text(value).map(str::trim);
            if is("upgrade") {
                upgrade |= text().is_some_and(|value| has_element(value, "websocket"));
            } else if is("connection") {
                connection |= text().is_some_and(|value| has_element(value, "upgrade"));
            } else if is("sec-websocket-accept") {
                set_once(&mut accept, text()).ok_or(AnswerError::Accept)?;
            } else if is("sec-websocket-protocol") {
                set_once(&mut protocol, text()).ok_or(AnswerError::Protocol)?;
            } else if is("sec-websocket-extensions") {
                set_once(&mut extensions, text()).ok_or(AnswerError::Extensions)?;
            }
        }
        if !upgrade || !connection {
            return Err(AnswerError::NotUpgrade);
        }
        if accept != Some(accept_value(&self.key).as_str()) {
            return Err(AnswerError::Accept);
        }
        Ok(Agreed {
            protocol: self.judge_protocol(protocol)?,
            deflate: self.judge_extensions(extensions)?,
        })
    }

    fn judge_protocol(&self, answered: Option<&str>) -> Result<Option<String>, AnswerError> {
        let Some(answered) = answered else {
            return Ok(None);
        };
        let offered = self.protocols.iter().find(|offered| *offered == answered);
        offered.cloned().map(Some).ok_or(AnswerError::Protocol)
    }

    fn judge_extensions(&self, answered: Option<&str>) -> Result<Option<Deflate>, AnswerError> {
        match answered {
            None => Ok(None),
            Some(value) if self.deflate => match judge_answer(value) {
                Ok(Some(deflate)) => Ok(Some(deflate)),
                _ => Err(AnswerError::Extensions),
            },
            Some(_) => Err(AnswerError::Extensions),
        }
    }
}

/// Why an answer does not open a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The server answered something else: a refusal, a redirect.
    #[error("the server answered with status {0} instead of 101")]
    Status(u16),
    /// 101 without `Upgrade: websocket` and `Connection: Upgrade`.
    #[error("the server's answer lacks the Upgrade and Connection headers")]
    NotUpgrade,
    /// `Sec-WebSocket-Accept` does not belong to the key.
    #[error("Sec-WebSocket-Accept does not fit the key")]
    Accept,
    /// A subprotocol that was not offered.
    #[error("the server chose a subprotocol that was not offered")]
    Protocol,
    /// An extension, or parameters of one, that do not fit the offer.
    #[error("the server's extensions do not fit the offer")]
    Extensions,
    /// No HTTP/1.1.
    #[error(transparent)]
    Head(#[from] HeadError),
}

/// None of these headers may come twice.
fn set_once<'a>(slot: &mut Option<&'a str>, value: Option<&'a str>) -> Option<()> {
    if slot.is_some() {
        return None;
    }
    *slot = Some(value?);
    Some(())
}

//! Heads of HTTP/1.1 messages in byte slices, for programs without an HTTP library: the client,
//! the load generator, the tests.

/// The most header lines that a head may have.
pub const HEADERS_MAX: usize = 64;

/// Bytes that are no head of an HTTP/1.1 message, or one with more than [`HEADERS_MAX`] headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The head, or a part that should become one, is malformed.
    #[error("malformed HTTP head")]
    Malformed,
    /// Too many header lines.
    #[error("more than {HEADERS_MAX} header lines")]
    TooManyHeaders,
}

/// The head of a request.
#[derive(Clone, Debug)]
pub struct RequestHead<'a> {
    /// As sent.
    pub method: &'a str,
    /// Path and query, as sent.
    pub target: &'a str,
    /// The `x` of `HTTP/1.x`.
    pub minor_version: u8,
    /// Names and values, as sent.
    pub headers: Vec<(&'a str, &'a [u8])>,
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct ResponseHead<'a> {
    /// As sent.
    pub status: u16,
    /// Names and values, as sent.
    pub headers: Vec<(&'a str, &'a [u8])>,
}

impl<'a> RequestHead<'a> {
    /// Reads the head that begins `bytes`, and says how long it is; `None` while it is not
    /// complete. The caller bounds how long it may become.
    ///
    /// # Errors
    ///
    /// Where `bytes` cannot begin a request.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let Some(used) = complete(request.parse(bytes), bytes)? else {
            return Ok(None);
        };
        let (Some(method), Some(target), Some(minor_version)) =
            (request.method, request.path, request.version)
        else {
            return Err(HeadError::Malformed);
        };
        let headers = pairs(request.headers);
        Ok(Some((Self { method, target, minor_version, headers }, used)))
    }
}

impl<'a> ResponseHead<'a> {
    /// Reads the head that begins `bytes`, and says how long it is; `None` while it is not
    /// complete. The caller bounds how long it may become.
    ///
    /// # Errors
    ///
    /// Where `bytes` cannot begin a response.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let Some(used) = complete(response.parse(bytes), bytes)? else {
            return Ok(None);
        };
        let status = response.code.ok_or(HeadError::Malformed)?;
        Ok(Some((Self { status, headers: pairs(response.headers) }, used)))
    }
}

/// Appends a start line, headers and the empty line. The parts must be free of line breaks.
pub fn write_head<'name, 'value>(
    out: &mut Vec<u8>,
    start_line: &str,
    headers: impl IntoIterator<Item = (&'name str, &'value str)>,
) {
    out.extend_from_slice(start_line.as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn complete(result: httparse::Result<usize>, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
    match result {
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(used)) => {
            // The parser takes a lone LF for a line's end, on which others do not agree: two
            // readers of one stream must not see two different requests.
            let head = bytes.get(..used).unwrap_or_default();
            let lone = head.iter().enumerate().any(|(at, byte)| {
                *byte == b'\n' && at.checked_sub(1).and_then(|at| head.get(at)) != Some(&b'\r')
            });
            if lone { Err(HeadError::Malformed) } else { Ok(Some(used)) }
        }
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooManyHeaders),
        Err(_) => Err(HeadError::Malformed),
    }
}

fn pairs<'a>(headers: &[httparse::Header<'a>]) -> Vec<(&'a str, &'a [u8])> {
    headers.iter().map(|header| (header.name, header.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_complete() {
        let bytes = b"GET /a?b HTTP/1.1\r\nHost: c\r\n\r\nrest";
        for cut in 0..bytes.len() - 4 {
            assert!(RequestHead::decode(&bytes[..cut]).unwrap().is_none());
        }
        let (head, used) = RequestHead::decode(bytes).unwrap().unwrap();
        assert_eq!((head.method, head.target, head.minor_version), ("GET", "/a?b", 1));
        assert_eq!(head.headers, [("Host", &b"c"[..])]);
        assert_eq!(&bytes[used..], b"rest");
    }

    #[test]
    fn what_readers_could_disagree_on_is_refused() {
        for bytes in [
            &b"GET / HTTP/1.1\nHost: c\n\n"[..],
            b"GET / HTTP/1.1\r\nHost: c\r\n d\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : c\r\n\r\n",
            b"GET / HTTP/2.7\r\n\r\n",
            b"\x16\x03\x01\x02\x00",
        ] {
            assert_eq!(RequestHead::decode(bytes).unwrap_err(), HeadError::Malformed);
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEADERS_MAX + 1));
        let refused = RequestHead::decode(many.as_bytes()).unwrap_err();
        assert_eq!(refused, HeadError::TooManyHeaders);
    }
}

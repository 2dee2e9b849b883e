use std::sync::OnceLock;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use protocol::dialects::native::ERROR_MESSAGE_BYTES_MAX;
use protocol::{Error, ErrorCode};
use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::carry::{Asked, checked, too_large};
use super::failure::{Failure, Kind};

/// What an error's body may have at most, in bytes: a page of a proxy is not read to its end.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// Asks backends over HTTP. Connections are kept and used again.
#[derive(Default)]
pub(super) struct Http {
    client: OnceLock<Option<Client>>,
}

impl Http {
    /// Posts a call; the body of a success is its result.
    pub(super) async fn post(
        &self,
        url: &str,
        asked: &Asked,
        bytes_max: usize,
    ) -> Result<Bytes, Failure> {
        let Some(client) = self.client.get_or_init(client) else {
            let message = "requests over HTTP cannot be sent from here";
            return Err(Failure::new(Kind::Undelivered, ErrorCode::Internal, message));
        };
        let request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", &asked.id)
            .body(asked.to_json());
        let answer = request.send().await.map_err(|error| unsent(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let most = if status.is_success() { bytes_max } else { ERROR_BYTES_MAX };
        let body = body(answer, most).await?;
        match body {
            Some(body) if status.is_success() && body.is_empty() => Ok(Bytes::from_static(b"null")),
            Some(body) if status.is_success() => checked(body),
            None if status.is_success() => Err(too_large(bytes_max)),
            body => Err(refused(status, &headers, body.as_deref().unwrap_or_default())),
        }
    }
}

fn client() -> Option<Client> {
    // A redirect would be another request than the one that was configured, and so would be one
    // through a proxy that the environment happens to name.
    let builder = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    let client = builder.user_agent(concat!("tidings/", env!("CARGO_PKG_VERSION"))).build();
    client.inspect_err(|error| tracing::error!(%error, "no client for HTTP can be made")).ok()
}

/// Why there is no answer. Texts of the library may hold the URL, and that a password.
fn unsent(error: &reqwest::Error) -> Failure {
    if error.is_connect() || error.is_builder() {
        let message = "the backend cannot be reached; nothing was done";
        return Failure::new(Kind::Undelivered, ErrorCode::NoHandler, message);
    }
    went_away()
}

fn went_away() -> Failure {
    let message = "the backend went away before it answered; whether the command was carried out \
                   is unknown";
    Failure::new(Kind::Broken, ErrorCode::NoHandler, message)
}

/// The body of an answer; none where it has more bytes.
async fn body(mut answer: Response, bytes_max: usize) -> Result<Option<Bytes>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| went_away())? {
        if body.len() + chunk.len() > bytes_max {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.into()))
}

/// What a status other than success means. An error that the backend spelled is passed on.
fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let wait_ms = retry_after_ms(headers);
    let told = error_in(body);
    let kind = match (&told, status) {
        (Some(error), _) if error.code == ErrorCode::CommandFailed => Kind::Answered,
        _ if wait_ms.is_some() || !status.is_server_error() => Kind::Answered,
        _ => Kind::Broken,
    };
    let mut error = told.unwrap_or_else(|| {
        let code = match status {
            StatusCode::TOO_MANY_REQUESTS => ErrorCode::RateLimited,
            StatusCode::SERVICE_UNAVAILABLE => ErrorCode::Overloaded,
            StatusCode::GATEWAY_TIMEOUT => ErrorCode::Timeout,
            StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge,
            _ => ErrorCode::CommandFailed,
        };
        Error::new(code, format!("the backend answered with the status {}", status.as_u16()))
    });
    error.retry_after_ms = error.retry_after_ms.or(wait_ms);
    Failure { error, kind }
}

/// `Retry-After`, which is seconds or a date (RFC 9110 section 10.2.3).
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let wait = at.duration_since(SystemTime::now()).unwrap_or_default();
    u64::try_from(wait.as_millis()).ok()
}

/// The error of `{"error":{…}}`, where the text is one.
pub(super) fn error_in(text: &[u8]) -> Option<Error> {
    #[derive(Deserialize)]
    struct Told<'a> {
        #[serde(borrow)]
        error: ToldError<'a>,
    }
    #[derive(Deserialize)]
    struct ToldError<'a> {
        code: String,
        #[serde(default)]
        message: String,
        retry_after_ms: Option<u64>,
        #[serde(borrow)]
        details: Option<&'a RawValue>,
    }
    protocol::json::check_depth(text).ok()?;
    let Told { mut error } = serde_json::from_slice(text).ok()?;
    let end = error.message.floor_char_boundary(ERROR_MESSAGE_BYTES_MAX);
    error.message.truncate(end);
    let details = error.details.map(RawValue::get);
    Some(Error::told(&error.code, &error.message, error.retry_after_ms, details))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with(retry_after: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(retry_after))])
    }

    #[test]
    fn errors_of_backends_are_passed_on() {
        let body =
            br#"{"error":{"code":"invalid_data","message":"no name","details":{"at":"/name"}}}"#;
        let failure = refused(StatusCode::UNPROCESSABLE_ENTITY, &HeaderMap::new(), body);
        let error = Error::new(ErrorCode::InvalidData, "no name");
        let expected = Failure::answered(error.with_details(r#"{"at":"/name"}"#));
        assert_eq!(failure, expected);
        let body = br#"{"error":{"code":"BLOB_LOCKED","message":"later","retry_after_ms":9}}"#;
        let failure = refused(StatusCode::CONFLICT, &HeaderMap::new(), body);
        let error = Error::new(ErrorCode::CommandFailed, "later").retry_after(9);
        assert_eq!(failure, Failure::answered(error.with_details(r#"{"code":"BLOB_LOCKED"}"#)));
    }

    #[test]
    fn other_bodies_are_known_by_their_status() {
        for (status, headers, code, kind, retry_after_ms) in [
            (500, HeaderMap::new(), ErrorCode::CommandFailed, Kind::Broken, None),
            (404, HeaderMap::new(), ErrorCode::CommandFailed, Kind::Answered, None),
            (302, HeaderMap::new(), ErrorCode::CommandFailed, Kind::Answered, None),
            (503, HeaderMap::new(), ErrorCode::Overloaded, Kind::Broken, None),
            (503, with("2"), ErrorCode::Overloaded, Kind::Answered, Some(2_000)),
            (429, with("0"), ErrorCode::RateLimited, Kind::Answered, Some(0)),
            (504, HeaderMap::new(), ErrorCode::Timeout, Kind::Broken, None),
            (
                429,
                with("Sun, 06 Nov 1994 08:49:37 GMT"),
                ErrorCode::RateLimited,
                Kind::Answered,
                Some(0),
            ),
            (503, with("soon"), ErrorCode::Overloaded, Kind::Broken, None),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            for body in [&b""[..], b"<html>", br#"{"error":"text"}"#, br#"{"detail":"x"}"#] {
                let failure = refused(status, &headers, body);
                let told = (failure.error.code, failure.kind, failure.error.retry_after_ms);
                assert_eq!(told, (code, kind, retry_after_ms), "{status}");
            }
        }
    }

    #[test]
    fn a_long_message_is_cut() {
        let body = format!(r#"{{"error":{{"code":"a","message":"{}"}}}}"#, "ü".repeat(5_000));
        let error = error_in(body.as_bytes()).unwrap();
        assert_eq!(error.message.len(), ERROR_MESSAGE_BYTES_MAX);
    }
}

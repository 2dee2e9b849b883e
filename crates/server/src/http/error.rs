use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use protocol::dialects::native::push_error_object;
use protocol::{Error, ErrorCode};

/// An error as the answer to a request.
pub(crate) struct ApiError(pub(crate) Error);

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Error::new(code, message))
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        response(&self.0, None)
    }
}

/// The error as an answer, with another status than the one that fits its code where given.
pub(crate) fn response(error: &Error, status: Option<StatusCode>) -> Response {
    let mut body = Vec::new();
    push_error_object(error, &mut body);
    let mut response = Response::new(Body::from(body));
    let fitting = StatusCode::from_u16(error.code.http_status());
    *response.status_mut() = status.or(fitting.ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(ms) = error.retry_after_ms {
        // RFC 9110 section 10.2.3 knows whole seconds only.
        headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
    }
    response
}

/// An answer that the router gave by itself, such as to a body that is too large, spelled as
/// errors are here.
pub(crate) fn spelled(answer: Response) -> Response {
    let status = answer.status();
    let is_json =
        answer.headers().get(header::CONTENT_TYPE).is_some_and(|it| it == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let (code, message) = match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            (ErrorCode::TooLarge, "the body is larger than it may be (setting `limits.body_bytes`)")
        }
        StatusCode::NOT_FOUND => (ErrorCode::NotFound, "there is nothing at this path"),
        _ if status.is_client_error() => (ErrorCode::BadRequest, "the request cannot be read"),
        _ => (ErrorCode::Internal, "the request could not be carried out"),
    };
    response(&Error::new(code, message), Some(status))
}

use std::net::SocketAddr;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use protocol::{Error, ErrorCode};

use super::table;
use crate::http::error::{ApiError, response};
use crate::node::Node;

/// Answers what no route of the admin listener serves.
pub(super) async fn admin() -> ApiError {
    nothing()
}

fn nothing() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is nothing at this path")
}

/// Answers what no route of the public listener serves, and says where else it may be had.
pub(super) fn public(node: &Node, listener: SocketAddr, request: &Request) -> Response {
    let path = request.uri().path();
    let config = node.config();
    let is_endpoint = config.endpoints_at(listener).any(|endpoint| endpoint.is_at(path));
    if is_endpoint && !request.headers().contains_key(header::UPGRADE) {
        return upgrade_required();
    }
    if table::admin().iter().any(|route| route.is_at(path)) {
        let message = "this is served by the admin listener (setting `listen.admin`), not here";
        return ApiError::new(ErrorCode::NotFound, message).into_response();
    }
    nothing().into_response()
}

/// RFC 9110 section 15.5.22: the answer names the protocol in `Upgrade`.
fn upgrade_required() -> Response {
    let error = Error::bad_request("this endpoint is for WebSocket clients: it needs an upgrade");
    let mut answer = response(&error, Some(StatusCode::UPGRADE_REQUIRED));
    let headers = answer.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    answer
}

/// Stands in the table for what is answered before the table is asked.
pub(super) async fn unreached() -> ApiError {
    nothing()
}

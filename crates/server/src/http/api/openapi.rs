use axum::response::Response;

/// `GET /v1/openapi.json`.
pub(super) async fn document() -> Response {
    super::json(crate::openapi::document().to_string().into_bytes())
}

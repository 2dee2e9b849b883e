use axum::response::{IntoResponse, Response};
use http::StatusCode;
use protocol::dialects::spelling::incoming;
use protocol::dialects::spelling::object::Object;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What is wrong with a body: each field, and what it must be.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<(String, String)>);

impl Problems {
    /// A body that is no object at all.
    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self(vec![(String::new(), message.into())])
    }

    pub(super) fn add(&mut self, field: &str, message: &str) {
        self.0.push((field.to_owned(), message.to_owned()));
    }

    /// Notes a problem with a field unless `is_right` finds its value to be as it must; a field that
    /// may be left out is right without one.
    pub(super) fn check(
        &mut self,
        field: &str,
        value: Option<&RawValue>,
        (is_needed, message): (bool, &str),
        is_right: impl FnOnce(&RawValue) -> bool,
    ) {
        match value {
            None if is_needed => self.add(field, &format!("is missing; it {message}")),
            Some(value) if !is_right(value) => self.add(field, message),
            _ => {}
        }
    }

    /// What was found to be right, or the problems.
    pub(super) fn unless_any<T>(self, right: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(right) } else { Err(self) }
    }
}

/// The fields of a body.
pub(super) fn fields(body: &[u8]) -> Result<Object<'_>, Problems> {
    let text = std::str::from_utf8(body).map_err(|_| Problems::whole("the body is not UTF-8"))?;
    incoming::object(text).map_err(|why| Problems::whole(why.to_string()))
}

/// Whether a value is a string that says something.
pub(super) fn is_text(value: &RawValue) -> bool {
    incoming::string(value).is_some_and(|text| !text.trim().is_empty())
}

/// The number that a value is.
pub(super) fn number(value: &RawValue) -> Option<f64> {
    serde_json::from_str(value.get()).ok()
}

impl IntoResponse for Problems {
    fn into_response(self) -> Response {
        let details: Vec<Value> = self
            .0
            .iter()
            .map(|(field, message)| json!({ "field": field, "message": message }))
            .collect();
        let body = json!({ "error": "Validation failed", "details": details });
        (StatusCode::BAD_REQUEST, crate::http::systems::json(&body)).into_response()
    }
}

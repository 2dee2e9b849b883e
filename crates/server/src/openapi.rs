use serde_json::{Value, json};

/// The description of the admin API.
pub(crate) fn document() -> Value {
    json!({})
}

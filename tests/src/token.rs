// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

/// The secret of the tests' key.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef-canary";

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token of these texts, whatever they say.
pub fn signed(header: &str, claims: &str, key: &EncodingKey, how: Algorithm) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, how).unwrap();
    format!("{message}.{signature}")
}

/// A token of these claims, signed with the tests' key.
pub fn of_text(claims: &str) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    signed(r#"{"alg":"HS256","typ":"JWT"}"#, claims, &key, Algorithm::HS256)
}

/// The same.
pub fn of(claims: Value) -> String {
    of_text(&claims.to_string())
}

/// A token of a user, good for an hour.
pub fn user(name: &str) -> String {
    with_roles(name, &[])
}

/// A token of a user with roles.
pub fn with_roles(name: &str, roles: &[&str]) -> String {
    of(json!({ "sub": name, "exp": now() + 3_600, "roles": roles }))
}

/// A token of a user's device.
pub fn device(name: &str, device: &str) -> String {
    of(json!({ "sub": name, "exp": now() + 3_600, "device_id": device }))
}

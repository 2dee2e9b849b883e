use jsonwebtoken::{EncodingKey, Header};
use protocol::{Error, ErrorCode};
use serde_json::{Map, Value, json};

use crate::config::Auth;

/// How long a token is good for, where nothing is said, in ms.
pub const TTL_MS_DEFAULT: u64 = 3_600_000;
/// How long a token is good for at most, in ms: a year.
pub const TTL_MS_MAX: u64 = 366 * 24 * 3_600_000;

/// What a token is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRequest {
    /// The user.
    pub user: String,
    /// The user's device.
    pub device: Option<String>,
    /// Roles besides `default`.
    pub roles: Vec<String>,
    /// Groups that the bearer is a member of.
    pub groups: Vec<String>,
    /// For how long it is good, in ms.
    pub ttl_ms: u64,
}

/// A token that was made.
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    /// The token.
    pub token: String,
    /// When it expires, in ms since 1970.
    pub expires_at_ms: u64,
}

/// Makes a token with the first key of the configuration that is a secret, at this time in ms
/// since 1970.
///
/// # Errors
/// `bad_request` where something is no name, `not_found` where no key can sign.
pub fn mint(auth: &Auth, request: &TokenRequest, wall_ms: u64) -> Result<Minted, Error> {
    let key = auth.keys.iter().find_map(|key| Some((key, key.secret_env.as_ref()?)));
    let Some((key, secret)) = key else {
        let message = "no key of `[auth]` can sign tokens here: one with `secret_env` can";
        return Err(Error::new(ErrorCode::NotFound, message));
    };
    let names = [&request.user].into_iter().chain(&request.device);
    let mut names = names.chain(&request.roles).chain(&request.groups);
    if names.any(|name| !protocol::dialects::native::is_device(name)) {
        let message =
            "user, device, roles and groups must be 1 to 255 bytes without control characters";
        return Err(Error::bad_request(message));
    }
    let id = uuid::Uuid::new_v4().simple().to_string();
    let expires_at_s = (wall_ms + request.ttl_ms.min(TTL_MS_MAX)).div_ceil(1_000);
    let mut claims = Map::new();
    claims.insert("sub".into(), json!(request.user));
    claims.insert("iat".into(), json!(wall_ms / 1_000));
    claims.insert("exp".into(), json!(expires_at_s));
    claims.insert("jti".into(), json!(id));
    let mut add = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
    if let Some(device) = &request.device {
        add("device_id", json!(device));
    }
    for (name, list) in [("roles", &request.roles), ("groups", &request.groups)] {
        if !list.is_empty() {
            add(name, json!(list));
        }
    }
    for (name, wanted) in [("iss", &auth.issuers), ("aud", &auth.audiences)] {
        if let Some(first) = wanted.first() {
            add(name, json!(first));
        }
    }
    let header = Header { kid: Some(key.id.clone()), ..Header::new(key.algorithm.for_library()) };
    let signing = EncodingKey::from_secret(secret.reveal().as_bytes());
    let failed = |_| Error::new(ErrorCode::Internal, "the token could not be signed");
    let token = jsonwebtoken::encode(&header, &claims, &signing).map_err(failed)?;
    Ok(Minted { token, expires_at_ms: expires_at_s * 1_000 })
}

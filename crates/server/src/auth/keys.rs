use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use protocol::Error;

use super::claims::Members;
use super::unauthorized;
use crate::config::{Algorithm, Auth};

/// Longest token, in bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 8 << 10;
/// A secret shorter than its hash can be guessed sooner than the hash (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// The keys of the configuration.
pub(super) struct Keys(Vec<Key>);

/// A key with the one algorithm that it is for.
struct Key {
    id: String,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Keys {
    pub(super) fn new(auth: &Auth) -> Self {
        for key in &auth.keys {
            let is_short = |secret: &str| secret.len() < SECRET_BYTES_MIN;
            if key.secret_env.as_ref().is_some_and(|secret| is_short(secret.reveal())) {
                tracing::warn!(key = key.id, "its secret has fewer than {SECRET_BYTES_MIN} bytes");
            }
        }
        let keys = auth.keys.iter().filter_map(|key| {
            // What is wrong was refused with the configuration.
            let decoding = key.decoding_key().ok()?;
            Some(Key { id: key.id.clone(), algorithm: key.algorithm, key: decoding })
        });
        Self(keys.collect())
    }

    /// The claims of a token in the compact form (RFC 7515, section 7.1), once its signature was
    /// found right: JSON text.
    ///
    /// The token only names its key; with which algorithm that is used is a matter of the
    /// configuration alone.
    pub(super) fn verified(&self, token: &str) -> Result<Vec<u8>, Error> {
        if self.0.is_empty() {
            return Err(unauthorized("the token is not known here"));
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err(unauthorized("the token is too long"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(unauthorized("this is no token: it must have three parts"));
        };
        let (algorithm, kid) = read_header(header)?;
        let signed = token.get(..header.len() + 1 + claims.len()).unwrap_or_default();
        for key in self.candidates(&algorithm, kid.as_deref())? {
            let algorithm = key.algorithm.for_library();
            let verified =
                jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key.key, algorithm);
            if verified.unwrap_or(false) {
                return decoded(claims).ok_or_else(|| unauthorized("the token cannot be read"));
            }
        }
        Err(unauthorized("the token's signature is not right"))
    }

    /// The keys that a token may be signed with, of which there are few.
    fn candidates(&self, algorithm: &str, kid: Option<&str>) -> Result<Vec<&Key>, Error> {
        let fits = |key: &&Key| key.algorithm.as_str() == algorithm;
        let found: Vec<&Key> = match kid {
            Some(kid) => {
                let key = self.0.iter().find(|key| key.id == kid);
                let key =
                    key.ok_or_else(|| unauthorized("the token names a key that is not known"))?;
                Some(key).into_iter().filter(fits).collect()
            }
            None => self.0.iter().filter(fits).collect(),
        };
        if found.is_empty() {
            return Err(unauthorized("the token is signed in a way that is not accepted"));
        }
        Ok(found)
    }
}

fn decoded(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

/// Algorithm and key of a header (RFC 7515, section 4); whatever else it brings, such as a key of
/// its own, is not looked at.
fn read_header(part: &str) -> Result<(String, Option<String>), Error> {
    let broken = || unauthorized("this is no token: its header cannot be read");
    let header = Members::read(&decoded(part).ok_or_else(broken)?).ok_or_else(broken)?;
    if header.get("crit").is_some() {
        return Err(unauthorized("the token wants something understood that is not"));
    }
    let algorithm = header.get("alg").and_then(|value| value.as_str()).ok_or_else(broken)?;
    if algorithm.eq_ignore_ascii_case("none") {
        return Err(unauthorized("a token that is not signed is worth nothing"));
    }
    let kid = match header.get("kid") {
        Some(kid) => Some(kid.as_str().ok_or_else(broken)?.to_owned()),
        None => None,
    };
    Ok((algorithm.to_owned(), kid))
}

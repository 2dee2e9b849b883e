//! Who a client is, and what it may do: tokens are checked here and nowhere else, and the engine
//! only learns what came of it. Modules in the order in which a token passes through them:

/// Keys, and which of them a token is checked with.
mod keys;
/// What a token says.
mod claims;
/// Tokens that do not change.
mod shared;
/// A backend that knows its users.
mod backend;
/// Tokens that are not believed any more.
mod revoked;
/// What roles may do.
mod roles;
/// Tokens are made.
pub mod mint;

use std::sync::Arc;

use protocol::{Error, ErrorCode};
use sha2::{Digest as _, Sha256};

pub(crate) use backend::{Asking, Backend};
pub(crate) use keys::TOKEN_BYTES_MAX;
pub(crate) use revoked::{Revoked, Whose};
pub(crate) use roles::{Bounds, Standing};

use crate::config::Auth;
use claims::Claims;
use keys::Keys;
use roles::Roles;
use shared::SharedTokens;

/// Who a client is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Principal {
    /// It showed something that was believed.
    pub(crate) is_known: bool,
    /// The user; none for who is anonymous, and for tokens that are nobody's.
    pub(crate) user: Option<Arc<str>>,
    /// The user's device.
    pub(crate) device: Option<Arc<str>>,
    /// Roles besides `default`.
    pub(crate) roles: Vec<String>,
    /// Groups of which it is a member.
    pub(crate) groups: Vec<Arc<str>>,
    /// When it is not believed any more, in ms since 1970.
    pub(crate) expires_at_ms: Option<u64>,
    /// Tells the token from all others, where it was given to nobody but this user.
    pub(crate) mark: Option<Mark>,
    /// The token's own id.
    pub(crate) token_id: Option<Arc<str>>,
    /// When the token was issued, in ms since 1970.
    pub(crate) issued_at_ms: Option<u64>,
}

/// What stands for a token where it must not be kept itself: half of its SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark(pub(crate) u128);

impl Mark {
    fn of(token: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(token).into();
        Self(digest.into_iter().take(16).fold(0, |mark, byte| mark << 8 | u128::from(byte)))
    }
}

/// What `[auth]` says, ready to be asked.
pub(crate) struct Authority {
    keys: Keys,
    shared: SharedTokens,
    rules: claims::Rules,
    roles: Roles,
    /// Where what is not known here is asked.
    pub(crate) backend: Option<Arc<Backend>>,
}

impl Authority {
    pub(crate) fn new(auth: &Auth) -> Self {
        let rules = claims::Rules {
            issuers: auth.issuers.clone(),
            audiences: auth.audiences.clone(),
            leeway_ms: auth.leeway.as_ms(),
        };
        let backend = auth.http.as_ref().and_then(|url| Backend::new(url, auth));
        Self {
            keys: Keys::new(auth),
            shared: SharedTokens::new(auth),
            rules,
            roles: Roles::new(auth),
            backend: backend.map(Arc::new),
        }
    }

    /// Whose token it is, at this time in ms since 1970.
    ///
    /// # Errors
    /// `unauthorized` or `token_expired`, in words that hold nothing of the token.
    pub(crate) fn check(
        &self,
        token: &str,
        wall_ms: u64,
        revoked: &Revoked,
    ) -> Result<Principal, Error> {
        if let Some(principal) = self.shared.find(token) {
            return Ok(principal);
        }
        let text = self.keys.verified(token)?;
        let principal = Claims::read(&text)?.check(&self.rules, wall_ms)?;
        revoked.check(&principal)?;
        Ok(Principal { mark: Some(Mark::of(token)), ..principal })
    }

    /// Whether a key of ours signed a token, which may be over or revoked: then no backend is asked
    /// for another opinion.
    pub(crate) fn has_signed(&self, token: &str) -> bool {
        self.keys.verified(token).is_ok()
    }

    /// What a client may do, at an endpoint that gives `allowed` to all of its clients.
    ///
    /// # Errors
    /// `unauthorized` where the user's name cannot stand in a pattern of its roles.
    pub(crate) fn standing(&self, principal: &Principal) -> Result<Standing, Error> {
        self.roles.standing(principal)
    }
}

pub(super) fn unauthorized(message: &str) -> Error {
    Error::new(ErrorCode::Unauthorized, message)
}

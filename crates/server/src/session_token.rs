use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::SessionTokens;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use protocol::ClientId;
use sha2::Sha256;

use crate::node::Node;

/// Bytes of a client's id.
const ID_BYTES: usize = 16;
/// Bytes of the truncated code behind it.
const CODE_BYTES: usize = 16;

/// Seals client ids with HMAC-SHA-256 (RFC 2104), cut to 128 bits, so that a client can show on a
/// later connection which id it had.
#[derive(Clone)]
pub(crate) struct SealedIds {
    mac: Hmac<Sha256>,
}

impl SealedIds {
    /// Seals with `key`; nodes of one cluster share it.
    pub(crate) fn new(key: &[u8; 64]) -> Self {
        Self { mac: KeyInit::new(key.into()) }
    }

    fn code(&self, id: &[u8]) -> Vec<u8> {
        let mut mac = self.mac.clone();
        mac.update(id);
        let mut code = mac.finalize().into_bytes().to_vec();
        code.truncate(CODE_BYTES);
        code
    }

    fn seal(&self, client: ClientId) -> String {
        let mut token = client.0.to_be_bytes().to_vec();
        token.extend(self.code(&client.0.to_be_bytes()));
        URL_SAFE_NO_PAD.encode(token)
    }

    fn open(&self, token: &str) -> Option<ClientId> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (id, code) = bytes.split_at_checked(ID_BYTES)?;
        let mut mac = self.mac.clone();
        mac.update(id);
        // In constant time.
        let is_ours = code.len() == CODE_BYTES && mac.verify_truncated_left(code).is_ok();
        is_ours.then(|| id.try_into().ok().map(u128::from_be_bytes).map(ClientId)).flatten()
    }
}

/// What clients that come back to a node get back.
pub(crate) struct Returning(pub(crate) Arc<Node>);

impl SessionTokens for Returning {
    fn seal(&self, client: ClientId) -> String {
        self.0.session_ids.seal(client)
    }

    fn open(&self, token: &str) -> Option<ClientId> {
        self.0.session_ids.open(token)
    }

    fn groups(&self, client: ClientId, user: Option<&str>) -> Vec<Arc<str>> {
        self.0.memberships.come_back(client, user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_here_is_opened() {
        let (ours, theirs) = (SealedIds::new(&[1; 64]), SealedIds::new(&[2; 64]));
        let id = ClientId(7);
        assert_eq!(ours.open(&ours.seal(id)), Some(id));
        assert_eq!(ours.open(&theirs.seal(id)), None);
        assert_eq!(ours.open(""), None);
        assert_eq!(ours.open(&"A".repeat(22)), None);
        assert_eq!(ours.open(&"A".repeat(43)), None);
    }
}

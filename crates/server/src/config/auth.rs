use std::collections::BTreeMap;
use std::path::PathBuf;

use protocol::Pattern;

use super::endpoint::ClientLimits;
use super::secret::SecretVariable;
use super::setting::settings;
use super::units::Url;
use super::words::words;

settings! {
    /// Which tokens are believed, and what their roles may do.
    section Auth {
        /// Keys that sign tokens.
        keys: Vec<AuthKey> = Vec::new() => Live;
        /// Where keys are published as a JSON Web Key Set.
        jwks: Option<Url>, unset "no key set" => Live;
        /// A backend that is asked who a request belongs to, with the request's cookies and headers.
        http: Option<Url>, unset "no backend is asked" => Live;
        /// What the bearers of each role may do. `anonymous` (no token) and `default` (any token)
        /// always exist; without `[auth]`, `anonymous` may subscribe to `>` and nothing else.
        roles: BTreeMap<String, Role> = BTreeMap::new() => Live;
    }

    /// A key that signs tokens, by which algorithm.
    item AuthKey by id {
        /// Its name: the `kid` of tokens.
        id: String => Live;
        /// The one algorithm that its tokens may use.
        algorithm: Algorithm => Live;
        /// The environment variable that holds the secret, for HS algorithms.
        secret_env: Option<SecretVariable>, unset "no secret" => Live;
        /// The PEM file of the public key, for the other algorithms.
        file: Option<PathBuf>, unset "no file" => Live;
    }

    /// What the bearers of a role may do.
    section Role {
        /// Patterns of topics that they may subscribe to.
        subscribe: Vec<Pattern> = Vec::new() => Live;
        /// Patterns of topics that they may publish to.
        publish: Vec<Pattern> = Vec::new() => Live;
        /// Patterns of commands that they may send.
        command: Vec<Pattern> = Vec::new() => Live;
        /// Patterns of commands of others that they may handle.
        handle: Vec<Pattern> = Vec::new() => Live;
        /// Bounds that hold for them instead of their endpoint's.
        limits: Option<ClientLimits>, unset "those of the endpoint" => Live;
    }
}

words! {
    /// How a token is signed.
    Algorithm, "an algorithm" {
        /// HMAC with SHA-256.
        Hs256 "HS256",
        /// HMAC with SHA-384.
        Hs384 "HS384",
        /// HMAC with SHA-512.
        Hs512 "HS512",
        /// RSA PKCS#1 with SHA-256.
        Rs256 "RS256",
        /// RSA PKCS#1 with SHA-384.
        Rs384 "RS384",
        /// RSA PKCS#1 with SHA-512.
        Rs512 "RS512",
        /// ECDSA on P-256 with SHA-256.
        Es256 "ES256",
        /// ECDSA on P-384 with SHA-384.
        Es384 "ES384",
        /// Ed25519.
        EdDsa "EdDSA",
    }
}

impl Auth {
    /// Whether tokens can be checked at all.
    pub fn checks_tokens(&self) -> bool {
        !self.keys.is_empty() || self.jwks.is_some() || self.http.is_some()
    }

    /// Adds the roles that always exist.
    pub(super) fn complete(&mut self, everything: Pattern) {
        let untouched = *self == Self::default();
        let anonymous = self.roles.entry("anonymous".to_owned()).or_default();
        if untouched {
            anonymous.subscribe = vec![everything];
        }
        self.roles.entry("default".to_owned()).or_default();
    }
}

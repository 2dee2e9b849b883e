use protocol::Pattern;
use std::collections::BTreeMap;

use super::endpoint::ClientLimits;
use super::pem::PemFile;
use super::secret::SecretVariable;
use super::setting::settings;
use super::units::{Timespan, Url};
use super::words::words;

settings! {
    /// Which tokens are believed, and what their roles may do.
    section Auth {
        /// Keys that sign tokens.
        keys: Vec<AuthKey> = Vec::new() => Live;
        /// Tokens that do not change. Several clients may share one, so that alone it says of
        /// nobody who they are.
        tokens: Vec<AuthToken> = Vec::new() => Live;
        /// Values of `iss` of which a token must have one; with none, it is not looked at.
        issuers: Vec<String> = Vec::new() => Live;
        /// Values of `aud` of which a token must have one; with none, it is not looked at.
        audiences: Vec<String> = Vec::new() => Live;
        /// How far the clock of who signs tokens may be ahead: a token whose `nbf` is so little in
        /// the future is taken from a client that connects.
        leeway: Timespan = Timespan::from_secs(5),
            within Timespan::from_ms(0)..=Timespan::from_secs(30) => Live;
        /// Where keys are published as a JSON Web Key Set.
        jwks: Option<Url>, unset "no key set" => Live;
        /// A backend that is asked who a request belongs to, with the request's cookies and headers.
        http: Option<Url>, unset "no backend is asked" => Live;
        /// How long that backend may take.
        http_timeout: Timespan = Timespan::from_secs(2),
            within Timespan::from_ms(10)..=Timespan::from_secs(60) => Live;
        /// How long what it said of a request is believed of the next one with the same
        /// credentials.
        http_cache: Timespan = Timespan::from_secs(5),
            within Timespan::from_ms(0)..=Timespan::from_mins(10) => Live;
        /// Questions to it at a time; more are refused with 503.
        http_concurrency: u32 = 64, within 1..=10_000 => Live;
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
        file: Option<PemFile>, unset "no file" => Live;
    }

    /// A token that does not change.
    item AuthToken by id {
        /// Its name, for messages.
        id: String => Live;
        /// The environment variable that holds it.
        secret_env: SecretVariable => Live;
        /// Whose it is.
        user: Option<String>, unset "nobody's" => Live;
        /// Roles of who has it, besides `default`.
        roles: Vec<String> = Vec::new() => Live;
    }

    /// What the bearers of a role may do. In patterns `{sub}` stands for the user.
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

impl Algorithm {
    /// Whether one secret both signs and checks.
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    /// The same as the library that checks signatures has it.
    pub(crate) fn for_library(self) -> jsonwebtoken::Algorithm {
        use jsonwebtoken::Algorithm as Of;
        match self {
            Self::Hs256 => Of::HS256,
            Self::Hs384 => Of::HS384,
            Self::Hs512 => Of::HS512,
            Self::Rs256 => Of::RS256,
            Self::Rs384 => Of::RS384,
            Self::Rs512 => Of::RS512,
            Self::Es256 => Of::ES256,
            Self::Es384 => Of::ES384,
            Self::EdDsa => Of::EdDSA,
        }
    }
}

impl AuthKey {
    /// What checks signatures of this key.
    ///
    /// # Errors
    /// What is wrong with its settings, and which of them it is.
    pub(crate) fn decoding_key(&self) -> Result<jsonwebtoken::DecodingKey, (&'static str, String)> {
        let algorithm = self.algorithm.as_str();
        match (self.algorithm.is_symmetric(), &self.secret_env, &self.file) {
            (true, Some(secret), None) => {
                Ok(jsonwebtoken::DecodingKey::from_secret(secret.reveal().as_bytes()))
            }
            (true, _, Some(_)) => {
                Err(("file", format!("{algorithm} has a secret and no file; set `secret_env`")))
            }
            (true, None, None) => Err(("id", format!("{algorithm} needs `secret_env`"))),
            (false, None, Some(file)) => {
                file.public_key(self.algorithm).map_err(|why| ("file", why))
            }
            (false, Some(_), _) => Err((
                "secret_env",
                format!("{algorithm} has a public key and no secret; set `file`"),
            )),
            (false, None, None) => Err(("id", format!("{algorithm} needs `file`"))),
        }
    }
}

impl Auth {
    /// Whether tokens can be checked at all.
    pub fn checks_tokens(&self) -> bool {
        let has_own = !self.keys.is_empty() || !self.tokens.is_empty();
        has_own || self.jwks.is_some() || self.http.is_some()
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

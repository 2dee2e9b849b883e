use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use protocol::dialects::native::is_device as is_name;
use protocol::{Error, ErrorCode};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{Principal, unauthorized};

/// The last time that a token may name, in seconds: the end of the year 9999.
const SECONDS_MAX: f64 = 253_402_300_799.0;
/// Most roles or groups of a token.
const LIST_ITEMS_MAX: usize = 64;

/// What `[auth]` wants of claims.
pub(super) struct Rules {
    pub(super) issuers: Vec<String>,
    pub(super) audiences: Vec<String>,
    pub(super) leeway_ms: u64,
}

/// The members of a JSON object, none of which may stand twice: readers that take the first and
/// readers that take the last would believe different things.
pub(super) struct Members(BTreeMap<String, Value>);

impl Members {
    /// Reads an object; `None` where it is none.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// A member; `null` is none.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("a member stands twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// What a token, or a backend, says of a client.
pub(super) struct Claims(Members);

impl Claims {
    /// Reads the claims of a token.
    pub(super) fn read(text: &[u8]) -> Result<Self, Error> {
        let members = Members::read(text);
        members.map(Self).ok_or_else(|| unauthorized("the token's claims cannot be read"))
    }

    /// Who it is, as far as the rules and the time in ms since 1970 allow.
    pub(super) fn check(&self, rules: &Rules, wall_ms: u64) -> Result<Principal, Error> {
        let expires_at_ms = self.time("exp")?.ok_or_else(|| self.missing("exp"))?;
        let not_before_ms = self.time("nbf")?.unwrap_or(0);
        let user = self.name("sub")?.ok_or_else(|| self.missing("sub"))?;
        if not_before_ms > wall_ms.saturating_add(rules.leeway_ms) {
            return Err(unauthorized("the token is not valid yet"));
        }
        // Without leeway: a session that began late would end at once.
        if expires_at_ms <= wall_ms {
            return Err(Error::new(ErrorCode::TokenExpired, "the token has expired"));
        }
        self.one_of("iss", &rules.issuers)?;
        self.one_of("aud", &rules.audiences)?;
        Ok(Principal {
            is_known: true,
            user: Some(user),
            device: self.device()?,
            roles: self.names("roles")?.iter().map(|name| name.to_string()).collect(),
            groups: self.names("groups")?,
            expires_at_ms: Some(expires_at_ms),
            mark: None,
            token_id: self.name("jti")?,
            issued_at_ms: self.time("iat")?,
        })
    }

    /// Who a backend says that it is.
    pub(super) fn of_backend(text: &[u8]) -> Option<Principal> {
        let claims = Self(Members::read(text)?);
        let expires_at_ms = match claims.0.get("expires_at").filter(|value| !value.is_null()) {
            Some(value) => Some(value.as_u64()?),
            None => None,
        };
        Some(Principal {
            is_known: true,
            user: Some(claims.name("user").ok()??),
            device: claims.name("device").ok()?,
            roles: claims.names("roles").ok()?.iter().map(|name| name.to_string()).collect(),
            groups: claims.names("groups").ok()?,
            expires_at_ms,
            mark: None,
            token_id: None,
            issued_at_ms: None,
        })
    }

    fn missing(&self, name: &str) -> Error {
        unauthorized(&format!("the token has no `{name}`"))
    }

    fn device(&self) -> Result<Option<Arc<str>>, Error> {
        let (id, device) = (self.name("device_id")?, self.name("device")?);
        if id.is_some() && device.is_some() && id != device {
            return Err(unauthorized("the token's `device_id` and `device` differ"));
        }
        Ok(id.or(device))
    }

    /// A time in seconds since 1970, perhaps with a fraction (RFC 7519, section 2), in ms.
    fn time(&self, name: &str) -> Result<Option<u64>, Error> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
        let wrong = || unauthorized(&format!("the token's `{name}` is no time"));
        seconds.map(|seconds| Some((seconds * 1_000.0) as u64)).ok_or_else(wrong)
    }

    fn name(&self, name: &str) -> Result<Option<Arc<str>>, Error> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let text = value.as_str().filter(|text| is_name(text));
        let wrong = || unauthorized(&format!("the token's `{name}` is no name"));
        text.map(|text| Some(Arc::from(text))).ok_or_else(wrong)
    }

    fn names(&self, name: &str) -> Result<Vec<Arc<str>>, Error> {
        let Some(value) = self.0.get(name) else { return Ok(Vec::new()) };
        let items = value.as_array().filter(|items| items.len() <= LIST_ITEMS_MAX);
        let text = |item: &Value| item.as_str().filter(|text| is_name(text)).map(Arc::from);
        let names = items.and_then(|items| items.iter().map(text).collect::<Option<Vec<_>>>());
        names.ok_or_else(|| unauthorized(&format!("the token's `{name}` is no list of names")))
    }

    /// Whether a claim, or an item of it, is among those wanted, where some are.
    fn one_of(&self, name: &str, wanted: &[String]) -> Result<(), Error> {
        if wanted.is_empty() {
            return Ok(());
        }
        let is_wanted =
            |value: &Value| value.as_str().is_some_and(|text| wanted.iter().any(|one| one == text));
        let is_one = match self.0.get(name) {
            Some(Value::Array(items)) => items.iter().any(is_wanted),
            Some(value) => is_wanted(value),
            None => return Err(self.missing(name)),
        };
        if is_one { Ok(()) } else { Err(unauthorized(&format!("the token's `{name}` is another"))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn rules() -> Rules {
        Rules { issuers: Vec::new(), audiences: Vec::new(), leeway_ms: 5_000 }
    }

    fn checked(text: &str) -> Result<Principal, Error> {
        Claims::read(text.as_bytes())?.check(&rules(), NOW_MS)
    }

    #[test]
    fn what_is_said_is_taken_over() {
        let text = r#"{"sub":"ann","exp":1800000001.5,"nbf":1800000005,"device_id":"phone",
            "roles":["editor"],"groups":["red"],"jti":"7","iat":1799999999,"other":{"a":[1]}}"#;
        let principal = checked(text).unwrap();
        assert_eq!(principal.user.as_deref(), Some("ann"));
        assert_eq!(principal.device.as_deref(), Some("phone"));
        assert_eq!(principal.roles, ["editor"]);
        assert_eq!(&*principal.groups[0], "red");
        assert_eq!(principal.expires_at_ms, Some(1_800_000_001_500));
        assert_eq!(principal.issued_at_ms, Some(1_799_999_999_000));
    }

    #[test]
    fn what_is_odd_is_refused_by_name() {
        let soon = "\"exp\":1800000001";
        for (claims, message) in [
            ("".to_owned(), "the token has no `exp`"),
            (soon.to_owned(), "the token has no `sub`"),
            ("\"sub\":\"a\"".to_owned(), "the token has no `exp`"),
            ("\"sub\":\"a\",\"exp\":1800000000".to_owned(), "the token has expired"),
            ("\"sub\":\"a\",\"exp\":\"1800000001\"".to_owned(), "the token's `exp` is no time"),
            ("\"sub\":\"a\",\"exp\":-1".to_owned(), "the token's `exp` is no time"),
            ("\"sub\":\"a\",\"exp\":1e300".to_owned(), "the token's `exp` is no time"),
            ("\"sub\":\"a\",\"exp\":null".to_owned(), "the token's `exp` is no time"),
            ("\"sub\":\"a\",\"exp\":1e999".to_owned(), "the token's claims cannot be read"),
            (format!("\"sub\":\"a\",{soon},{soon}"), "the token's claims cannot be read"),
            (format!("\"sub\":\"a\",\"sub\":\"b\",{soon}"), "the token's claims cannot be read"),
            (format!("\"sub\":1,{soon}"), "the token's `sub` is no name"),
            (format!("\"sub\":\"\",{soon}"), "the token's `sub` is no name"),
            (format!("\"sub\":\"a\\u0000\",{soon}"), "the token's `sub` is no name"),
            (format!("\"sub\":\"a\",{soon},\"nbf\":1800000006"), "the token is not valid yet"),
            (format!("\"sub\":\"a\",{soon},\"nbf\":\"x\""), "the token's `nbf` is no time"),
            (
                format!("\"sub\":\"a\",{soon},\"roles\":\"x\""),
                "the token's `roles` is no list of names",
            ),
            (
                format!("\"sub\":\"a\",{soon},\"groups\":[1]"),
                "the token's `groups` is no list of names",
            ),
            (format!("\"sub\":\"a\",{soon},\"device\":[]"), "the token's `device` is no name"),
        ] {
            assert_eq!(checked(&format!("{{{claims}}}")).unwrap_err().message, message, "{claims}");
        }
        for text in ["", "[]", "null", "{\"sub\":\"a\"", "\"x\""] {
            assert_eq!(checked(text).unwrap_err().message, "the token's claims cannot be read");
        }
    }

    #[test]
    fn issuer_and_audience_count_where_they_are_wanted() {
        let wanted = Rules { issuers: vec!["i".into()], audiences: vec!["x".into()], ..rules() };
        let check = |more: &str| {
            let text = format!("{{\"sub\":\"a\",\"exp\":1800000001{more}}}");
            Claims::read(text.as_bytes())?.check(&wanted, NOW_MS)
        };
        assert!(check(",\"iss\":\"i\",\"aud\":\"x\"").is_ok());
        assert!(check(",\"iss\":\"i\",\"aud\":[\"y\",\"x\"]").is_ok());
        for wrong in
            ["", ",\"iss\":\"i\"", ",\"iss\":\"j\",\"aud\":\"x\"", ",\"iss\":\"i\",\"aud\":[]"]
        {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}

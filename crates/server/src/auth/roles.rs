use std::collections::BTreeMap;
use std::sync::Arc;

use engine::Grants;
use protocol::{Error, Pattern};

use super::{Principal, unauthorized};
use crate::config::{Auth, ClientLimits, Rate, Role, USER_TEMPLATE};

/// What the roles of a client give it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    pub(crate) grants: Arc<Grants>,
    /// Bounds that hold instead of the endpoint's.
    pub(crate) bounds: Bounds,
}

/// Bounds of a client, where they are not its endpoint's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) message_bytes_max: Option<usize>,
    pub(crate) messages: Option<Rate>,
    pub(crate) subscriptions_max: Option<u32>,
    pub(crate) devices_max: Option<u32>,
}

/// What the bearers of each role may do.
pub(super) struct Roles {
    roles: BTreeMap<String, Role>,
    anonymous: Standing,
    /// Of who has no role besides, where nothing in it depends on the user.
    default: Option<Standing>,
}

impl Roles {
    pub(super) fn new(auth: &Auth) -> Self {
        let of = |name: &str| auth.roles.get(name).into_iter();
        let anonymous = standing_of(of("anonymous"), None).unwrap_or_default();
        let default = standing_of(of("default"), None).ok();
        Self { roles: auth.roles.clone(), anonymous, default }
    }

    pub(super) fn standing(&self, principal: &Principal) -> Result<Standing, Error> {
        match &self.default {
            _ if !principal.is_known => return Ok(self.anonymous.clone()),
            Some(default) if principal.roles.is_empty() => return Ok(default.clone()),
            _ => {}
        }
        // A role that is not configured gives nothing.
        let names = std::iter::once("default").chain(principal.roles.iter().map(String::as_str));
        let roles = names.filter_map(|name| self.roles.get(name));
        standing_of(roles, principal.user.as_deref())
    }
}

/// What several roles give together: all that each of them grants, and the widest of their bounds.
fn standing_of<'a>(
    roles: impl Iterator<Item = &'a Role>,
    user: Option<&str>,
) -> Result<Standing, Error> {
    let (mut grants, mut bounds) = (Grants::default(), Bounds::default());
    for role in roles {
        add(&mut grants.subscribe, &role.subscribe, user)?;
        add(&mut grants.publish, &role.publish, user)?;
        add(&mut grants.command, &role.command, user)?;
        add(&mut grants.handle, &role.handle, user)?;
        if let Some(limits) = &role.limits {
            bounds.widen(limits);
        }
    }
    Ok(Standing { grants: Arc::new(grants), bounds })
}

fn add(granted: &mut Vec<Pattern>, more: &[Pattern], user: Option<&str>) -> Result<(), Error> {
    for pattern in more {
        let pattern = if pattern.as_str().contains(USER_TEMPLATE) {
            expanded(pattern, user)?
        } else {
            pattern.clone()
        };
        if !granted.contains(&pattern) {
            granted.push(pattern);
        }
    }
    Ok(())
}

/// The pattern with the user in it. A name that would be more than a part of one token, or any
/// token, is refused.
fn expanded(pattern: &Pattern, user: Option<&str>) -> Result<Pattern, Error> {
    let wrong = || unauthorized("this user's name cannot stand in the topics that it may have");
    let fits = |user: &&str| {
        !user.is_empty()
            && !user.chars().any(|c| matches!(c, '*' | '>' | '.' | '\0') || c.is_whitespace())
    };
    let user = user.filter(fits).ok_or_else(wrong)?;
    let tokens = pattern.tokens().count();
    let expanded = Pattern::parse(&pattern.as_str().replace(USER_TEMPLATE, user));
    expanded.ok().filter(|expanded| expanded.tokens().count() == tokens).ok_or_else(wrong)
}

impl Bounds {
    fn widen(&mut self, limits: &ClientLimits) {
        let bytes = limits.message_bytes.map(|bytes| bytes.as_len());
        self.message_bytes_max = self.message_bytes_max.max(bytes);
        self.subscriptions_max = self.subscriptions_max.max(limits.subscriptions);
        self.devices_max = self.devices_max.max(limits.devices_per_user);
        let is_faster = |rate: &Rate| self.messages.is_none_or(|known| known.is_slower(*rate));
        self.messages = limits.messages.filter(is_faster).or(self.messages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(text: &str) -> Auth {
        crate::config::parse(text).unwrap().config.auth
    }

    fn user(name: &str, roles: &[&str]) -> Principal {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Principal { is_known: true, user: Some(name.into()), roles, ..Principal::default() }
    }

    const TEXT: &str = "[auth.roles.default]\nsubscribe = [\"news.>\"]\n\
        [auth.roles.own]\nsubscribe = [\"user.{sub}.>\", \"x.p-{sub}\"]\npublish = [\"user.{sub}.in\"]\n\
        limits = { subscriptions = 3, messages = \"10/s\" }\n\
        [auth.roles.wide]\nlimits = { subscriptions = 2, messages = \"1/s\", message_bytes = \"2KiB\" }";

    #[test]
    fn roles_add_up() {
        let roles = Roles::new(&role(TEXT));
        let plain = roles.standing(&user("ann", &[])).unwrap();
        assert_eq!(plain.grants.subscribe, [Pattern::parse("news.>").unwrap()]);
        let own = roles.standing(&user("ann", &["own", "wide", "unknown"])).unwrap();
        let text: Vec<&str> = own.grants.subscribe.iter().map(Pattern::as_str).collect();
        assert_eq!(text, ["news.>", "user.ann.>", "x.p-ann"]);
        assert_eq!(own.grants.publish, [Pattern::parse("user.ann.in").unwrap()]);
        assert_eq!(own.bounds.subscriptions_max, Some(3));
        assert_eq!(own.bounds.message_bytes_max, Some(2_048));
        assert_eq!(own.bounds.messages.map(|rate| rate.count), Some(10));
        let anonymous = roles.standing(&Principal::default()).unwrap();
        assert!(anonymous.grants.subscribe.is_empty());
    }

    #[test]
    fn a_name_is_part_of_one_token_or_refused() {
        let roles = Roles::new(&role(TEXT));
        for name in ["*", ">", "a.b", "a b", "", "a\0", "a\t", "a\u{a0}b", "x>", &"a".repeat(250)] {
            assert!(roles.standing(&user(name, &["own"])).is_err(), "{name:?}");
            assert!(roles.standing(&user(name, &[])).is_ok(), "{name:?}");
        }
        assert!(roles.standing(&user("größe$-_@{}", &["own"])).is_ok());
    }
}

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use protocol::Error;

use super::{Principal, unauthorized};

/// Most revocations that are kept; beyond it the oldest goes.
const KEPT_MAX: usize = 100_000;

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    /// Tokens of a user.
    User(Arc<str>),
    /// The token of this id (`jti`).
    Token(Arc<str>),
}

/// Tokens that are not believed any more although they have not expired. Kept in memory: a server
/// that starts anew has forgotten them.
#[derive(Default)]
pub(crate) struct Revoked(Mutex<State>);

#[derive(Default)]
struct State {
    /// Tokens issued up to then, in ms since 1970.
    before_ms: HashMap<Whose, u64>,
    order: VecDeque<Whose>,
}

impl Revoked {
    /// Believes no token any more that is so and was issued up to a time, in ms since 1970.
    pub(crate) fn revoke(&self, whose: Whose, before_ms: u64) {
        let mut state = self.0.lock();
        let known = state.before_ms.entry(whose.clone()).or_default();
        let is_new = *known == 0;
        *known = before_ms.max(*known);
        if is_new {
            state.order.push_back(whose);
        }
        if state.order.len() > KEPT_MAX
            && let Some(oldest) = state.order.pop_front()
        {
            state.before_ms.remove(&oldest);
        }
    }

    /// Refuses who shows a token that was revoked.
    pub(crate) fn check(&self, principal: &Principal) -> Result<(), Error> {
        let state = self.0.lock();
        if state.before_ms.is_empty() {
            return Ok(());
        }
        let user = principal.user.clone().map(Whose::User);
        let token = principal.token_id.clone().map(Whose::Token);
        // `iat` counts whole seconds; a token without one is as old as it can be.
        let issued_at_ms = principal.issued_at_ms.unwrap_or(0);
        let is_revoked = |whose: &Whose| {
            state.before_ms.get(whose).is_some_and(|before_ms| issued_at_ms <= *before_ms)
        };
        if user.iter().chain(&token).any(is_revoked) {
            return Err(unauthorized("the token was revoked"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(user: &str, token: &str, issued_at_ms: Option<u64>) -> Principal {
        let (user, token_id) = (Some(user.into()), Some(token.into()));
        Principal { user, token_id, issued_at_ms, ..Principal::default() }
    }

    #[test]
    fn what_was_issued_before_is_not_believed() {
        let revoked = Revoked::default();
        assert!(revoked.check(&of("ann", "1", None)).is_ok());
        revoked.revoke(Whose::User("ann".into()), 5_000);
        revoked.revoke(Whose::User("ann".into()), 4_000);
        revoked.revoke(Whose::Token("2".into()), 5_000);
        assert!(revoked.check(&of("ann", "1", Some(5_000))).is_err());
        assert!(revoked.check(&of("ann", "1", None)).is_err());
        assert!(revoked.check(&of("ann", "1", Some(5_001))).is_ok());
        assert!(revoked.check(&of("bob", "1", None)).is_ok());
        assert!(revoked.check(&of("bob", "2", Some(1))).is_err());
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let revoked = Revoked::default();
        for number in 0..=KEPT_MAX {
            revoked.revoke(Whose::User(number.to_string().into()), 1);
        }
        assert!(revoked.check(&of("0", "x", None)).is_ok());
        assert!(revoked.check(&of("1", "x", None)).is_err());
        assert_eq!(revoked.0.lock().before_ms.len(), KEPT_MAX);
    }
}

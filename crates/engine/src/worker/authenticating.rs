use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::{
    Answer, CloseReason, Command, Error, ErrorCode, Message, Pattern, Request as ClientRequest,
};

use super::{ClientKey, Now, Request, Ticket, Worker};
use crate::grants::{Action, Grants};

/// A client is told so long before its token expires that it does, or when half of its time is
/// over, whichever is later.
const NOTICE_MS: u64 = 60_000;
/// How often the wall clock is looked at while a token is to expire: it may jump.
const LOOK_MS: u64 = 500;

/// Who a client is, as its token says.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The authenticated user.
    pub user: Option<Arc<str>>,
    /// The device; one that the client named itself counts where this is none.
    pub device: Option<Arc<str>>,
    /// All groups that it is a member of.
    pub groups: Vec<Arc<str>>,
    /// What it may do.
    pub grants: Arc<Grants>,
    /// Most patterns that it may subscribe to.
    pub subscriptions_max: u32,
    /// When its token expires, in ms since 1970.
    pub expires_at_ms: Option<u64>,
}

/// When a session is told that its token expires, and when it ends, in ms since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry {
    notice_at_ms: u64,
    expires_at_ms: u64,
}

/// What is due by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at_ms: u64,
    client: ClientKey,
}

/// The expiries of a worker's clients, each of which is here twice: notice and end.
#[derive(Default)]
pub(super) struct Expiries(BTreeSet<Due>);

impl Expiries {
    fn insert(&mut self, client: ClientKey, expiry: Expiry) {
        self.0.insert(Due { at_ms: expiry.notice_at_ms, client });
        self.0.insert(Due { at_ms: expiry.expires_at_ms, client });
    }

    pub(super) fn remove(&mut self, client: ClientKey, expiry: Expiry) {
        self.0.remove(&Due { at_ms: expiry.notice_at_ms, client });
        self.0.remove(&Due { at_ms: expiry.expires_at_ms, client });
    }

    /// When the wall clock should be looked at next, in ms of the steady one.
    pub(super) fn look_at(&self, now: Now) -> Option<u64> {
        let due = self.0.first()?;
        Some(now.ms + due.at_ms.saturating_sub(now.wall_ms).min(LOOK_MS))
    }

    fn pop(&mut self, wall_ms: u64) -> Option<ClientKey> {
        let due = *self.0.first().filter(|due| due.at_ms <= wall_ms)?;
        self.0.remove(&due);
        Some(due.client)
    }
}

impl Expiry {
    /// That of a token, told the time.
    fn of(expires_at_ms: u64, wall_ms: u64) -> Self {
        let left_ms = expires_at_ms.saturating_sub(wall_ms);
        Self { notice_at_ms: expires_at_ms - NOTICE_MS.min(left_ms / 2), expires_at_ms }
    }

    /// When the token expires, in ms since 1970.
    pub(crate) fn expires_at_ms(self) -> u64 {
        self.expires_at_ms
    }
}

impl Worker {
    /// Whether a client has to show who it is before it may ask for this; then it is refused.
    pub(super) fn refuse_unknown(&mut self, key: ClientKey, request: &ClientRequest) -> bool {
        let is_unknown = self
            .session(key)
            .and_then(|session| session.rare.as_ref())
            .is_some_and(|rare| rare.must_authenticate);
        let shows = matches!(&request.command, Command::Hello(hello) if hello.token.is_some());
        if !is_unknown || shows {
            return false;
        }
        let message = "the first message must be a hello with a token";
        self.reply(key, request.id, Err(Error::new(ErrorCode::Unauthorized, message)));
        self.close(self.now, key, CloseReason::Unauthorized, None);
        true
    }

    /// Asks who the client is whose request has a token; what comes behind it waits.
    pub(super) fn authenticate(&mut self, ticket: Ticket, command: Command) {
        let (token, device, takeover) = match &command {
            Command::Hello(hello) => {
                (hello.token.clone().unwrap_or_default(), hello.device.clone(), hello.takeover)
            }
            Command::Refresh { token } => (token.clone(), None, false),
            _ => return,
        };
        let is_refresh = matches!(command, Command::Refresh { .. });
        let Some(session) = self.session_mut(ticket.client) else { return };
        let rare = session.rare_mut();
        let device = device.or_else(|| rare.device.clone());
        rare.authenticating = Some(ClientRequest { id: ticket.id, command });
        self.requests.push_back(Request::Authenticate {
            ticket,
            token,
            device,
            takeover,
            is_refresh,
        });
    }

    /// It was found out who the client is whose token was asked about.
    pub fn handle_authenticated(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<Identity, Error>,
    ) {
        self.now = now;
        let Some(session) = self.session_mut(ticket.client) else { return };
        let rare = session.rare.as_mut();
        let Some(request) = rare.and_then(|rare| rare.authenticating.take()) else { return };
        let done = match (request.command, result) {
            (Command::Hello(mut hello), Ok(identity)) => {
                // What a token says counts.
                hello.device = identity.device.clone().or(hello.device);
                self.identify(ticket.client, identity)
                    .and_then(|()| self.begin_hello(ticket, *hello))
            }
            (Command::Refresh { .. }, Ok(identity)) => self.refreshed(ticket, identity),
            (Command::Hello(_), Err(error)) => {
                let reason = match error.code {
                    ErrorCode::Unauthorized | ErrorCode::TokenExpired => CloseReason::Unauthorized,
                    ErrorCode::Forbidden => CloseReason::Forbidden,
                    _ => CloseReason::Limits,
                };
                let after_ms = error.retry_after_ms;
                self.reply(ticket.client, ticket.id, Err(error));
                return self.close(now, ticket.client, reason, after_ms);
            }
            (_, Err(error)) => Err(error),
            (_, Ok(_)) => Ok(()),
        };
        if let Err(error) = done {
            self.reply(ticket.client, ticket.id, Err(error));
        }
        self.go_on_waiting(ticket.client);
    }

    /// A newer token of the same user extends the session.
    fn refreshed(&mut self, ticket: Ticket, identity: Identity) -> Result<(), Error> {
        let Some(expires_at_ms) = identity.expires_at_ms else {
            return Err(Error::bad_request("a token that never expires needs no newer one"));
        };
        self.identify(ticket.client, identity)?;
        self.reply(ticket.client, ticket.id, Ok(Answer::Refreshed { expires_at_ms }));
        Ok(())
    }

    /// From now on the client is who its token says; it cannot become another one.
    ///
    /// # Errors
    /// `forbidden` where it is somebody already.
    fn identify(&mut self, key: ClientKey, identity: Identity) -> Result<(), Error> {
        let Some(session) = self.session_mut(key) else { return Ok(()) };
        if session.user.is_some() && session.user != identity.user {
            let message = "the token is of another user than the session";
            return Err(Error::new(ErrorCode::Forbidden, message));
        }
        let is_new = session.user.is_none();
        session.user.clone_from(&identity.user);
        session.subscriptions_max = identity.subscriptions_max;
        if let Some(rare) = &mut session.rare {
            rare.must_authenticate = false;
        }
        if let Some(user) = identity.user.filter(|_| is_new) {
            self.by_user.entry(user).or_default().push(key.place);
            self.index.forget_matches();
        }
        self.set_device(key, identity.device);
        self.set_groups(key, &identity.groups);
        self.set_expiry(key, identity.expires_at_ms);
        self.set_grants(key, identity.grants);
        Ok(())
    }

    fn set_groups(&mut self, key: ClientKey, groups: &[Arc<str>]) {
        let Some(session) = self.session(key) else { return };
        if session.groups() == groups {
            return;
        }
        for group in session.groups().to_vec() {
            self.set_group(key, &group, false);
        }
        for group in groups {
            self.set_group(key, group, true);
        }
    }

    /// What a client may do from now on: its subscriptions to what is not among it end.
    pub fn set_grants(&mut self, key: ClientKey, grants: Arc<Grants>) {
        let Some(session) = self.session_mut(key) else { return };
        if std::mem::replace(&mut session.grants, grants.clone()) == grants {
            return;
        }
        let Some(session) = self.session(key) else { return };
        let subscriptions = session.subscriptions.iter().filter_map(|key| self.index.get(*key));
        let forbidden: Vec<Pattern> = subscriptions
            .flat_map(|subscription| self.index.topics(subscription))
            .filter(|topic| grants.authorize(Action::Subscribe, topic).is_err())
            .collect();
        for topic in &forbidden {
            self.end_topic(key, topic);
        }
        if !forbidden.is_empty() {
            self.clean_up(key.place);
        }
    }

    /// Most patterns that a client may subscribe to from now on; what it has stays.
    pub fn set_subscriptions_max(&mut self, key: ClientKey, subscriptions_max: u32) {
        if let Some(session) = self.session_mut(key) {
            session.subscriptions_max = subscriptions_max;
        }
    }

    /// When a client's session ends unless its token is refreshed, in ms since 1970.
    pub(super) fn set_expiry(&mut self, key: ClientKey, expires_at_ms: Option<u64>) {
        let wall_ms = self.now.wall_ms;
        let Some(session) = self.session_mut(key) else { return };
        let expiry = expires_at_ms.map(|at_ms| Expiry::of(at_ms, wall_ms));
        let before = std::mem::replace(&mut session.expiry, expiry.map(Box::new));
        if let Some(before) = before {
            self.expiries.remove(key, *before);
        }
        if let Some(expiry) = expiry {
            self.expiries.insert(key, expiry);
        }
    }

    /// Tells clients that their tokens expire, and closes those whose tokens have.
    pub(super) fn expire(&mut self) {
        let wall_ms = self.now.wall_ms;
        while let Some(key) = self.expiries.pop(wall_ms) {
            let session = self.session(key).filter(|session| !session.is_closing);
            let Some(expiry) = session.and_then(|session| session.expiry.as_deref().copied())
            else {
                continue;
            };
            if expiry.expires_at_ms <= wall_ms {
                self.close(self.now, key, CloseReason::Unauthorized, None);
            } else {
                let in_ms = expiry.expires_at_ms - wall_ms;
                self.tell(key.place, &Message::Expiring { in_ms });
            }
        }
    }
}

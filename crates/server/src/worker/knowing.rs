use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use engine::{ClientKey, Identity, Ticket};
use protocol::{CloseReason, Error, ErrorCode};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::inbox::Input;
use super::shell::{Peer, Shell};
use crate::auth::{Asking, Principal, Standing};
use crate::config::{Access, TokenPlace};
use crate::endpoint::Endpoint;
use crate::listen::Handshakes;
use crate::node::Node;
use crate::transports::Transport;
use crate::transports::websocket::Changed;

/// What a client says with a token.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// The device that it named so far.
    pub(super) device: Option<Arc<str>>,
    /// Another device of its user may have to go for it.
    pub(super) takeover: bool,
    /// It is known already.
    pub(super) is_refresh: bool,
}

/// Ends a client that does not show in time who it is, or sooner where others like it need its
/// place: they are bounded in number as unfinished handshakes are.
pub(super) fn watch(node: &Arc<Node>, worker: usize, key: ClientKey) -> AbortHandle {
    let (node, evicted) = (node.clone(), Arc::new(Notify::new()));
    let deadline = Duration::from_millis(node.config().server.handshake_deadline.as_ms());
    let place = Handshakes::begin(&node, evicted.clone());
    let watching = async move {
        let _place = place;
        // Either way it is over.
        let _ = tokio::time::timeout(deadline, evicted.notified()).await;
        if let Some(inbox) = node.inbox(worker) {
            inbox.push(Input::Do(Box::new(move |shell| {
                let now = shell.now();
                shell.engine.close(now, key, CloseReason::Unauthorized, None);
            })));
        }
    };
    tokio::task::spawn_local(watching).abort_handle()
}

impl Shell {
    /// Finds out whose token a client showed in a message.
    pub(super) fn authenticate(&mut self, ticket: Ticket, token: &str, shown: Shown) {
        let Some(endpoint) = self.client(ticket.client).map(|client| client.endpoint.clone())
        else {
            return;
        };
        if endpoint.access == Access::None && !shown.is_refresh {
            return self.authenticated(ticket, &endpoint, Ok(Principal::default()), shown);
        }
        if let Err(error) = may_show(&endpoint, &shown) {
            return self.authenticated(ticket, &endpoint, Err(error), shown);
        }
        let (authority, wall_ms) = (self.node.authority(), self.now().wall_ms);
        let checked = authority.check(token, wall_ms, &self.node.revoked);
        let backend = authority.backend.clone().filter(|_| !authority.has_signed(token));
        let (Err(_), Some(backend)) = (&checked, backend) else {
            return self.authenticated(ticket, &endpoint, checked, shown);
        };
        let authorization = Some(format!("Bearer {token}")).filter(|it| it.is_ascii());
        let asking = Asking { cookie: None, authorization };
        let Some(inbox) = self.node.inbox(self.place) else { return };
        tokio::task::spawn_local(async move {
            let said = backend.ask(asking, wall_ms).await;
            inbox.push(Input::Do(Box::new(move |shell| {
                let endpoint = shell.client(ticket.client).map(|client| client.endpoint.clone());
                if let Some(endpoint) = endpoint {
                    shell.authenticated(ticket, &endpoint, said, shown);
                }
            })));
        });
    }

    /// Tells the engine who a client is, or why nobody knows.
    fn authenticated(
        &mut self,
        ticket: Ticket,
        endpoint: &Rc<Endpoint>,
        who: Result<Principal, Error>,
        shown: Shown,
    ) {
        let now = self.now();
        let identity = who.and_then(|who| self.welcome(ticket.client, endpoint, &who, shown));
        self.engine.handle_authenticated(now, ticket, identity);
    }

    /// Takes up what is known of a client now.
    fn welcome(
        &mut self,
        key: ClientKey,
        endpoint: &Rc<Endpoint>,
        who: &Principal,
        shown: Shown,
    ) -> Result<Identity, Error> {
        let gone = || Error::new(ErrorCode::Internal, "the client is gone");
        let node = self.node.clone();
        let id = self.client(key).map(|client| client.id).ok_or_else(gone)?;
        let known = node.registry.get(id).ok_or_else(gone)?;
        let known = known.known();
        if known.user.is_some() && known.user != who.user {
            let message = "the token is of another user than the session";
            return Err(Error::new(ErrorCode::Forbidden, message));
        }
        if shown.is_refresh && known.user.is_none() {
            return Err(Error::bad_request("only the session of a user can be extended"));
        }
        if shown.is_refresh && who.expires_at_ms.is_none() {
            return Err(Error::bad_request("a token that never expires needs no newer one"));
        }
        let standing = endpoint.standing(&node, who)?;
        let device = who.device.clone().or(shown.device);
        let devices = endpoint.devices(&standing, shown.takeover);
        let left = node.registry.identify(id, who, device.as_ref(), devices);
        for client in left.map_err(|_| endpoint.too_many_devices())? {
            node.close_client(&client, CloseReason::TakenOver, None);
        }
        if known.user.is_none() {
            node.memberships.identify(id, who.user.as_ref());
            // It was nobody when it came.
            self.end_continuity(key);
        }
        if let Some(client) = self.client_mut(key) {
            client.principal = who.is_known.then(|| Box::new(who.clone()));
        }
        self.remember_by(key, who);
        self.know(key, endpoint, &standing);
        let own = [who.groups.clone(), node.memberships.of_client(id)].concat();
        let groups = node.memberships.of(who.user.as_deref(), &own);
        let subscriptions_max =
            standing.bounds.subscriptions_max.unwrap_or(endpoint.subscriptions_max);
        Ok(Identity {
            user: who.user.clone(),
            device,
            groups,
            grants: standing.grants,
            subscriptions_max,
            expires_at_ms: who.expires_at_ms,
        })
    }

    /// After a reload: what clients may do from now on. Who cannot have what its roles give is
    /// closed.
    pub(crate) fn take_up_roles(&mut self) {
        let (now, node, routes) = (self.now(), self.node.clone(), self.routes.clone());
        let known: Vec<(ClientKey, Rc<Endpoint>, Principal)> = self
            .clients()
            .filter(|(_, client)| client.endpoint.way.transport != Transport::Local)
            .map(|(key, client)| {
                let endpoint = routes.like(&client.endpoint).unwrap_or(&client.endpoint).clone();
                (key, endpoint, client.principal.as_deref().cloned().unwrap_or_default())
            })
            .collect();
        for (key, endpoint, principal) in known {
            match endpoint.standing(&node, &principal) {
                Ok(standing) => self.engine.set_grants(key, standing.grants),
                Err(_) => self.engine.close(now, key, CloseReason::Forbidden, None),
            }
            if let Some(client) = self.client_mut(key) {
                client.endpoint = endpoint;
            }
        }
        self.flush();
    }

    /// A client need not be watched any more, and may send what its roles allow.
    fn know(&mut self, key: ClientKey, endpoint: &Endpoint, standing: &Standing) {
        let bounds = standing.bounds;
        let Some(client) = self.client_mut(key) else { return };
        if let Some(watch) = client.watch.take() {
            watch.abort();
        }
        if let Peer::WebSocket(peer) = &client.peer {
            let message_bytes_max = Some(endpoint.message_bytes_of(&bounds));
            peer.change(Changed { message_bytes_max, messages: bounds.messages.map(Some) });
        }
    }
}

/// Whether a client may show a token in a message.
fn may_show(endpoint: &Endpoint, shown: &Shown) -> Result<(), Error> {
    if endpoint.access == Access::None {
        return Err(Error::bad_request("tokens are not looked at here (setting `auth`)"));
    }
    if !shown.is_refresh && !endpoint.takes(TokenPlace::Message) {
        let message = "a token may not come in a message here (setting `tokens`)";
        return Err(Error::new(ErrorCode::Unauthorized, message));
    }
    Ok(())
}

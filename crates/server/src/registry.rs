use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use engine::ClientKey;
use parking_lot::Mutex;
use protocol::ClientId;

use crate::addresses::network_of;

/// Who is connected to this node. Locked only when a client comes, goes or is controlled.
#[derive(Default)]
pub struct Registry {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    clients: HashMap<ClientId, Connected>,
    by_address: HashMap<IpAddr, u32>,
}

/// A connected client.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Its worker.
    pub worker: usize,
    /// Its place there.
    pub key: ClientKey,
    /// The authenticated user.
    pub user: Option<Arc<str>>,
    /// The device that it named.
    pub device: Option<Arc<str>>,
    /// Where it connected from; none within the process.
    pub address: Option<SocketAddr>,
    /// The path that it connected to.
    pub endpoint: Arc<str>,
    /// The dialect that it speaks.
    pub dialect: &'static str,
    /// What carries its frames.
    pub transport: &'static str,
    /// When it connected, in ms since 1970.
    pub connected_at_ms: u64,
}

impl Registry {
    /// A client came.
    pub fn insert(&self, id: ClientId, client: Connected) {
        let mut state = self.state.lock();
        if let Some(address) = client.address {
            *state.by_address.entry(network_of(address.ip())).or_default() += 1;
        }
        state.clients.insert(id, client);
    }

    /// A client is gone: the one of that place, since its id may belong to a newer one by now.
    pub fn remove(&self, id: ClientId, worker: usize, key: ClientKey, address: Option<SocketAddr>) {
        let mut state = self.state.lock();
        if let Some(address) = address
            && let Some(count) = state.by_address.get_mut(&network_of(address.ip()))
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.by_address.remove(&network_of(address.ip()));
            }
        }
        let is_same = |client: &Connected| client.worker == worker && client.key == key;
        if state.clients.get(&id).is_some_and(is_same) {
            state.clients.remove(&id);
        }
    }

    /// A client got an id back from an earlier connection; the client that still has it, if any.
    pub fn rename(
        &self,
        before: ClientId,
        id: ClientId,
        device: Option<Arc<str>>,
    ) -> Option<Connected> {
        let mut state = self.state.lock();
        let mut client = state.clients.remove(&before)?;
        client.device = device.or(client.device);
        state.clients.insert(id, client)
    }

    /// The client of that id.
    pub fn get(&self, id: ClientId) -> Option<Connected> {
        self.state.lock().clients.get(&id).cloned()
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.state.lock().clients.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many clients an address has, of IPv6 its network.
    pub fn count_of(&self, address: IpAddr) -> u32 {
        self.state.lock().by_address.get(&network_of(address)).copied().unwrap_or(0)
    }

    /// Up to `limit` clients behind `after`, in the order of their ids, of one user where given.
    pub fn list(
        &self,
        user: Option<&str>,
        after: Option<ClientId>,
        limit: usize,
    ) -> Vec<(ClientId, Connected)> {
        let state = self.state.lock();
        let wanted = |(id, client): &(&ClientId, &Connected)| {
            after.is_none_or(|after| **id > after)
                && user.is_none_or(|user| client.user.as_deref() == Some(user))
        };
        let mut found: Vec<_> = state.clients.iter().filter(wanted).collect();
        found.sort_unstable_by_key(|(id, _)| **id);
        found.truncate(limit);
        found.into_iter().map(|(id, client)| (*id, client.clone())).collect()
    }
}

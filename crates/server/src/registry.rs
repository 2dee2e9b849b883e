use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use engine::ClientKey;
use parking_lot::Mutex;
use protocol::ClientId;

use crate::addresses::network_of;
use crate::transports::Transport;

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
    /// How it came.
    pub way: Arc<Way>,
    /// When it connected, in ms since 1970.
    pub connected_at_ms: u64,
}

/// How clients come; one is shared by all who come the same way.
#[derive(Debug)]
pub struct Way {
    /// The path that they connect to.
    pub endpoint: Arc<str>,
    /// The dialect that they speak.
    pub dialect: &'static str,
    /// What carries their frames.
    pub transport: Transport,
}

impl State {
    fn uncount(&mut self, gone: &Connected) {
        let Some(address) = gone.address else { return };
        if let Entry::Occupied(mut count) = self.by_address.entry(network_of(address.ip())) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
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
    /// Whether it still had the id.
    pub fn remove(&self, id: ClientId, worker: usize, key: ClientKey) -> bool {
        let mut state = self.state.lock();
        let is_same = |client: &Connected| client.worker == worker && client.key == key;
        if !state.clients.get(&id).is_some_and(is_same) {
            return false;
        }
        if let Some(gone) = state.clients.remove(&id) {
            state.uncount(&gone);
        }
        true
    }

    /// A client got an id back from an earlier connection; the client that still had it, if any,
    /// which is not listed any more.
    pub fn rename(
        &self,
        before: ClientId,
        id: ClientId,
        device: Option<Arc<str>>,
    ) -> Option<Connected> {
        let mut state = self.state.lock();
        let mut client = state.clients.remove(&before)?;
        client.device = device.or(client.device);
        let superseded = state.clients.insert(id, client)?;
        state.uncount(&superseded);
        Some(superseded)
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

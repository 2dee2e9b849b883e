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
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    clients: HashMap<ClientId, Connected>,
    /// Places that are kept for clients who are about to come.
    reserved: usize,
    /// Clients and kept places, by their networks.
    by_address: HashMap<IpAddr, u32>,
}

/// A place that is kept for a client from its request until its session begins: who come at the
/// same moment must not each find the last place free. Given back where no session begins.
pub(crate) struct Reservation {
    state: Arc<Mutex<State>>,
    /// None once it is given back.
    network: Option<IpAddr>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The server has as many clients as it may.
    Server,
    /// The address has.
    Address,
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
    fn count(&mut self, network: IpAddr) {
        *self.by_address.entry(network).or_default() += 1;
    }

    fn uncount(&mut self, network: IpAddr) {
        if let Entry::Occupied(mut count) = self.by_address.entry(network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    fn give_back(&mut self, network: IpAddr) {
        self.reserved -= 1;
        self.uncount(network);
    }
}

impl Connected {
    fn network(&self) -> Option<IpAddr> {
        self.address.map(|address| network_of(address.ip()))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(network) = self.network.take() {
            self.state.lock().give_back(network);
        }
    }
}

impl Registry {
    /// Keeps a place for a client that is about to come from an address, of which there may be
    /// `of_address_max` clients, among `clients_max` in all.
    pub(crate) fn reserve(
        &self,
        address: IpAddr,
        clients_max: usize,
        of_address_max: Option<u32>,
    ) -> Result<Reservation, Full> {
        let network = network_of(address);
        let mut state = self.state.lock();
        if state.clients.len() + state.reserved >= clients_max {
            return Err(Full::Server);
        }
        let of_address = state.by_address.get(&network).copied().unwrap_or(0);
        if of_address_max.is_some_and(|most| of_address >= most) {
            return Err(Full::Address);
        }
        state.reserved += 1;
        state.count(network);
        Ok(Reservation { state: self.state.clone(), network: Some(network) })
    }

    /// A client came, in place of its reservation.
    pub(crate) fn insert(&self, id: ClientId, client: Connected, reservation: Option<Reservation>) {
        let mut state = self.state.lock();
        // In one step, so that nobody counts twice.
        if let Some(network) = reservation.and_then(|mut reservation| reservation.network.take()) {
            state.give_back(network);
        }
        if let Some(network) = client.network() {
            state.count(network);
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
        if let Some(network) = state.clients.remove(&id).and_then(|gone| gone.network()) {
            state.uncount(network);
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
        if let Some(network) = superseded.network() {
            state.uncount(network);
        }
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

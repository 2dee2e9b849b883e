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
    /// Clients and kept places.
    counts: HashMap<Origin, u32>,
}

/// What bounds by address count: a network at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Origin {
    network: IpAddr,
    endpoint: Arc<str>,
}

/// A place that is kept for a client from its request until its session begins: who come at the
/// same moment must not each find the last place free. Given back where no session begins.
pub(crate) struct Reservation {
    state: Arc<Mutex<State>>,
    /// None once it is given back.
    origin: Option<Origin>,
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
    fn count(&mut self, origin: Origin) {
        *self.counts.entry(origin).or_default() += 1;
    }

    fn uncount(&mut self, origin: Origin) {
        if let Entry::Occupied(mut count) = self.counts.entry(origin) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    fn give_back(&mut self, origin: Origin) {
        self.reserved -= 1;
        self.uncount(origin);
    }
}

impl Connected {
    fn origin(&self) -> Option<Origin> {
        let network = network_of(self.address?.ip());
        Some(Origin { network, endpoint: self.way.endpoint.clone() })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(origin) = self.origin.take() {
            self.state.lock().give_back(origin);
        }
    }
}

impl Registry {
    /// Keeps a place for a client that is about to come from an address to an endpoint, which may
    /// have `of_address_max` clients of it, among `clients_max` in all.
    pub(crate) fn reserve(
        &self,
        address: IpAddr,
        endpoint: &Arc<str>,
        clients_max: usize,
        of_address_max: Option<u32>,
    ) -> Result<Reservation, Full> {
        let origin = Origin { network: network_of(address), endpoint: endpoint.clone() };
        let mut state = self.state.lock();
        if state.clients.len() + state.reserved >= clients_max {
            return Err(Full::Server);
        }
        let of_address = state.counts.get(&origin).copied().unwrap_or(0);
        if of_address_max.is_some_and(|most| of_address >= most) {
            return Err(Full::Address);
        }
        state.reserved += 1;
        state.count(origin.clone());
        Ok(Reservation { state: self.state.clone(), origin: Some(origin) })
    }

    /// A client came, in place of its reservation.
    pub(crate) fn insert(&self, id: ClientId, client: Connected, reservation: Option<Reservation>) {
        let mut state = self.state.lock();
        // In one step, so that nobody counts twice.
        if let Some(origin) = reservation.and_then(|mut reservation| reservation.origin.take()) {
            state.give_back(origin);
        }
        if let Some(origin) = client.origin() {
            state.count(origin);
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
        if let Some(origin) = state.clients.remove(&id).and_then(|gone| gone.origin()) {
            state.uncount(origin);
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
        if let Some(origin) = superseded.origin() {
            state.uncount(origin);
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

    /// How many clients there are at endpoints of these paths; in all, where none is named.
    pub(crate) fn count_at(&self, endpoints: &[String]) -> usize {
        if endpoints.is_empty() {
            return self.len();
        }
        let is_there =
            |client: &&Connected| endpoints.iter().any(|it| **it == *client.way.endpoint);
        self.state.lock().clients.values().filter(is_there).count()
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

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use engine::ClientKey;
use parking_lot::Mutex;
use protocol::ClientId;

use crate::auth::Principal;
use crate::counted::network_of;
use crate::transports::Transport;

/// Who is connected to this node. Locked only when a client comes, goes or is controlled.
#[derive(Default)]
pub struct Registry {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Boxed: the table has room for up to twice as many.
    clients: HashMap<ClientId, Box<Connected>>,
    /// Places that are kept for clients who are about to come.
    reserved: usize,
    /// Clients and kept places.
    counts: HashMap<Origin, u32>,
    /// The connections of each user, in the order in which they came.
    users: HashMap<Arc<str>, BTreeMap<u64, Seat>>,
    seat_last: u64,
}

/// What bounds by address count: a network at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Origin {
    network: IpAddr,
    endpoint: Arc<str>,
}

/// A connection of a user, or the place that is kept for one.
struct Seat {
    endpoint: Arc<str>,
    /// None counts as a device of its own.
    device: Option<Arc<str>>,
    /// None while it is about to come.
    client: Option<ClientId>,
}

/// The user has as many devices connected as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyDevices;

/// How many devices a user may have at an endpoint, and whether one that is too many takes the
/// place of the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Devices {
    pub(crate) count_max: Option<u32>,
    pub(crate) takeover: bool,
}

/// A place that is kept for a client from its request until its session begins: who come at the
/// same moment must not each find the last place free. Given back where no session begins.
pub(crate) struct Reservation {
    state: Arc<Mutex<State>>,
    /// None once it is given back.
    origin: Option<Origin>,
    /// Its place among its user's.
    seat: Option<(Arc<str>, u64)>,
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
    /// Who it is, where anything is known of that.
    pub(crate) known: Option<Box<Known>>,
    /// Where it connected from; none within the process.
    pub address: Option<SocketAddr>,
    /// How it came.
    pub way: Arc<Way>,
    /// When it connected, in ms since 1970.
    pub connected_at_ms: u64,
}

/// Who a client is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The authenticated user.
    pub user: Option<Arc<str>>,
    /// The device that it named.
    pub device: Option<Arc<str>>,
    /// Its place among its user's connections.
    pub(crate) seat: Option<u64>,
    /// The id of its token.
    pub(crate) token_id: Option<Arc<str>>,
    /// When its token was issued, in ms since 1970.
    pub(crate) issued_at_ms: Option<u64>,
}

/// Of whom nothing is known.
static NOBODY: Known =
    Known { user: None, device: None, seat: None, token_id: None, issued_at_ms: None };

/// How clients come; one is shared by all who come the same way.
#[derive(Debug)]
pub struct Way {
    /// The path of their endpoint.
    pub endpoint: Arc<str>,
    /// What tells it from all others, of whatever listener.
    pub(crate) id: Arc<str>,
    /// The dialect that they speak.
    pub dialect: &'static str,
    /// What carries their frames.
    pub transport: Transport,
}

impl State {
    fn get(&self, id: ClientId) -> Option<&Connected> {
        self.clients.get(&id).map(|client| &**client)
    }

    fn all(&self) -> impl Iterator<Item = (ClientId, &Connected)> {
        self.clients.iter().map(|(id, client)| (*id, &**client))
    }

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

    /// Takes a place among a user's connections to an endpoint; with it, the clients of the device
    /// that has to go for it, which keep none.
    fn sit(
        &mut self,
        user: &Arc<str>,
        endpoint: &Arc<str>,
        device: Option<&Arc<str>>,
        devices: Devices,
    ) -> Result<(u64, Vec<Connected>), TooManyDevices> {
        let seats = self.users.entry(user.clone()).or_default();
        let mut known: Vec<(u64, Option<&Arc<str>>)> = Vec::new();
        for (number, seat) in seats.iter().filter(|(_, seat)| seat.endpoint == *endpoint) {
            let is_known = seat.device.is_some()
                && known.iter().any(|(_, other)| *other == seat.device.as_ref());
            if !is_known {
                known.push((*number, seat.device.as_ref()));
            }
        }
        let is_there = device.is_some() && known.iter().any(|(_, other)| *other == device);
        let is_full = devices.count_max.is_some_and(|most| known.len() >= most as usize);
        let mut gone = Vec::new();
        if is_full && !is_there {
            let Some((oldest, its_device)) = known.first().filter(|_| devices.takeover) else {
                return Err(TooManyDevices);
            };
            let is_its = |(number, seat): &(&u64, &Seat)| {
                **number == *oldest
                    || its_device.is_some()
                        && seat.endpoint == *endpoint
                        && seat.device.as_ref() == *its_device
            };
            let leave: Vec<u64> = seats.iter().filter(is_its).map(|(number, _)| *number).collect();
            for number in leave {
                let client = seats.remove(&number).and_then(|seat| seat.client);
                let client = client.and_then(|client| self.clients.get(&client));
                gone.extend(client.map(|client| (**client).clone()));
            }
        }
        self.seat_last += 1;
        let seat = Seat { endpoint: endpoint.clone(), device: device.cloned(), client: None };
        seats.insert(self.seat_last, seat);
        Ok((self.seat_last, gone))
    }

    fn leave(&mut self, user: &Arc<str>, number: u64) {
        if let Entry::Occupied(mut seats) = self.users.entry(user.clone()) {
            seats.get_mut().remove(&number);
            if seats.get().is_empty() {
                seats.remove();
            }
        }
    }

    fn seat_of(&mut self, client: &Connected) -> Option<&mut Seat> {
        let known = client.known();
        self.users.get_mut(known.user.as_ref()?)?.get_mut(&known.seat?)
    }

    /// Forgets what was counted of a client.
    fn forget(&mut self, client: &Connected) {
        if let Some(origin) = client.origin() {
            self.uncount(origin);
        }
        if let Known { user: Some(user), seat: Some(number), .. } = client.known() {
            self.leave(user, *number);
        }
    }

    fn give_back(&mut self, origin: Origin) {
        self.reserved -= 1;
        self.uncount(origin);
    }
}

impl Known {
    /// What a client holds of it: nothing where nothing is known.
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        (self != NOBODY).then(|| Box::new(self))
    }
}

impl Connected {
    /// Who it is.
    pub fn known(&self) -> &Known {
        self.known.as_deref().unwrap_or(&NOBODY)
    }

    fn known_mut(&mut self) -> &mut Known {
        self.known.get_or_insert_default()
    }

    fn origin(&self) -> Option<Origin> {
        let network = network_of(self.address?.ip());
        Some(Origin { network, endpoint: self.way.id.clone() })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if let Some(origin) = self.origin.take() {
            state.give_back(origin);
        }
        if let Some((user, number)) = self.seat.take() {
            state.leave(&user, number);
        }
    }
}

impl Reservation {
    /// The client turns out to be a user's: keeps a place among that user's devices. The clients
    /// that have to go for it.
    pub(crate) fn sit(
        &mut self,
        user: &Arc<str>,
        device: Option<&Arc<str>>,
        devices: Devices,
    ) -> Result<Vec<Connected>, TooManyDevices> {
        let Some(origin) = &self.origin else { return Ok(Vec::new()) };
        let (number, gone) = self.state.lock().sit(user, &origin.endpoint, device, devices)?;
        self.seat = Some((user.clone(), number));
        Ok(gone)
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
        Ok(Reservation { state: self.state.clone(), origin: Some(origin), seat: None })
    }

    /// A client came, in place of its reservation.
    pub(crate) fn insert(
        &self,
        id: ClientId,
        mut client: Connected,
        reservation: Option<Reservation>,
    ) {
        let kept = reservation.map(|mut kept| (kept.origin.take(), kept.seat.take()));
        let (origin, seat) = kept.unwrap_or_default();
        let mut state = self.state.lock();
        // In one step, so that nobody counts twice.
        if let Some(origin) = origin {
            state.give_back(origin);
        }
        if let Some((_, number)) = seat {
            client.known_mut().seat = Some(number);
        }
        if let Some(seat) = state.seat_of(&client) {
            seat.client = Some(id);
        }
        if let Some(origin) = client.origin() {
            state.count(origin);
        }
        state.clients.insert(id, Box::new(client));
    }

    /// A client is gone: the one of that place, since its id may belong to a newer one by now.
    /// Whether it still had the id.
    pub fn remove(&self, id: ClientId, worker: usize, key: ClientKey) -> bool {
        let mut state = self.state.lock();
        let is_same = |client: &Connected| client.worker == worker && client.key == key;
        if !state.get(id).is_some_and(is_same) {
            return false;
        }
        if let Some(gone) = state.clients.remove(&id) {
            state.forget(&gone);
        }
        true
    }

    /// A client has shown who it is: it takes a place among its user's devices. The clients that
    /// have to go for it.
    pub(crate) fn identify(
        &self,
        id: ClientId,
        who: &Principal,
        device: Option<&Arc<str>>,
        devices: Devices,
    ) -> Result<Vec<Connected>, TooManyDevices> {
        let mut state = self.state.lock();
        let Some(mut client) = state.clients.get(&id).cloned() else { return Ok(Vec::new()) };
        let mut known = client.known().clone();
        known.token_id.clone_from(&who.token_id);
        known.issued_at_ms = who.issued_at_ms;
        let mut gone = Vec::new();
        if let (None, Some(user)) = (&known.user, &who.user) {
            let endpoint = client.way.id.clone();
            let (number, leave) = state.sit(user, &endpoint, device, devices)?;
            (known.user, known.seat) = (Some(user.clone()), Some(number));
            known.device = device.cloned().or(known.device);
            gone = leave;
        }
        client.known = known.boxed();
        if let Some(seat) = state.seat_of(&client) {
            seat.client = Some(id);
        }
        state.clients.insert(id, client);
        Ok(gone)
    }

    /// The clients of a user.
    pub(crate) fn of_user(&self, user: &str) -> Vec<(ClientId, Connected)> {
        let state = self.state.lock();
        let seats = state.users.get(user).into_iter().flat_map(BTreeMap::values);
        let clients = seats.filter_map(|seat| seat.client);
        clients.filter_map(|id| Some((id, state.get(id)?.clone()))).collect()
    }

    /// Clients of which something holds.
    pub(crate) fn filter(&self, holds: impl Fn(&Connected) -> bool) -> Vec<(ClientId, Connected)> {
        let state = self.state.lock();
        let found = state.all().filter(|(_, client)| holds(client));
        found.map(|(id, client)| (id, client.clone())).collect()
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
        if device.is_some() {
            client.known_mut().device = device;
        }
        if let Some(seat) = state.seat_of(&client) {
            (seat.client, seat.device) = (Some(id), client.known().device.clone());
        }
        let superseded = state.clients.insert(id, client)?;
        state.forget(&superseded);
        Some(*superseded)
    }

    /// The client of that id.
    pub fn get(&self, id: ClientId) -> Option<Connected> {
        self.state.lock().get(id).cloned()
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.state.lock().clients.len()
    }

    /// How many clients there are at endpoints of these ids; in all, where none is named.
    pub(crate) fn count_at(&self, endpoints: &[Arc<str>]) -> usize {
        if endpoints.is_empty() {
            return self.len();
        }
        let is_there = |client: &Connected| endpoints.contains(&client.way.id);
        self.state.lock().all().filter(|(_, client)| is_there(client)).count()
    }

    /// How many users there are among the clients at the endpoint of this id.
    pub(crate) fn users_at(&self, endpoint: &str) -> usize {
        let state = self.state.lock();
        let here = state.all().filter(|(_, client)| *client.way.id == *endpoint);
        here.filter_map(|(_, client)| client.known().user.as_ref()).collect::<HashSet<_>>().len()
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
        let wanted = |(id, client): &(ClientId, &Connected)| {
            after.is_none_or(|after| *id > after)
                && user.is_none_or(|user| client.known().user.as_deref() == Some(user))
        };
        let mut found: Vec<_> = state.all().filter(wanted).collect();
        found.sort_unstable_by_key(|(id, _)| *id);
        found.truncate(limit);
        found.into_iter().map(|(id, client)| (id, client.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_nobody_is_listed_in_little() {
        assert!(size_of::<Connected>() <= 80, "{}", size_of::<Connected>());
        assert_eq!(Known::default().boxed(), None);
    }
}

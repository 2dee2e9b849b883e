use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use protocol::ClientId;
use slab::Slab;

use crate::session::Session;

/// Which session has an id. Only places are kept, since sessions know their ids: an entry takes 5
/// bytes, and would take 33 with the id.
#[derive(Default)]
pub(super) struct Ids {
    places: HashTable<u32>,
    hasher: RandomState,
}

impl Ids {
    /// The place of the session that has an id.
    pub(super) fn get(&self, id: ClientId, sessions: &Slab<Session>) -> Option<u32> {
        let is_it = |place: &u32| id_at(*place, sessions) == Some(id);
        self.places.find(self.hasher.hash_one(Some(id)), is_it).copied()
    }

    /// The session at `place` has its id from now on, in place of another one that has it.
    pub(super) fn insert(&mut self, place: u32, sessions: &Slab<Session>) {
        let id = id_at(place, sessions);
        let is_it = |other: &u32| id_at(*other, sessions) == id;
        let hash = |place: &u32| self.hasher.hash_one(id_at(*place, sessions));
        match self.places.entry(self.hasher.hash_one(id), is_it, hash) {
            Entry::Occupied(mut known) => *known.get_mut() = place,
            Entry::Vacant(free) => drop(free.insert(place)),
        }
    }

    /// The session at `place` has an id no more, where no other one has it by now.
    pub(super) fn remove(&mut self, id: ClientId, place: u32) {
        let is_it = |other: &u32| *other == place;
        if let Ok(known) = self.places.find_entry(self.hasher.hash_one(Some(id)), is_it) {
            known.remove();
        }
    }
}

fn id_at(place: u32, sessions: &Slab<Session>) -> Option<ClientId> {
    Some(sessions.get(place as usize)?.client)
}

use engine::{ClientKey, Remember};

use super::person::Person;
use super::record::Left;
use super::wire::push_ping;
use super::world::{Step, World};

/// What the server remembers of people who cannot say where they were, as its transports and its
/// list of the absent do.
impl World {
    /// What somebody who comes back had on the connection that dropped longest ago.
    pub(super) fn take_left(&mut self, person: usize) -> Option<Left> {
        let who = &mut self.people[person];
        if !who.is_remembered {
            return None;
        }
        let left = who.left.pop_front();
        who.return_silently(left.as_ref());
        left
    }

    /// A worker has noticed that a client is gone.
    pub(super) fn remember(&mut self, connection: usize) {
        let gone = &mut self.connections[connection];
        let (worker, key, person) = (gone.worker, gone.key, gone.person);
        if std::mem::replace(&mut gone.is_gone, true) || !self.people[person].is_remembered {
            return;
        }
        if let Some(what) = self.nodes[worker].worker.remember(key) {
            self.tell(|| format!("of connection {connection} is remembered {what:?}"));
            self.people[person].left.push_back(Left { connection, what });
        }
    }

    /// Whether what somebody had is not there yet, as a worker does not know that they dropped.
    pub(super) fn is_only_seemingly_gone(&self, person: usize) -> bool {
        let is_there = |it: &super::connection::Connection| it.person == person && !it.is_gone;
        self.people[person].is_remembered && self.connections.iter().any(is_there)
    }

    /// Everybody comes back: that they dropped is noticed before.
    pub(super) fn notice_the_remembered(&mut self) {
        for connection in 0..self.connections.len() {
            let person = &self.people[self.connections[connection].person];
            if person.is_remembered && !self.connections[connection].is_open {
                self.gone(connection);
            }
        }
    }

    /// A worker asks whether a client is there, behind all that waits to be written.
    pub(super) fn heartbeat(&mut self, node: usize, key: ClientKey) {
        let worker = &mut self.nodes[node].worker;
        let Some(number) = worker.ping(key) else { return };
        worker.append(key, |out| push_ping(number, out));
        if self.planted.answers_early() {
            self.nodes[node].worker.handle_pong(key, number);
        }
    }

    /// A client answers, unless it is too busy.
    pub(super) fn answer_ping(&mut self, connection: usize, number: u64) {
        if !self.random.one_in(4) {
            let delay = self.random.delay(0, 200);
            self.after(delay, Step::Pong(connection, number));
        }
    }

    /// The answer arrives, also from a client that has dropped by now.
    pub(super) fn pong(&mut self, connection: usize, number: u64) {
        let it = &self.connections[connection];
        let (node, key) = (it.worker, it.key);
        self.nodes[node].worker.handle_pong(key, number);
    }
}

/// How a worker is to remember somebody.
pub(super) fn remember(who: &Person, left: Option<&Left>) -> Option<Remember> {
    let left = left.map(|left| left.what.clone());
    who.is_remembered.then_some(Remember { left, can_resume: false })
}

use std::sync::Arc;

use engine::{Broker, StreamIndex};
use protocol::CloseReason;

use super::machine::End;
use super::model::Model;
use super::topology::GROUPS;
use super::world::{Step, World};

/// What goes wrong, and what operators and programs do.
impl World {
    /// Programs publish some events at once to one stream.
    pub(super) fn burst(&mut self) {
        if self.is_healing {
            return;
        }
        let count = self.random.between(1, self.topology.burst_max);
        let first = self.any_draft();
        let Some(stream) = self.topology.table.stream_of(&first.topic) else { return };
        let mut drafts = vec![first];
        for _ in 1..count {
            let draft = self.any_draft();
            if self.topology.table.stream_of(&draft.topic) == Some(stream) {
                drafts.push(draft);
            }
        }
        self.store.append(stream, drafts, Box::new(|_| {}));
        let delay = self.random.delay(1, self.topology.burst_every_ms * 2);
        self.after(delay * self.slowness(), Step::Burst);
    }

    /// Something goes wrong, and something else later.
    pub(super) fn fault(&mut self) {
        if self.is_healing {
            return;
        }
        let streams = self.topology.table.specs().len() as u64;
        let at = StreamIndex(self.random.below(streams) as u32);
        let node = self.any_node();
        match self.random.below(14) {
            what @ 0..=3 => match self.store.clone().model() {
                Some(model) => self.fault_of_model(model, what, at),
                None => self.fault_of_machine(what),
            },
            4 => self.away_until = self.clock.ms() + self.random.delay(10, 2_000),
            5 | 6 => {
                let until = self.clock.ms() + self.random.delay(10, 1_500);
                self.tell(|| format!("worker {node} freezes until {until}"));
                self.nodes[node].frozen_until = until;
            }
            7 => self.nodes[node].lag_ms = *self.random.pick(&[0, 1, 20, 200]),
            8..=10 => self.move_a_session(),
            11 | 12 => self.change_a_group(),
            _ => self.close_a_client(),
        }
        let delay = self.random.delay(1, self.topology.fault_every_ms * 2);
        self.after(delay * self.slowness(), Step::Fault);
    }

    /// Any worker of the process that runs.
    pub(super) fn any_node(&mut self) -> usize {
        let running = self.nodes.len() - self.nodes_over;
        self.nodes_over + self.random.below(running as u64) as usize
    }

    fn fault_of_model(&mut self, model: &Model, what: u64, at: StreamIndex) {
        match what {
            0 => self.restart(model, at),
            1 => {
                let count = self.random.below(20);
                self.tell(|| format!("retention leaves {count} of s{}", at.0));
                if count.is_multiple_of(2) {
                    model.expire(at, count);
                } else {
                    model.shorten(at, count);
                }
            }
            2 => {
                let which = self.random.bits() as usize;
                self.tell(|| format!("damage in s{}", at.0));
                model.damage(at, which);
            }
            _ => {
                let count = self.random.between(1, 5);
                self.tell(|| format!("a hole of {count} at the head of s{}", at.0));
                model.skip(at, count);
            }
        }
    }

    fn fault_of_machine(&mut self, what: u64) {
        let store = self.store.clone();
        let Some(machine) = store.machine() else { return };
        match what {
            0 => self.restart_process(End::Killed),
            1 => {
                let end = self.planted.power();
                self.restart_process(end);
            }
            2 => {
                let room = self.random.one_in(2).then(|| self.random.below(20_000));
                self.tell(|| format!("there is room for {room:?}"));
                machine.set_room(room);
            }
            _ if self.is_broken => {}
            _ => {
                self.tell(|| "syncs fail".into());
                machine.break_syncs();
                self.is_broken = true;
                let end = *self.random.pick(&[End::Killed, End::Power]);
                let delay = self.random.between(1, 300);
                self.after(delay, Step::Restart(end));
            }
        }
    }

    /// The process ends with all of its clients, and begins again.
    pub(super) fn restart_process(&mut self, end: End) {
        if self.is_healing {
            return;
        }
        self.tell(|| format!("the process ends: {end:?}"));
        for connection in 0..self.connections.len() {
            self.end_connection(connection);
        }
        drop(self.store.take_asks());
        self.answers.lock().unwrap().clear();
        self.nodes_over = self.nodes.len();
        self.is_broken = false;
        if let Some(machine) = self.store.machine() {
            machine.restart(end);
        }
        self.start_workers();
    }

    /// A stream begins a new epoch, with all, some or none of what it kept.
    fn restart(&mut self, model: &Model, at: StreamIndex) {
        let last = self.store.with_ledger(at.get(), |ledger| {
            ledger.current().heads.last().map_or(0, |(_, head)| *head)
        });
        let kept_to = match self.random.below(3) {
            0 => None,
            1 => Some(last),
            _ => Some(self.random.between(0, last)),
        };
        let bits = self.planted.epoch_bits(self.random.bits());
        self.tell(|| format!("s{} begins an epoch, keeps up to {kept_to:?}", at.0));
        model.restart(at, kept_to, bits);
    }

    /// Takes a session out of its worker and puts it into any.
    fn move_a_session(&mut self) {
        let Some(connection) = self.any_connection() else { return };
        let (from, key) = (self.connections[connection].worker, self.connections[connection].key);
        let to = self.any_node();
        let now = self.clock.now();
        let is_frozen = |node: usize| self.nodes[node].frozen_until > now.ms;
        if is_frozen(from) || is_frozen(to) {
            return;
        }
        let then = self.now(from);
        let Some(snapshot) = self.nodes[from].worker.snapshot(then, key) else { return };
        let now = self.now(to);
        let key = self.nodes[to].worker.restore(now, snapshot);
        self.tell(|| format!("connection {connection} moves from worker {from} to {to}"));
        let moved = &mut self.connections[connection];
        (moved.worker, moved.key) = (to, key);
        moved.record.moved.push(self.clock.tick());
        if moved.is_blocked {
            self.nodes[to].worker.blocked(key);
        }
        self.serve(from);
        self.serve(to);
    }

    /// Somebody joins a group, or leaves it.
    fn change_a_group(&mut self) {
        let Some(connection) = self.any_connection() else { return };
        let (node, key) = (self.connections[connection].worker, self.connections[connection].key);
        let person = self.connections[connection].person;
        let group: Arc<str> = (*self.random.pick(&GROUPS)).into();
        let is_member = self.random.one_in(2);
        let groups = &mut self.people[person].groups;
        groups.retain(|other| *other != group);
        if is_member {
            groups.push(group.clone());
        }
        let change = (self.clock.tick(), groups.clone());
        self.connections[connection].record.groups.push(change);
        self.nodes[node].worker.set_group(key, &group, is_member);
        self.tell(|| format!("connection {connection} in {group}: {is_member}"));
        self.serve(node);
    }

    fn close_a_client(&mut self) {
        let Some(connection) = self.any_connection() else { return };
        let (node, key) = (self.connections[connection].worker, self.connections[connection].key);
        self.tell(|| format!("connection {connection} is closed"));
        let now = self.now(node);
        self.nodes[node].worker.close(now, key, CloseReason::Draining, None);
        self.connections[connection].is_closing = true;
        self.serve(node);
    }

    /// Any client that is there and stays.
    fn any_connection(&mut self) -> Option<usize> {
        let is_there = |place: &usize| {
            self.connections[*place].is_open && !self.connections[*place].is_closing
        };
        let there: Vec<usize> = (0..self.connections.len()).filter(is_there).collect();
        (!there.is_empty()).then(|| *self.random.pick(&there))
    }

    /// Everybody leaves for long, and little is published and goes wrong meanwhile.
    pub(super) fn silence(&mut self) {
        self.tell(|| "everybody leaves".into());
        self.silent_until = self.clock.ms() + self.topology.silence_ms;
        for connection in 0..self.connections.len() {
            if self.connections[connection].is_open {
                self.drop_connection(connection);
            }
        }
    }

    /// How much longer it takes until something happens, where nobody is there.
    fn slowness(&self) -> u64 {
        if self.silent_until > self.clock.ms() { 30 } else { 1 }
    }

    /// Everything that went wrong is right again, and everybody is there.
    pub(super) fn heal(&mut self) {
        self.tell(|| "everything heals".into());
        if self.is_broken {
            self.restart_process(End::Killed);
        }
        if let Some(machine) = self.store.machine() {
            machine.set_room(None);
        }
        self.is_healing = true;
        self.away_until = 0;
        for node in &mut self.nodes {
            (node.frozen_until, node.lag_ms) = (0, 1);
        }
        for connection in 0..self.connections.len() {
            if self.connections[connection].is_blocked {
                self.after(1, Step::Writable(connection));
            }
            if self.connections[connection].is_closing {
                self.gone(connection);
            }
        }
        self.notice_the_remembered();
        for person in 0..self.people.len() {
            if self.people[person].connection.is_none() {
                self.connect(person);
            }
        }
    }
}

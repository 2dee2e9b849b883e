use std::sync::Arc;

use engine::{Connect, Device, Grants};
use protocol::{
    ClientId, Command, Draft, History, Mode, Position, Start, Subscribe, Unsubscribe, Welcome,
};

use super::clock::WALL_MS;
use super::connection::Connection;
use super::person::{Person, Pipe};
use super::record::{Entry, Record, What};
use super::remembering::remember;
use super::topology::{
    GROUPS, USERS, any_audience, any_filter, any_pattern, any_topic, draft, pattern,
};
use super::wire::{NAMED, PLAIN, SPACED, Unspelled};
use super::world::{Step, World};

/// What people do.
impl World {
    /// Anybody.
    pub(super) fn somebody(&mut self) -> Person {
        let random = &mut self.random;
        let user = (!random.one_in(3)).then(|| Arc::from(*random.pick(&USERS)));
        let subscribe = if self.topology.is_varied && random.one_in(4) {
            vec![pattern("a.>"), pattern("latest.>"), pattern("*.k")]
        } else {
            vec![pattern(">")]
        };
        let grants =
            Arc::new(Grants { subscribe, publish: vec![pattern(">")], ..Grants::default() });
        let rendering = *random.pick(&[PLAIN, PLAIN, SPACED, NAMED]);
        let pipe = *random.pick(&[Pipe::Quick, Pipe::Slow, Pipe::Narrow, Pipe::Stalling]);
        let mut person = Person::new(user, grants, rendering, pipe);
        for group in GROUPS {
            if random.one_in(3) {
                person.groups.push(group.into());
            }
        }
        person.is_remembered = self.topology.remembers && random.one_in(2);
        person
    }

    /// Somebody does something, and something else later.
    pub(super) fn act(&mut self, person: usize) {
        if self.is_healing {
            return;
        }
        if self.silent_until > self.clock.ms() {
            return self.at(self.silent_until, Step::Act(person));
        }
        match self.people[person].connection {
            None if self.is_only_seemingly_gone(person) => {}
            None => self.connect(person),
            Some(connection) if self.random.one_in(12) => self.drop_connection(connection),
            Some(_) => {
                for _ in 0..self.random.between(1, 3) {
                    let command = self.any_command(person);
                    self.ask(person, command);
                }
            }
        }
        let delay = self.random.delay(1, 300);
        self.after(delay, Step::Act(person));
    }

    /// Somebody connects, and resumes where they were.
    pub(super) fn connect(&mut self, person: usize) {
        let node = self.any_node();
        let client = ClientId(u128::from(self.random.bits()));
        self.clients.push(client);
        let left = self.take_left(person);
        let who = &self.people[person];
        let heartbeat_ms = self.random.between(100, 700) as u32;
        let welcome = Welcome {
            client,
            session: String::new(),
            node: "n".into(),
            user: who.user.clone(),
            heartbeat_ms: u64::from(heartbeat_ms),
            message_bytes_max: 1 << 20,
            subscriptions_max: 20,
        };
        let connect = Connect {
            client,
            user: self.planted.user(who.user.clone()),
            groups: who.groups.clone(),
            device: Some(device_of(person)),
            remember: remember(who, left.as_ref()),
            grants: self.planted.grants(who.grants.clone()),
            expires_at_ms: None,
            must_authenticate: false,
            rendering: who.rendering,
            conversation: Box::new(Unspelled),
            subscriptions: Vec::new(),
            heartbeat_ms,
            subscriptions_max: 20,
            opening: Vec::new(),
            welcome: Some(Box::new(welcome)),
        };
        let record = Record { restored: left, ..self.open_record(person, client) };
        let now = self.now(node);
        let key = self.nodes[node].worker.connect(now, connect);
        let connection = self.connections.len();
        self.tell(|| {
            format!("person {person} opens connection {connection} to worker {node} as {client}")
        });
        self.connections.push(Connection::new(person, node, key, record));
        self.people[person].connection = Some(connection);
        let says_hello = !self.people[person].is_remembered;
        if says_hello && (!self.people[person].wanted.is_empty() || self.random.one_in(2)) {
            let restores = self.random.one_in(2);
            let table = self.topology.table.clone();
            let hello = self.people[person].hello(&table, restores);
            self.ask(person, hello);
        }
        self.serve(node);
    }

    fn open_record(&mut self, person: usize, client: ClientId) -> Record {
        let user = self.planted.user(self.people[person].user.clone());
        let who = &self.people[person];
        let opened = self.clock.tick();
        Record {
            client,
            user: who.user.clone(),
            device: Device { user, name: device_of(person) },
            grants: who.grants.clone(),
            rendering: who.rendering,
            is_quick: who.pipe == Pipe::Quick,
            person,
            is_remembered: who.is_remembered,
            restored: None,
            opened,
            closed: None,
            groups: vec![(opened, who.groups.clone())],
            moved: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// A client is gone; its worker may notice later.
    pub(super) fn drop_connection(&mut self, connection: usize) {
        self.tell(|| format!("connection {connection} drops"));
        self.end_connection(connection);
        let delay = if self.random.one_in(3) { self.random.below(300) } else { 0 };
        self.after(delay, Step::Gone(connection));
    }

    pub(super) fn end_connection(&mut self, connection: usize) {
        let tick = self.clock.tick();
        let ended = &mut self.connections[connection];
        if std::mem::take(&mut ended.is_open) {
            ended.record.closed = Some(tick);
            ended.up.clear();
            self.people[ended.person].connection = None;
        }
    }

    /// A worker notices that a client is gone.
    pub(super) fn gone(&mut self, connection: usize) {
        self.end_connection(connection);
        let (node, key) = (self.connections[connection].worker, self.connections[connection].key);
        self.remember(connection);
        let now = self.now(node);
        self.nodes[node].worker.disconnect(now, key);
    }

    /// Sends a command.
    pub(super) fn ask(&mut self, person: usize, command: Command) {
        let Some(place) = self.people[person].connection else { return };
        let request = self.people[person].ask(command);
        let connection = &mut self.connections[place];
        let entry = Entry { at: self.clock.tick(), what: What::Asked(request.clone()) };
        connection.record.entries.push(entry);
        connection.up.push_back(request);
        let delay = self.random.delay(0, 20);
        self.schedule_up(place, delay);
    }

    fn any_command(&mut self, person: usize) -> Command {
        let subscriptions = self.people[person].wanted.len() as u64;
        match self.random.below(10) {
            0..=2 if subscriptions < 5 => Command::Subscribe(Box::new(self.any_subscribe(person))),
            3 if subscriptions > 0 => Command::Unsubscribe(self.any_unsubscribe(person)),
            4 => Command::History(Box::new(self.any_history())),
            5 => Command::Ping,
            6 if !self.people[person].places.is_empty() => {
                Command::Acknowledge(self.any_acknowledgement(person))
            }
            _ if subscriptions == 0 => Command::Subscribe(Box::new(self.any_subscribe(person))),
            _ => Command::Publish(Box::new(self.any_publish(person))),
        }
    }

    fn roots(&self) -> usize {
        self.topology.table.specs().len()
    }

    fn any_subscribe(&mut self, person: usize) -> Subscribe {
        let roots = self.roots();
        let is_varied = self.topology.is_varied;
        let count = if is_varied { self.random.between(1, 3) } else { 1 };
        let topics = (0..count).map(|_| any_pattern(&mut self.random, roots)).collect();
        let has_except = is_varied && self.random.one_in(4);
        let except =
            if has_except { vec![any_pattern(&mut self.random, roots)] } else { Vec::new() };
        let start = self.any_start(person);
        let mode = match self.random.below(10) {
            0 if is_varied => Mode { latest: true, ..Mode::EVERY },
            1 if is_varied => Mode { latest: true, interval_ms: 40, batch: false },
            2 if is_varied => Mode { interval_ms: 25, batch: true, ..Mode::EVERY },
            3 if is_varied => Mode { batch: true, ..Mode::EVERY },
            _ => Mode::EVERY,
        };
        let filter = (is_varied && self.random.one_in(3)).then(|| any_filter(&mut self.random));
        Subscribe { topics, except, filter, start, mode }
    }

    fn any_start(&mut self, person: usize) -> Start {
        match self.random.below(6) {
            // Who is remembered says nothing of where it was.
            2 | 5 if self.people[person].is_remembered => Start::Now,
            5 => Start::Stored,
            0 => Start::Last(self.random.below(30) as u32),
            1 => Start::Since(WALL_MS + self.clock.ms().saturating_sub(self.random.below(500))),
            2 => Start::Positions(self.any_positions(person)),
            _ => Start::Now,
        }
    }

    /// What somebody has, or had before; now and then more than that.
    fn any_acknowledgement(&mut self, person: usize) -> Vec<Position> {
        let mut positions = Vec::new();
        for (at, (epoch, seq)) in self.people[person].places.clone() {
            let stream = self.topology.table.specs()[at].name.clone();
            let seq = match self.random.below(6) {
                0 => seq + self.random.below(5),
                1 | 2 => seq.saturating_sub(self.random.below(20)),
                _ => seq,
            };
            positions.push(Position { stream, epoch, seq });
        }
        positions
    }

    /// Positions that somebody may hold: places of their own, or earlier ones.
    fn any_positions(&mut self, person: usize) -> Vec<Position> {
        let mut positions = Vec::new();
        for (at, (epoch, seq)) in self.people[person].places.clone() {
            if self.random.one_in(4) {
                continue;
            }
            let back = if self.random.one_in(2) { self.random.below(50) } else { 0 };
            let stream = self.topology.table.specs()[at].name.clone();
            positions.push(Position { stream, epoch, seq: seq.saturating_sub(back) });
        }
        positions
    }

    fn any_unsubscribe(&mut self, person: usize) -> Unsubscribe {
        let (id, body) = self.random.pick(&self.people[person].wanted).clone();
        if self.random.one_in(2) {
            Unsubscribe::Topics(vec![self.random.pick(&body.topics).clone()])
        } else {
            Unsubscribe::Subscription(id)
        }
    }

    fn any_history(&mut self) -> History {
        let roots = self.roots();
        let topic = any_pattern(&mut self.random, roots);
        let at = self.random.below(roots as u64) as usize;
        let stream = Some(self.topology.table.specs()[at].name.clone());
        let epoch = self.store.with_ledger(at, |ledger| {
            self.random.one_in(2).then(|| self.random.pick(&ledger.epochs).epoch.clone())
        });
        let after = self.random.below(100);
        let limit = self.random.between(1, 60) as u32;
        History { topic, stream, epoch, after, limit }
    }

    /// A new event, or one whose fate is unknown once more.
    fn any_publish(&mut self, person: usize) -> Draft {
        if self.random.one_in(3)
            && let Some((_, again)) = self.people[person].unanswered.first()
        {
            return again.clone();
        }
        let id = self.random.one_in(2);
        let draft = self.any_draft();
        let id = id.then(|| self.published.to_string().into());
        Draft { id, ..draft }
    }

    pub(super) fn any_draft(&mut self) -> Draft {
        self.published += 1;
        let roots = self.roots();
        let topic = any_topic(&mut self.random, roots);
        let recent = &self.clients[self.clients.len().saturating_sub(20)..];
        let audience = any_audience(&mut self.random, recent);
        draft(&mut self.random, self.published, topic, audience)
    }
}

/// How somebody's only device is called.
fn device_of(person: usize) -> Arc<str> {
    format!("of-{person}").into()
}

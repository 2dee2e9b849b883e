use std::io::IoSlice;

use engine::ClientKey;

use super::checkers::bounds;
use super::person::Pipe;
use super::record::{Entry, What};
use super::wire::Heard;
use super::world::{Step, World};

/// Bytes between workers and clients.
impl World {
    /// A worker lets its clients write.
    pub(super) fn transmit(&mut self, node: usize) {
        while let Some(key) = self.nodes[node].worker.poll_transmit() {
            if let Some(connection) = self.connection_of(node, key) {
                self.write(connection, false);
            }
        }
        // Who reads on may need a page.
        self.take_requests(node);
    }

    /// A socket takes more.
    pub(super) fn writable(&mut self, connection: usize) {
        if !self.connections[connection].is_blocked {
            return;
        }
        self.connections[connection].is_blocked = false;
        let (node, key) = (self.connections[connection].worker, self.connections[connection].key);
        let now = self.now(node);
        self.nodes[node].worker.handle_writable(now, key);
        self.write(connection, true);
        self.serve(node);
    }

    /// Writes until there is nothing more, or the socket takes no more.
    fn write(&mut self, connection: usize, is_refill: bool) {
        let (node, key) = (self.connections[connection].worker, self.connections[connection].key);
        loop {
            let capacity = self.capacity(connection);
            let (taken, shown) = self.gather(node, key, capacity);
            self.look(connection, is_refill);
            if shown == 0 {
                break;
            }
            self.connections[connection].write(&taken);
            self.nodes[node].worker.sent(key, taken.len());
            if taken.len() < shown {
                self.block(connection);
                break;
            }
        }
        if !self.connections[connection].is_arrival_due {
            self.connections[connection].is_arrival_due = true;
            let delay = self.random.delay(0, 5);
            self.after(delay, Step::Arrive(connection));
        }
    }

    /// What a client's socket takes of what its worker shows, and how much that is.
    fn gather(&mut self, node: usize, key: ClientKey, capacity: usize) -> (Vec<u8>, usize) {
        let mut room = [IoSlice::new(&[]); 16];
        let room = &mut room[..self.random.between(1, 16) as usize];
        let count = self.nodes[node].worker.gather(key, room);
        let (mut taken, mut shown) = (Vec::new(), 0);
        for slice in &room[..count] {
            let fits = slice.len().min(capacity - taken.len());
            taken.extend_from_slice(&slice[..fits]);
            shown += slice.len();
        }
        (taken, shown)
    }

    /// Notes what is in a client's write by now.
    fn look(&mut self, connection: usize, is_refill: bool) {
        self.refills += 1;
        let refill = is_refill.then_some(self.refills);
        let tick = self.clock.tick();
        let connection = &mut self.connections[connection];
        let ms = self.nodes[connection.worker].told_ms;
        let (pending, held) = self.nodes[connection.worker].worker.outbox_bytes(connection.key);
        bounds::check_outbox(pending, held);
        connection.look(pending, tick, ms, refill);
    }

    /// How much the socket takes.
    fn capacity(&mut self, connection: usize) -> usize {
        let pipe = self.people[self.connections[connection].person].pipe;
        match pipe {
            _ if self.is_healing => usize::MAX,
            Pipe::Quick => usize::MAX,
            Pipe::Slow => self.random.between(0, 1_500) as usize,
            Pipe::Narrow => self.random.between(0, 9) as usize,
            Pipe::Stalling if self.random.one_in(8) => self.random.below(20_000) as usize,
            Pipe::Stalling => usize::MAX,
        }
    }

    fn block(&mut self, connection: usize) {
        let (node, key) = (self.connections[connection].worker, self.connections[connection].key);
        self.nodes[node].worker.blocked(key);
        self.connections[connection].is_blocked = true;
        let delay = match self.people[self.connections[connection].person].pipe {
            Pipe::Stalling => self.random.delay(10, 3_000),
            Pipe::Narrow => self.random.below(2),
            _ => self.random.delay(1, 40),
        };
        self.after(delay, Step::Writable(connection));
    }

    /// Bytes reach a client.
    pub(super) fn arrive(&mut self, connection: usize) {
        let place = connection;
        let connection = &mut self.connections[place];
        connection.is_arrival_due = false;
        if !connection.is_open {
            return;
        }
        let mut frames = connection.arrive(&self.said);
        self.planted.tamper(&self.topology.table, &mut frames);
        let at = self.clock.tick();
        for (heard, put) in frames {
            self.tell(|| format!("connection {place} hears {}", brief(&heard)));
            let connection = &mut self.connections[place];
            self.people[connection.person].hear(&self.topology.table, &heard);
            let ping = if let Heard::Ping(number) = heard { Some(number) } else { None };
            connection.record.entries.push(Entry { at, what: What::Heard(heard, put) });
            if let Some(number) = ping {
                self.answer_ping(place, number);
            }
        }
    }

    /// Commands reach a worker.
    pub(super) fn bring_up(&mut self, connection: usize) {
        let (node, key) = (self.connections[connection].worker, self.connections[connection].key);
        self.connections[connection].is_up_due = false;
        if !self.nodes[node].worker.is_accepting(key) {
            if self.connections[connection].is_open && !self.connections[connection].up.is_empty() {
                self.schedule_up(connection, 2);
            }
            return;
        }
        // What comes in one read is carried out whatever becomes of the first command of it.
        for _ in 0..self.random.between(1, 3) {
            let Some(mut request) = self.connections[connection].up.pop_front() else { break };
            self.tell(|| format!("connection {connection} asks {request:?}"));
            self.planted.misread(&mut request);
            let now = self.now(node);
            self.nodes[node].worker.handle_command(now, key, request);
        }
        if !self.connections[connection].up.is_empty() {
            self.schedule_up(connection, 1);
        }
        self.serve(node);
    }

    pub(super) fn schedule_up(&mut self, connection: usize, delay: u64) {
        if !self.connections[connection].is_up_due {
            self.connections[connection].is_up_due = true;
            self.after(delay, Step::Up(connection));
        }
    }
}

/// What was heard, without its data.
fn brief(heard: &Heard) -> String {
    match heard {
        Heard::Event(event) => format!("event s{}:{}", event.stream, event.seq),
        Heard::Batch(events) => {
            let seqs: Vec<_> = events.iter().map(|event| (event.stream, event.seq)).collect();
            format!("batch {seqs:?}")
        }
        Heard::Message(protocol::Message::Replay { subscription, stream, events, done }) => {
            let seqs: Vec<_> = events.iter().map(|event| event.seq).collect();
            format!("replay of {subscription} {stream}:{seqs:?} done={done}")
        }
        other => format!("{other:?}"),
    }
}

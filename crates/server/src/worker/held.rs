use std::collections::{HashMap, VecDeque};

use engine::{ClientKey, Cursor, Device, LocateTicket, StreamIndex, Ticket};
use protocol::{Draft, Error, Position};

use super::inbox::Input;
use super::shell::Shell;

/// Publishes of a worker's clients that wait before a stream's gate. Who has one here is not read,
/// so a client's share is what one read brought.
#[derive(Default)]
pub(super) struct Held {
    /// In the order in which they came.
    by_stream: HashMap<StreamIndex, VecDeque<Publish>>,
    /// How many each client has.
    by_client: HashMap<ClientKey, usize>,
}

type Publish = (Ticket, Box<Draft>);

impl Held {
    fn push(&mut self, stream: StreamIndex, publish: Publish) {
        *self.by_client.entry(publish.0.client).or_default() += 1;
        self.by_stream.entry(stream).or_default().push_back(publish);
    }

    fn pop(&mut self, stream: StreamIndex) -> Option<Publish> {
        let publish = self.by_stream.get_mut(&stream)?.pop_front()?;
        let client = publish.0.client;
        if let Some(count) = self.by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&client);
            }
        }
        Some(publish)
    }

    fn is_waiting(&self, stream: StreamIndex) -> bool {
        self.by_stream.get(&stream).is_some_and(|queue| !queue.is_empty())
    }

    pub(super) fn has(&self, client: ClientKey) -> bool {
        self.by_client.contains_key(&client)
    }

    /// Takes all that a client has here, in order.
    fn take_of(&mut self, client: ClientKey) -> Vec<(StreamIndex, Publish)> {
        let mut taken = Vec::new();
        if self.by_client.remove(&client).is_none() {
            return taken;
        }
        for (stream, queue) in &mut self.by_stream {
            for publish in std::mem::take(queue) {
                if publish.0.client == client {
                    taken.push((*stream, publish));
                } else {
                    queue.push_back(publish);
                }
            }
        }
        taken
    }
}

impl Shell {
    /// Whether what a client sends is read at the moment.
    pub(crate) fn is_accepting(&self, key: ClientKey) -> bool {
        self.engine.is_accepting(key) && !self.held.has(key)
    }

    /// How many clients are not read because what they published waits, for the broker or for the
    /// consumers of a stream.
    pub(crate) fn waiting_publishers(&self) -> u64 {
        let waits = |key: &ClientKey| self.held.has(*key) || self.engine.is_held_back(*key);
        self.engine.clients().filter(waits).count() as u64
    }

    /// A client publishes: at once, or when the stream's consumers have come closer.
    pub(super) fn publish(&mut self, ticket: Ticket, stream: StreamIndex, draft: Box<Draft>) {
        let node = self.node.clone();
        if let Some(gate) = node.gates.of(stream)
            && !self.is_consumer(ticket.client)
            && (self.held.is_waiting(stream) || !gate.is_open_for(self.place))
        {
            return self.held.push(stream, (ticket, draft));
        }
        self.append(stream, (ticket, draft));
    }

    /// The gate before a stream has opened.
    pub(super) fn release(&mut self, stream: StreamIndex) {
        let node = self.node.clone();
        let Some(gate) = node.gates.of(stream) else { return };
        while self.held.is_waiting(stream) && gate.is_open_for(self.place) {
            if let Some(publish) = self.held.pop(stream) {
                self.append(stream, publish);
            }
        }
    }

    /// Asks the broker for the cursor from which a client's subscription begins.
    pub(super) fn load_cursor(
        &mut self,
        ticket: LocateTicket,
        stream: StreamIndex,
        device: Device,
    ) {
        let Some(inbox) = self.node.inbox(self.place) else { return };
        self.join(ticket.client, &device, [stream].into_iter());
        let (gate, connection) = (self.node.gates.of(stream).cloned(), (self.place, ticket.client));
        let answer = move |cursor: Result<Option<Cursor>, Error>| {
            if let (Some(gate), Ok(cursor)) = (&gate, &cursor) {
                gate.loaded(connection, cursor.as_ref());
            }
            inbox.push(Input::Cursor(ticket, stream, cursor));
        };
        self.node.broker.cursor(stream, device, Box::new(answer));
    }

    /// Stores how far a client's device has come.
    pub(super) fn acknowledge(
        &mut self,
        ticket: Ticket,
        device: Device,
        positions: Vec<(StreamIndex, Position)>,
    ) {
        let Some(inbox) = self.node.inbox(self.place) else { return };
        let streams: Vec<StreamIndex> = positions.iter().map(|(stream, _)| *stream).collect();
        self.join(ticket.client, &device, streams.iter().copied());
        let (node, of_device) = (self.node.clone(), device.clone());
        let answer = move |result: Result<Vec<Position>, Error>| {
            for (stream, position) in streams.iter().zip(result.iter().flatten()) {
                if let Some(gate) = node.gates.of(*stream) {
                    gate.acknowledged(&of_device, &position.epoch, position.seq);
                }
            }
            inbox.push(Input::Acknowledged(ticket, result));
        };
        let broker = self.node.broker.as_ref();
        engine::cursors::acknowledge(broker, &device, positions, Box::new(answer));
    }

    /// A client acknowledges or reads cursors of streams. Publishers may wait for it, so it does
    /// not wait itself: what it acknowledges would not be read either.
    fn join(
        &mut self,
        client: ClientKey,
        device: &Device,
        streams: impl Iterator<Item = StreamIndex>,
    ) {
        let node = self.node.clone();
        for gate in streams.filter_map(|stream| node.gates.of(stream)) {
            gate.join((self.place, client), device);
        }
        if self.held.has(client) && self.is_consumer(client) {
            for (stream, publish) in self.held.take_of(client) {
                self.append(stream, publish);
            }
        }
    }

    /// A client is gone: nobody waits for it, nor for what it could not publish.
    pub(super) fn forget_publisher(&mut self, client: ClientKey) {
        self.held.take_of(client);
        for gate in self.node.gates.all() {
            gate.leave((self.place, client));
        }
    }

    /// Whether publishers still have reason to wait for a client: who gets nothing of the stream
    /// acknowledges nothing.
    pub(crate) fn check_consumer(&mut self, stream: StreamIndex, client: ClientKey) {
        let Some(gate) = self.node.gates.of(stream) else { return };
        // While it subscribes it does not read yet.
        if !self.engine.is_accepting(client) {
            return;
        }
        let name = self.node.table.spec(stream).map(|spec| &spec.name);
        let view = self.engine.view(client);
        let reads = view.is_some_and(|view| view.positions.iter().any(|p| Some(&p.stream) == name));
        if !reads {
            gate.leave((self.place, client));
        }
    }

    fn is_consumer(&self, client: ClientKey) -> bool {
        self.node.gates.all().any(|gate| gate.is_consumer((self.place, client)))
    }

    fn append(&mut self, stream: StreamIndex, (ticket, draft): Publish) {
        let Some(inbox) = self.node.inbox(self.place) else { return };
        let answer = move |mut results: Vec<_>| {
            if let Some(result) = results.pop() {
                inbox.push(Input::Appended(ticket, result));
            }
        };
        match self.node.check_draft(&draft) {
            Ok(()) => self.node.append(stream, vec![*draft], Box::new(answer)),
            Err(error) => answer(vec![Err(error)]),
        }
    }
}

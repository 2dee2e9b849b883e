//! Back-pressure from consumers: where a stream has `wait_for`, publishers wait while a device of
//! that name has too much of the stream before it that it has not acknowledged.

/// How much stands behind a seq.
mod ledger;

use std::sync::Arc;
use std::time::Duration;

use engine::{Broker, ClientKey, Cursor, Device, StreamIndex, StreamState, StreamTable};
use parking_lot::Mutex;
use protocol::{Appended, Draft, Epoch, Error, ErrorCode, Seq};
use tokio::sync::Notify;

use crate::config::Config;
use crate::worker::{Inbox, Input};
use ledger::{Before, Ledger};

/// How long a request waits to publish.
const WAIT: Duration = Duration::from_secs(2);
/// When a request that waited in vain may try again, in ms.
const RETRY_MS: u64 = 1_000;

/// The gates of a node's streams, by place; most have none.
pub(crate) struct Gates(Vec<Option<Arc<Gate>>>);

impl Gates {
    pub(crate) fn new(
        config: &Config,
        table: &StreamTable,
        broker: &Arc<dyn Broker>,
        inboxes: &[Arc<Inbox>],
    ) -> Self {
        let gate_of = |(spec, stream): (&engine::StreamSpec, StreamIndex)| {
            let configured = config.streams.iter().find(|stream| stream.name == spec.name)?;
            let wait_for = configured.wait_for.as_ref()?;
            let bytes_max = wait_for.bytes.as_bytes();
            let gate = Gate {
                stream,
                name: spec.name.to_string(),
                device: wait_for.device.clone(),
                bytes_max,
                broker: broker.clone(),
                inboxes: inboxes.to_vec(),
                state: Mutex::new(State::new(bytes_max)),
                opened: Notify::new(),
            };
            gate.look_again();
            Some(Arc::new(gate))
        };
        Self(table.specs().iter().zip(table.indexes()).map(gate_of).collect())
    }

    /// The gate before a stream, where it has one.
    pub(crate) fn of(&self, stream: StreamIndex) -> Option<&Arc<Gate>> {
        self.0.get(stream.get())?.as_ref()
    }

    /// Every gate.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Gate>> {
        self.0.iter().flatten()
    }
}

/// A client's connection: its worker, and its key there.
pub(crate) type Connection = (usize, ClientKey);

/// What stands between publishers and a stream.
pub(crate) struct Gate {
    stream: StreamIndex,
    name: String,
    device: String,
    bytes_max: u64,
    broker: Arc<dyn Broker>,
    inboxes: Vec<Arc<Inbox>>,
    /// Never held while the broker is asked: it may answer within a lock of its own.
    state: Mutex<State>,
    /// Tells requests that wait.
    opened: Notify,
}

struct State {
    /// None before the broker has told it.
    epoch: Option<Epoch>,
    ledger: Ledger,
    /// What retention took counts for nobody.
    first: Seq,
    /// Bytes on their way to the broker.
    in_flight: u64,
    consumers: Vec<Consumer>,
    /// Workers in which publishes wait.
    waiting: Vec<usize>,
}

/// A connection of a device that publishers wait for.
struct Consumer {
    connection: Connection,
    device: Device,
    /// Up to where it has acknowledged; none before that is known, and then nobody waits for it.
    acknowledged: Option<Seq>,
}

impl State {
    fn new(bytes_max: u64) -> Self {
        let ledger = Ledger::new(bytes_max, Before::default());
        let (consumers, waiting) = (Vec::new(), Vec::new());
        Self { epoch: None, ledger, first: 1, in_flight: 0, consumers, waiting }
    }

    /// What the broker says now. In a new epoch nobody has acknowledged anything yet.
    fn follow(&mut self, now: StreamState, bytes_max: u64) {
        self.first = now.first;
        if self.epoch.as_ref() == Some(&now.epoch) {
            return;
        }
        let count = (now.last + 1).saturating_sub(now.first);
        let average_bytes = now.bytes.checked_div(count).unwrap_or(0);
        self.ledger = Ledger::new(bytes_max, Before { last: now.last, average_bytes });
        self.epoch = Some(now.epoch);
        self.consumers.iter_mut().for_each(|consumer| consumer.acknowledged = None);
    }

    /// What the slowest consumer has not acknowledged yet, with what is on its way; 0 where there
    /// is none.
    fn ahead(&self) -> u64 {
        let acknowledged = self.consumers.iter().filter_map(|consumer| consumer.acknowledged);
        let Some(slowest) = acknowledged.min() else { return 0 };
        let seq = slowest.max(self.first.saturating_sub(1));
        self.ledger.bytes_after(seq).saturating_add(self.in_flight)
    }
}

impl Gate {
    /// Whether nobody need wait.
    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().ahead() <= self.bytes_max
    }

    /// Whether nobody need wait; where somebody must, the worker is told when it is over.
    pub(crate) fn is_open_for(&self, worker: usize) -> bool {
        let mut state = self.state.lock();
        let is_open = state.ahead() <= self.bytes_max;
        if !is_open && !state.waiting.contains(&worker) {
            state.waiting.push(worker);
        }
        is_open
    }

    /// Waits for a while until nobody need wait.
    ///
    /// # Errors
    /// [`ErrorCode::Overloaded`] where that is longer.
    pub(crate) async fn wait(&self) -> Result<(), Error> {
        let is_opened = async {
            loop {
                // Registered before the look, so that nothing is missed in between.
                let mut opened = std::pin::pin!(self.opened.notified());
                opened.as_mut().enable();
                if self.is_open() {
                    return;
                }
                opened.await;
            }
        };
        tokio::time::timeout(WAIT, is_opened).await.map_err(|_| self.refusal())
    }

    /// What publishers are told that cannot wait.
    pub(crate) fn refusal(&self) -> Error {
        let message = format!(
            "the device {:?} is behind in the stream {}; nothing was published",
            self.device, self.name
        );
        Error::new(ErrorCode::Overloaded, message).retry_after(RETRY_MS)
    }

    /// A client reads or stores a cursor of this stream: it is a consumer where its device is the
    /// one, and counts once its position is known.
    pub(crate) fn join(&self, connection: Connection, device: &Device) {
        let mut state = self.state.lock();
        let is_here = state.consumers.iter().any(|consumer| consumer.connection == connection);
        if *device.name == *self.device && !is_here {
            let device = device.clone();
            state.consumers.push(Consumer { connection, device, acknowledged: None });
        }
    }

    /// Whether this connection is one that publishers wait for.
    pub(crate) fn is_consumer(&self, connection: Connection) -> bool {
        let state = self.state.lock();
        state.consumers.iter().any(|consumer| consumer.connection == connection)
    }

    /// A connection subscribed behind its device's cursor: without one, it begins with what is
    /// kept.
    pub(crate) fn loaded(&self, connection: Connection, cursor: Option<&Cursor>) {
        let cursor = cursor.map(|cursor| (cursor.epoch.clone(), cursor.seq));
        self.change(|state| {
            let current = cursor.filter(|(epoch, _)| state.epoch.as_ref() == Some(epoch));
            let seq = current.map_or(0, |(_, seq)| seq);
            let mut consumers = state.consumers.iter_mut();
            if let Some(consumer) = consumers.find(|consumer| consumer.connection == connection) {
                consumer.acknowledged = consumer.acknowledged.max(Some(seq));
            }
        });
    }

    /// A device has acknowledged.
    pub(crate) fn acknowledged(&self, device: &Device, epoch: &Epoch, seq: Seq) {
        self.change(|state| {
            if state.epoch.as_ref() == Some(epoch) {
                for consumer in state.consumers.iter_mut().filter(|c| c.device == *device) {
                    consumer.acknowledged = consumer.acknowledged.max(Some(seq));
                }
            }
        });
    }

    /// A connection is a consumer no more.
    pub(crate) fn leave(&self, connection: Connection) {
        self.change(|state| state.consumers.retain(|c| c.connection != connection));
    }

    /// Events are on their way to the broker; what they count.
    pub(crate) fn begin(&self, drafts: &[Draft]) -> Vec<u64> {
        let sizes: Vec<u64> = drafts.iter().map(|draft| draft.bytes() as u64).collect();
        self.state.lock().in_flight += sizes.iter().sum::<u64>();
        sizes
    }

    /// The broker answered.
    pub(crate) fn finish(&self, sizes: &[u64], results: &[Result<Appended, Error>]) {
        self.change(|state| {
            state.in_flight = state.in_flight.saturating_sub(sizes.iter().sum());
            for (bytes, appended) in sizes.iter().zip(results) {
                let Ok(appended) = appended else { continue };
                if !appended.duplicate && state.epoch.as_ref() == Some(&appended.epoch) {
                    state.ledger.appended(appended.seq, *bytes);
                }
            }
        });
    }

    /// Sees what nobody tells: what retention took, and a new epoch.
    pub(crate) fn look_again(&self) {
        let Some(now) = self.broker.state(self.stream) else { return };
        self.change(|state| state.follow(now, self.bytes_max));
        self.ask_consumers();
    }

    /// While publishers wait: whoever unsubscribed cannot acknowledge, so nobody waits for it.
    fn ask_consumers(&self) {
        let consumers: Vec<Connection> = {
            let state = self.state.lock();
            if state.ahead() <= self.bytes_max {
                return;
            }
            state.consumers.iter().map(|consumer| consumer.connection).collect()
        };
        let stream = self.stream;
        for (worker, client) in consumers {
            if let Some(inbox) = self.inboxes.get(worker) {
                inbox.push(Input::Do(Box::new(move |shell| shell.check_consumer(stream, client))));
            }
        }
    }

    /// Changes what the gate knows, and tells those who wait where that opens it.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let waiting = {
            let mut state = self.state.lock();
            change(&mut state);
            if state.ahead() > self.bytes_max {
                return;
            }
            std::mem::take(&mut state.waiting)
        };
        self.opened.notify_waiters();
        for worker in waiting {
            if let Some(inbox) = self.inboxes.get(worker) {
                inbox.push(Input::Opened(self.stream));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: &str, first: Seq, last: Seq) -> StreamState {
        StreamState {
            stream: protocol::StreamName::parse("a").unwrap(),
            epoch: Epoch::parse(epoch).unwrap(),
            first,
            last,
            bytes: (last + 1 - first) * 10,
            durability: protocol::Durability::Memory,
        }
    }

    fn consumer(user: &str, acknowledged: Option<Seq>) -> Consumer {
        let device = Device { user: Some(user.into()), name: "recognizer".into() };
        Consumer { connection: (0, ClientKey { place: 0, generation: 0 }), device, acknowledged }
    }

    #[test]
    fn the_slowest_counts_whose_position_is_known_and_only_what_is_kept() {
        let mut state = State::new(1_000);
        state.follow(at("e", 1, 20), 1_000);
        assert_eq!(state.ahead(), 0);
        let known = [("ann", Some(15)), ("bob", Some(5)), ("eve", None)];
        state.consumers.extend(known.map(|(user, seq)| consumer(user, seq)));
        state.in_flight = 7;
        assert_eq!(state.ahead(), 157);
        // Retention has taken some of what the slowest did not acknowledge.
        state.follow(at("e", 11, 20), 1_000);
        assert_eq!(state.ahead(), 107);
    }

    #[test]
    fn in_a_new_epoch_nobody_has_acknowledged_anything() {
        let mut state = State::new(1_000);
        state.follow(at("e", 1, 20), 1_000);
        state.consumers.push(consumer("ann", Some(5)));
        state.follow(at("f", 1, 3), 1_000);
        assert_eq!(state.ahead(), 0);
        state.consumers[0].acknowledged = Some(1);
        assert_eq!(state.ahead(), 20);
    }
}

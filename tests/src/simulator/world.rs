use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Arc, Mutex};

use engine::{Cursor, LocateTicket, Located, Now, Page, StreamIndex, Ticket, Wake, Worker};
use protocol::{Answer, Appended, ClientId, Error, Position, Seq};

use super::clock::Clock;
use super::connection::Connection;
use super::machine::{End, Machine};
use super::model::Model;
use super::person::Person;
use super::plant::Planted;
use super::random::Random;
use super::record::History;
use super::store::{Ask, Found, Kept, Luck, Store};
use super::topology::Topology;
use super::wire::{OpenTokens, Said, SimRenderer};

/// How long a world goes on without faults once nobody asks the broker for anything more: who does
/// is still on the way to the head.
const HEAL_MS: u64 = 10_000;

/// How long it goes on at most: who asks for longer gets nowhere.
const HEAL_MAX_MS: u64 = 600_000;

/// Most steps that are told.
const TRACE_MAX: usize = 1 << 20;

/// Nodes, a broker and people, in virtual time.
pub struct World {
    pub(super) random: Random,
    pub(super) topology: Topology,
    pub(super) clock: Arc<Clock>,
    pub(super) store: Arc<Store>,
    pub(super) nodes: Vec<Node>,
    /// So many of them belonged to processes that have ended.
    pub(super) nodes_over: usize,
    /// Syncs fail, until the process begins again.
    pub(super) is_broken: bool,
    pub(super) people: Vec<Person>,
    pub(super) connections: Vec<Connection>,
    pub(super) said: Said,
    pub(super) planted: Planted,
    /// Ids that clients had: whom events can be for.
    pub(super) clients: Vec<ClientId>,
    /// Answers of the broker that nobody took yet.
    pub(super) answers: Answers,
    /// Events that were ever published.
    pub(super) published: u64,
    /// Fillings of a write that had been blocked.
    pub(super) refills: u64,
    /// The broker cannot be reached until then, in ms.
    pub(super) away_until: u64,
    /// The broker was asked for something last then, in ms.
    pub(super) asked_at: u64,
    /// The last append is carried out then, so that appends keep their order, in ms.
    pub(super) append_at: u64,
    /// Nobody comes until then, in ms.
    pub(super) silent_until: u64,
    /// Nothing goes wrong any more.
    pub(super) is_healing: bool,
    /// Steps, told as they happen.
    pub(super) trace: Option<VecDeque<String>>,
    schedule: BinaryHeap<Reverse<(u64, u64, Step)>>,
    scheduled: u64,
}

/// A worker with what surrounds it on its thread.
pub(super) struct Node {
    pub(super) worker: Worker,
    /// Streams of which it was told that they have something new.
    pub(super) woken: Arc<Woken>,
    /// It does nothing until then, in ms.
    pub(super) frozen_until: u64,
    /// The time of its last input, in ms.
    pub(super) told_ms: u64,
    /// How long it takes until it looks at a stream that has something new, in ms.
    pub(super) lag_ms: u64,
}

/// Notices of tails.
#[derive(Default)]
pub(super) struct Woken(pub(super) Mutex<Vec<StreamIndex>>);

impl Wake for Woken {
    fn wake(&self, stream: StreamIndex) {
        self.0.lock().unwrap().push(stream);
    }
}

/// What the broker answered, for which worker.
pub(super) type Answers = Arc<Mutex<Vec<(usize, Answered)>>>;

/// An answer on its way to a worker.
pub(super) enum Answered {
    Page(StreamIndex, Seq, Result<Page, Error>),
    Newest(StreamIndex, Seq, Result<Page, Error>),
    Located(LocateTicket, StreamIndex, Result<Located, Error>),
    Appended(Ticket, Result<Appended, Error>),
    Cursor(LocateTicket, StreamIndex, Result<Option<Cursor>, Error>),
    Acknowledged(Ticket, Result<Vec<Position>, Error>),
    History(Ticket, Result<Answer, Error>),
}

/// What happens next. Numbers are places of workers, connections and people.
pub(super) enum Step {
    /// A worker looks at a stream.
    Stream(usize, StreamIndex),
    /// A worker gets an answer.
    Answered(usize, Answered),
    /// A worker lets its clients write.
    Transmit(usize),
    /// A socket takes more.
    Writable(usize),
    /// Commands reach a worker.
    Up(usize),
    /// Bytes reach a client.
    Arrive(usize),
    /// A worker notices that a client is gone.
    Gone(usize),
    /// A worker hears that a client is there.
    Pong(usize, u64),
    /// The broker does what it was asked when so many workers had ended.
    CarryOut(Ask, Luck, usize),
    /// The broker answers.
    Give(Found),
    /// Programs publish.
    Burst,
    /// The process ends and begins again.
    Restart(End),
    /// Somebody does something.
    Act(usize),
    /// Something goes wrong.
    Fault,
    /// Everybody leaves for long.
    Silence,
    /// Nothing goes wrong any more.
    Heal,
}

impl World {
    /// The world of a seed, with a bug that is no engine's where one is `planted`.
    pub fn new(seed: u64, planted: Planted, is_traced: bool) -> Self {
        let mut random = Random::new(seed);
        let topology = Topology::of(seed, &mut random);
        let (clock, said) = (Arc::new(Clock::default()), Said::default());
        let (table, bound) = (topology.table.clone(), topology.tail_bytes_max);
        let kept = if topology.is_on_disk {
            Kept::Machine(Machine::new(clock.clone(), table, bound, random.bits()))
        } else {
            Kept::Model(Model::new(clock.clone(), table, bound, || random.bits()))
        };
        let mut world = Self {
            random,
            topology,
            clock,
            store: Arc::new(Store::new(kept)),
            nodes: Vec::new(),
            nodes_over: 0,
            is_broken: false,
            people: Vec::new(),
            connections: Vec::new(),
            said,
            planted,
            clients: Vec::new(),
            answers: Answers::default(),
            published: 0,
            refills: 0,
            away_until: 0,
            asked_at: 0,
            append_at: 0,
            silent_until: 0,
            is_healing: false,
            trace: is_traced.then(VecDeque::new),
            schedule: BinaryHeap::new(),
            scheduled: 0,
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        self.start_workers();
        for person in 0..self.topology.people {
            let somebody = self.somebody();
            self.people.push(somebody);
            let delay = self.random.below(self.topology.duration_ms / 2);
            self.after(delay, Step::Act(person));
        }
        self.after(1, Step::Burst);
        if self.topology.fault_every_ms > 0 {
            self.after(self.topology.fault_every_ms, Step::Fault);
        }
        if self.topology.silence_ms > 0 {
            self.after(self.topology.duration_ms / 2, Step::Silence);
        }
        self.after(self.topology.duration_ms + self.topology.silence_ms, Step::Heal);
    }

    /// The workers of a process that begins.
    pub(super) fn start_workers(&mut self) {
        for id in 0..self.topology.workers {
            let woken = Arc::new(Woken::default());
            let (renderer, tokens) = (SimRenderer { said: self.said.clone() }, OpenTokens);
            let table = self.topology.table.clone();
            let worker = Worker::new(
                id as u64,
                table,
                self.store.as_ref(),
                woken.clone(),
                Box::new(renderer),
                Box::new(tokens),
                self.topology.limits,
            );
            let lag_ms = *self.random.pick(&[0, 1, 5, 60]);
            self.nodes.push(Node { worker, woken, frozen_until: 0, told_ms: 0, lag_ms });
        }
    }

    /// Something happens in `delay` ms.
    pub(super) fn after(&mut self, delay: u64, step: Step) {
        self.at(self.clock.ms() + delay, step);
    }

    pub(super) fn at(&mut self, ms: u64, step: Step) {
        self.scheduled += 1;
        self.schedule.push(Reverse((ms, self.scheduled, step)));
    }

    /// The time of an input to a worker.
    pub(super) fn now(&mut self, node: usize) -> Now {
        self.nodes[node].told_ms = self.clock.ms();
        self.clock.now()
    }

    /// Tells a step where somebody follows.
    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            if trace.len() >= TRACE_MAX {
                trace.pop_front();
            }
            trace.push_back(format!(
                "{:>6} ms {:>7}  {}",
                self.clock.ms(),
                self.clock.tick(),
                what()
            ));
        }
    }

    /// Lets everything happen that happens.
    pub fn run(&mut self) -> u64 {
        let heals_at = self.topology.duration_ms + self.topology.silence_ms;
        let mut healed = 0;
        loop {
            let end = (heals_at.max(self.asked_at) + HEAL_MS).min(heals_at + HEAL_MAX_MS);
            let timer = self.next_timer();
            let next = self.schedule.peek().map(|Reverse((ms, ..))| *ms);
            let Some(ms) = timer.map(|(ms, _)| ms).into_iter().chain(next).min() else { break };
            if ms > end {
                break;
            }
            self.clock.step_to(ms.max(self.clock.ms()));
            match timer {
                Some((at, node)) if next.is_none_or(|next| at <= next) => {
                    let now = self.now(node);
                    self.nodes[node].worker.handle_timer(now);
                    self.serve(node);
                }
                _ => {
                    let Some(Reverse((_, _, step))) = self.schedule.pop() else { break };
                    if matches!(step, Step::Heal) {
                        healed = self.clock.tick();
                    }
                    self.take_step(step);
                }
            }
            self.listen();
        }
        healed
    }

    /// What happened, when it is over.
    pub fn into_history(mut self, healed: u64) -> (History, Option<VecDeque<String>>) {
        for place in 0..self.connections.len() {
            let connection = &self.connections[place];
            if connection.is_open {
                let view = self.nodes[connection.worker].worker.view(connection.key);
                let (is_blocked, is_closing) = (connection.is_blocked, connection.is_closing);
                self.tell(|| format!("connection {place} ends with {view:?}, blocked {is_blocked} closing {is_closing}"));
            }
        }
        let history = History {
            table: self.topology.table.clone(),
            ledgers: self.store.take_ledgers(self.topology.table.specs().len()),
            is_on_disk: self.topology.is_on_disk,
            records: std::mem::take(&mut self.connections)
                .into_iter()
                .map(|connection| connection.record)
                .collect(),
            ended: self.clock.tick(),
            healed,
        };
        (history, self.trace.take())
    }

    fn next_timer(&self) -> Option<(u64, usize)> {
        let due = |(place, node): (usize, &Node)| {
            node.worker.next_timer().map(|ms| (ms.max(node.frozen_until), place))
        };
        self.nodes.iter().enumerate().skip(self.nodes_over).filter_map(due).min()
    }

    fn take_step(&mut self, step: Step) {
        if let Some(node) = self.worker_of(&step) {
            if node < self.nodes_over {
                return;
            }
            let until = self.nodes[node].frozen_until;
            if until > self.clock.ms() {
                return self.at(until, step);
            }
        }
        match step {
            Step::Stream(node, stream) => self.look_at_stream(node, stream),
            Step::Answered(node, answered) => self.take_answer(node, answered),
            Step::Transmit(node) => self.transmit(node),
            Step::Writable(connection) => self.writable(connection),
            Step::Up(connection) => self.bring_up(connection),
            Step::Arrive(connection) => self.arrive(connection),
            Step::Gone(connection) => self.gone(connection),
            Step::Pong(connection, number) => self.pong(connection, number),
            Step::CarryOut(_, _, over) if over < self.nodes_over => {}
            Step::CarryOut(ask, luck, _) => self.carry_out(ask, luck),
            Step::Restart(end) => self.restart_process(end),
            Step::Give(found) => found(),
            Step::Burst => self.burst(),
            Step::Act(person) => self.act(person),
            Step::Fault => self.fault(),
            Step::Silence => self.silence(),
            Step::Heal => self.heal(),
        }
    }

    fn worker_of(&self, step: &Step) -> Option<usize> {
        match step {
            Step::Stream(node, _) | Step::Answered(node, _) | Step::Transmit(node) => Some(*node),
            Step::Writable(connection)
            | Step::Up(connection)
            | Step::Gone(connection)
            | Step::Pong(connection, _) => Some(self.connections[*connection].worker),
            _ => None,
        }
    }
}

impl Drop for World {
    /// A panic shows what led to it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let trace = self.trace.take().unwrap_or_default();
            for line in trace.iter().skip(trace.len().saturating_sub(200)) {
                eprintln!("{line}");
            }
        }
    }
}

impl PartialEq for Step {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Step {}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Step {
    /// Time and number decide; no two steps have the same number.
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

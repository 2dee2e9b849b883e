//! What has to hold of a world's history: the invariants of the contract, one file for each group.

/// What a connection is entitled to.
pub mod account;
/// I2, I3, I4, I7, I9, I10, I11, I13, I14: the live order.
pub mod reading;
/// I3: history apart from the live order.
pub mod replays;
/// I1, I5, I8: publishing; histories; refusals.
pub mod answers;
/// I6: what devices acknowledge, and where they begin behind it.
pub mod cursors;
/// Rates and priorities.
pub mod pace;
/// I12: queues and memory.
pub mod bounds;
/// What somebody gets back who cannot say where they were.
pub mod remembering;

use engine::{Cursor, Device};
use protocol::{Command, Event, Message, Position, Start, Subscribe, SubscriptionId};

use account::Account;
use answers::Answers;
use pace::Pace;
use reading::Line;
use replays::Replay;

use super::record::{Entry, History, Put, Record, What};
use super::wire::{EventFrame, Heard, data_of};

/// A promise that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which one.
    pub promise: &'static str,
    /// How.
    pub what: String,
}

/// What a checker says.
pub type Verdict = Result<(), Violation>;

fn broken(promise: &'static str, what: String) -> Verdict {
    Err(Violation { promise, what })
}

fn is_data(event: &Event, frame: &EventFrame) -> bool {
    data_of(event) == frame.data
}

/// Checks every connection of a world; how many events were delivered.
///
/// # Errors
/// The first violation, with the connection's place.
pub fn check(history: &History) -> Result<u64, Violation> {
    let mut events = 0;
    let mut walks: Vec<Walk<'_>> = Vec::with_capacity(history.records.len());
    for (place, record) in history.records.iter().enumerate() {
        let mut walk = Walk::new(history, record);
        let verdict = walk.run().and_then(|()| remembering::check(&walks, record));
        events += walk.events;
        verdict.map_err(|violation| {
            let what = format!("connection {place}: {}", violation.what);
            Violation { what, ..violation }
        })?;
        walks.push(walk);
    }
    cursors::check(history)?;
    Ok(events)
}

/// One connection, entry by entry.
struct Walk<'h> {
    account: Account<'h>,
    lines: Vec<Line>,
    replays: Vec<Replay>,
    answers: Answers,
    pace: Pace,
    /// Positions that hold with the event behind them.
    named: Option<Vec<Position>>,
    events: u64,
}

impl<'h> Walk<'h> {
    fn new(history: &'h History, record: &'h Record) -> Self {
        let line = |at| Line::new(at, is_plain(history, record, at));
        Self {
            account: Account::new(history, record),
            lines: (0..history.table.specs().len()).map(line).collect(),
            replays: Vec::new(),
            answers: Answers::default(),
            pace: Pace::default(),
            named: None,
            events: 0,
        }
    }

    fn run(&mut self) -> Verdict {
        let record = self.account.record;
        for entry in &record.entries {
            self.answers.see(&self.account, entry)?;
            if let What::Heard(heard, put) = &entry.what {
                self.hear(heard, *put).map_err(|violation| {
                    let what = format!("{} (put {}, heard {})", violation.what, put.at, entry.at);
                    Violation { what, ..violation }
                })?;
            }
            self.take(entry);
        }
        if record.closed.is_none() { self.check_end() } else { Ok(()) }
    }

    fn hear(&mut self, heard: &'h Heard, put: Put) -> Verdict {
        match heard {
            Heard::Event(event) => self.hear_event(event, put),
            Heard::Batch(events) => events.iter().try_for_each(|event| self.hear_event(event, put)),
            Heard::Positions(positions) => {
                self.named = Some(positions.clone());
                Ok(())
            }
            Heard::Message(Message::Mark(positions)) => self.hear_positions(positions, put),
            Heard::Message(Message::Gap(gap)) => {
                let at = self.account.place(&gap.stream);
                let mut replays =
                    self.replays.iter_mut().filter(|replay| replay.at == at && replay.may_go_on());
                let is_replaying = replays.any(|_| true);
                for replay in self.replays.iter_mut().filter(|replay| replay.at == at) {
                    replay.hear_gap(gap);
                }
                self.lines[at].hear_gap(&mut self.account, gap, is_replaying, put)
            }
            Heard::Message(Message::Replay { subscription, stream, events, done }) => {
                let at = self.account.place(stream);
                self.events += events.len() as u64;
                let mut replays = self.replays.iter_mut();
                let found = replays.find(|replay| replay.id == *subscription && replay.at == at);
                match found {
                    Some(replay) => replay.hear(&self.account, events, *done, put),
                    None => broken(
                        "I3",
                        format!("nobody asked for a replay of {subscription} in s{at}"),
                    ),
                }
            }
            Heard::Message(_) | Heard::Ping(_) => Ok(()),
        }
    }

    fn hear_event(&mut self, event: &EventFrame, put: Put) -> Verdict {
        self.events += 1;
        for replay in self.replays.iter_mut().filter(|replay| replay.at == event.stream) {
            replay.hear_live(&self.account, event, put)?;
        }
        self.pace.hear_event(&self.account, event, put)?;
        self.lines[event.stream].hear_event(&self.account, event, put)?;
        match self.named.take() {
            Some(positions) => self.hear_positions(&positions, put),
            None => Ok(()),
        }
    }

    fn hear_positions(&mut self, positions: &[Position], put: Put) -> Verdict {
        for position in positions {
            let at = self.account.place(&position.stream);
            for replay in self.replays.iter_mut().filter(|replay| replay.at == at) {
                replay.hear_nothing(&self.account, put)?;
            }
            self.lines[at].hear_position(&self.account, position, put)?;
        }
        Ok(())
    }

    /// Takes an entry into the account, and what begins with it.
    fn take(&mut self, entry: &'h Entry) {
        let believed = self.believed(entry);
        let reads: Vec<bool> = self.lines.iter().map(|line| self.account.reads(line.at)).collect();
        let begun = self.account.take(entry);
        for held in self.account.held.iter().filter(|held| begun.contains(&held.id)) {
            for (at, (epoch, after)) in &held.begun {
                let mut of_stream =
                    self.account.held.iter().filter(|other| other.begun.contains_key(at));
                let first = of_stream.find(|other| begun.contains(&other.id));
                let is_first_of_these = first.is_some_and(|first| first.id == held.id);
                let is_first = !reads[*at] && is_first_of_these;
                let name = &self.account.history.table.specs()[*at].name;
                let believed = believed.iter().find(|position| position.stream == *name);
                self.lines[*at].begin(
                    is_first,
                    epoch,
                    *after,
                    believed.map(|position| &position.epoch),
                );
                self.replays.extend(Replay::of(held, *at, name));
            }
        }
        let held = &self.account.held;
        let is_there = |id: SubscriptionId, at: usize| {
            held.iter().any(|held| held.id == id && held.begun.contains_key(&at))
        };
        self.replays.retain(|replay| is_there(replay.id, replay.at));
    }

    /// Positions from which the client goes on, where the entry answers that.
    fn believed(&self, entry: &Entry) -> Vec<Position> {
        if let What::Heard(Heard::Message(Message::Restored(_)), _) = &entry.what {
            let left = self.account.record.restored.as_ref();
            return left.map_or_else(Vec::new, |left| left.what.positions().to_vec());
        }
        let What::Heard(Heard::Message(Message::Reply { id: Some(id), .. }), _) = &entry.what
        else {
            return Vec::new();
        };
        match self.account.asked.get(id).map(|(_, command)| command) {
            Some(Command::Hello(hello)) if hello.resume.is_empty() => {
                let is_stored = |body: &Subscribe| body.start == Start::Stored;
                let is_stored = hello.subscriptions.iter().any(is_stored);
                if is_stored { self.loaded(entry) } else { Vec::new() }
            }
            Some(Command::Hello(hello)) => hello.resume.clone(),
            Some(Command::Subscribe(body)) => match &body.start {
                Start::Positions(positions) => positions.clone(),
                Start::Stored => self.loaded(entry),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// Where the broker last said that the connection's device was, in each stream.
    fn loaded(&self, entry: &Entry) -> Vec<Position> {
        let history = self.account.history;
        let streams = history.table.specs().iter().zip(&history.ledgers);
        let last = streams.filter_map(|(spec, ledger)| {
            let of_device = |(at, device, _): &&(_, Device, Cursor)| {
                *at <= entry.at && *device == self.account.record.device
            };
            let (.., cursor) = ledger.loads.iter().rev().find(of_device)?;
            let (stream, epoch) = (spec.name.clone(), cursor.epoch.clone());
            Some(Position { stream, epoch, seq: cursor.seq })
        });
        last.collect()
    }

    fn check_end(&self) -> Verdict {
        let ended = self.account.history.ended;
        let put = Put { from: ended, at: ended, ms: 0, refill: None };
        for replay in &self.replays {
            if replay.is_open() {
                return broken(
                    "I13",
                    format!("the replay of {} in s{} has no end", replay.id, replay.at),
                );
            }
            replay.check(&self.account, put)?;
        }
        self.lines.iter().try_for_each(|line| line.check_end(&self.account, put))
    }
}

/// Whether all that is ever subscribed of a stream on a connection is delivered as every event, in
/// one mode.
fn is_plain(history: &History, record: &Record, at: usize) -> bool {
    let mut bodies = Vec::new();
    for entry in &record.entries {
        let What::Asked(request) = &entry.what else { continue };
        match &request.command {
            Command::Hello(hello) => bodies.extend(&hello.subscriptions),
            Command::Subscribe(body) => bodies.push(body),
            _ => {}
        }
    }
    bodies.extend(record.restored.iter().flat_map(|left| left.what.subscriptions()));
    let stream = history.table.specs()[at].mode;
    let reaching =
        bodies.into_iter().filter(|body| super::person::reaches(&history.table, body, at));
    let mut modes = reaching.map(|body| body.mode.narrowed(stream));
    modes.next().is_none_or(|first| !first.latest && modes.all(|mode| mode == first))
}

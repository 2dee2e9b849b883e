use std::sync::Arc;

use engine::{Device, Grants, Remembered, Rendering};
use protocol::{ClientId, Request};

use super::clock::Tick;
use super::ledger::StreamLedger;
use super::wire::Heard;
use engine::StreamTable;

/// All that happened in a world, for checkers to look at when it is over.
pub struct History {
    /// The streams.
    pub table: Arc<StreamTable>,
    /// What was appended to each of them, and what became of it.
    pub ledgers: Vec<StreamLedger>,
    /// Every connection, in the order in which they were opened.
    pub records: Vec<Record>,
    /// Whether the streams were kept on a disk.
    pub is_on_disk: bool,
    /// The last step.
    pub ended: Tick,
    /// When the last fault was over.
    pub healed: Tick,
}

/// What one connection said and heard.
pub struct Record {
    /// The id that it began with.
    pub client: ClientId,
    /// Who it is.
    pub user: Option<Arc<str>>,
    /// Its device.
    pub device: Device,
    /// What it may do.
    pub grants: Arc<Grants>,
    /// What its events look like.
    pub rendering: Rendering,
    /// Its transport takes everything at once.
    pub is_quick: bool,
    /// Whose it is.
    pub person: usize,
    /// The server remembers what the client has.
    pub is_remembered: bool,
    /// What it was given of an earlier connection.
    pub restored: Option<Left>,
    /// When it was opened.
    pub opened: Tick,
    /// When it was gone, for the client.
    pub closed: Option<Tick>,
    /// Its groups since when, in order.
    pub groups: Vec<(Tick, Vec<Arc<str>>)>,
    /// When its session was taken to a worker.
    pub moved: Vec<Tick>,
    /// What was said, in the order in which the client said and heard it.
    pub entries: Vec<Entry>,
}

/// What was remembered of a connection.
#[derive(Clone)]
pub struct Left {
    /// Its place.
    pub connection: usize,
    /// What it had.
    pub what: Remembered,
}

/// One thing that a client said or heard.
pub struct Entry {
    /// When.
    pub at: Tick,
    /// What.
    pub what: What,
}

/// What a client said or heard.
pub enum What {
    /// It sent a command.
    Asked(Request),
    /// It read a frame.
    Heard(Heard, Put),
}

/// When a frame was put into its client's write: after the step `from`, up to the step `at`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Put {
    /// The last step at which it was not there.
    pub from: Tick,
    /// The first step at which it was there.
    pub at: Tick,
    /// ms that its worker knew of at that step: it reads no clock.
    pub ms: u64,
    /// Set where a write was filled that had been blocked: which filling it was.
    pub refill: Option<u64>,
}

impl Record {
    /// Whether it was a member at every moment, or at some moment, between two steps.
    pub fn was_member(&self, group: &Arc<str>, from: Tick, to: Tick) -> (bool, bool) {
        let (mut always, mut ever) = (true, false);
        for (place, (since, groups)) in self.groups.iter().enumerate() {
            let until = self.groups.get(place + 1).map_or(Tick::MAX, |(next, _)| *next);
            if *since <= to && until >= from {
                let is_member = groups.contains(group);
                (always, ever) = (always && is_member, ever || is_member);
            }
        }
        (always, ever)
    }
}

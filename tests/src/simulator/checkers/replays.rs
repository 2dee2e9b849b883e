use std::collections::BTreeSet;

use protocol::{Epoch, Event, Gap, GapReason, Seq, Start, SubscriptionId};

use super::account::{Account, Held};
use super::reading::check_sight;
use super::{Verdict, broken};
use crate::simulator::clock::{Tick, WALL_MS};
use crate::simulator::ledger::EpochLedger;
use crate::simulator::record::Put;
use crate::simulator::wire::EventFrame;

/// History that a subscription asked for, in one stream: a replay is exactly (start, B], where B is
/// the position that the reply named, and what follows B comes live.
pub struct Replay {
    /// Whose.
    pub id: SubscriptionId,
    /// The stream's place.
    pub at: usize,
    epoch: Epoch,
    until: Seq,
    /// Named by the client, or found by the broker.
    start: Start,
    asked: Tick,
    answered: Put,
    received: BTreeSet<Seq>,
    lost: Vec<(Seq, Seq)>,
    /// Something of it came: it is apart from the live order, and a `done` will follow.
    is_begun: bool,
    is_done: bool,
    /// Its epoch is over: what was not sent is gone.
    is_over: bool,
}

impl Replay {
    /// What a subscription that was just begun may bring in a stream.
    pub fn of(held: &Held, at: usize, name: &protocol::StreamName) -> Option<Self> {
        let (epoch, until) = held.begun.get(&at)?.clone();
        let start = held.start.clone().filter(|start| *start != Start::Now)?;
        let is_begun = match &start {
            Start::Positions(positions) => {
                let asked = positions.iter().find(|position| position.stream == *name);
                asked.is_some_and(|position| position.epoch == epoch && position.seq < until)
            }
            _ => false,
        };
        Some(Self {
            id: held.id,
            at,
            epoch,
            until,
            start,
            asked: held.asked,
            answered: held.answered,
            received: BTreeSet::new(),
            lost: Vec::new(),
            is_begun,
            is_done: false,
            is_over: false,
        })
    }

    /// Whether it comes apart from the live order and goes on.
    pub fn is_open(&self) -> bool {
        self.is_begun && !self.is_done
    }

    /// Whether it may still go on: the client cannot know before something comes.
    pub fn may_go_on(&self) -> bool {
        !self.is_done
    }

    /// A part of it.
    pub fn hear(&mut self, account: &Account<'_>, events: &[Event], done: bool, put: Put) -> Verdict {
        if self.is_done {
            return broken("I3", format!("a replay of {} goes on behind its end", self.id));
        }
        self.is_begun = true;
        for event in events {
            self.hear_event(account, event, put)?;
        }
        self.is_done = done;
        if done { self.check(account, put) } else { Ok(()) }
    }

    fn hear_event(&mut self, account: &Account<'_>, event: &Event, put: Put) -> Verdict {
        let what = || format!("s{}:{}:{} in a replay", self.at, self.epoch, event.seq);
        let ledger = account.history.ledgers[self.at].epoch(&self.epoch);
        let recorded = ledger.and_then(|ledger| ledger.events.get(&event.seq));
        let Some(recorded) = recorded.filter(|recorded| recorded.event == *event) else {
            return broken("I2", format!("{} is not what was appended", what()));
        };
        if event.seq > self.until || self.received.last().is_some_and(|last| *last >= event.seq) {
            return broken("I3", format!("{} is not within its range, or twice", what()));
        }
        let held = account.held.iter().find(|held| held.id == self.id);
        if !held.is_some_and(|held| Account::matches(held, event.topic())) {
            return broken("I7", format!("{} was not asked for", what()));
        }
        check_sight(account, recorded, put, what)?;
        self.received.insert(event.seq);
        Ok(())
    }

    /// A gap of the stream while it goes on.
    pub fn hear_gap(&mut self, gap: &Gap) {
        if gap.reason == GapReason::Epoch {
            self.is_over |= gap.epoch != self.epoch;
        }
        self.lost.push((gap.from, gap.to));
    }

    /// A live event came while it goes on: then it cannot be for this subscription alone.
    pub fn hear_live(&self, account: &Account<'_>, event: &EventFrame) -> Verdict {
        let ledger = account.history.ledgers[self.at].epoch(&self.epoch);
        let recorded = ledger.and_then(|ledger| ledger.events.get(&event.seq));
        let (true, Some(recorded)) = (self.is_open(), recorded) else { return Ok(()) };
        let topic = recorded.event.topic();
        let takes = |held: &&Held| Account::takes(held, self.at, &self.epoch, event.seq, topic);
        let mut takers = account.held.iter().filter(takes);
        match takers.next() {
            Some(only) if only.id == self.id && takers.next().is_none() => {
                broken("I3", format!("s{}:{} came before the end of its replay", self.at, event.seq))
            }
            _ => Ok(()),
        }
    }

    /// Nothing of it can come any more: it was all there, or nothing was asked for.
    pub fn check(&self, account: &Account<'_>, put: Put) -> Verdict {
        let Some(held) = account.held.iter().find(|held| held.id == self.id) else { return Ok(()) };
        if self.is_over || account.mode(held, self.at).latest || !held.begun.contains_key(&self.at) {
            return Ok(());
        }
        let Some(ledger) = account.history.ledgers[self.at].epoch(&self.epoch) else { return Ok(()) };
        for seq in self.wanted(account, held, ledger) {
            let recorded = &ledger.events[&seq];
            let is_lost = self.lost.iter().any(|(from, to)| (*from..=*to).contains(&seq));
            if !is_lost && !self.received.contains(&seq) && account.must_bring(held, recorded, put.at) {
                let (id, at, start) = (self.id, self.at, &self.start);
                return broken("I3", format!("s{at}:{seq} is missing in the replay of {id} from {start:?}"));
            }
        }
        Ok(())
    }

    /// The seqs that it has to bring, as far as they matched.
    fn wanted(&self, account: &Account<'_>, held: &Held, ledger: &EpochLedger) -> Vec<Seq> {
        let kept = ledger.first_at(self.answered.at) - 1;
        let after = match &self.start {
            Start::Positions(positions) => {
                let name = &account.history.table.specs()[self.at].name;
                match positions.iter().find(|position| position.stream == *name) {
                    Some(position) if position.epoch == self.epoch => position.seq,
                    _ => kept,
                }
            }
            _ => kept,
        };
        let matching = ledger.range(after, self.until).filter(|recorded| {
            Account::matches(held, recorded.event.topic())
                && !ledger.is_hole_at(recorded.event.seq, self.answered.at)
        });
        match self.start {
            Start::Now => Vec::new(),
            Start::Positions(_) => matching.map(|recorded| recorded.event.seq).collect(),
            Start::Since(ms) => matching
                .filter(|recorded| recorded.event.time_ms >= ms.max(WALL_MS) && recorded.at <= self.asked)
                .map(|recorded| recorded.event.seq)
                .collect(),
            // Whatever came between question and answer pushes as many out.
            Start::Last(count) => {
                let behind = ledger.range(self.until, Seq::MAX - 1);
                let came = behind.filter(|recorded| recorded.at <= self.answered.at).count();
                let seen: Vec<_> = matching.filter(|r| account.must_bring(held, r, self.answered.at)).collect();
                let newest = seen.iter().rev().take((count as usize).saturating_sub(came));
                newest.filter(|r| r.at <= self.asked).map(|r| r.event.seq).collect()
            }
        }
    }
}

use std::collections::BTreeSet;

use protocol::{Epoch, Event, Gap, GapReason, Position, Seq, Start, SubscriptionId};

use super::account::{Account, Held, Sight};
use super::reading::check_sight;
use super::{Verdict, broken};
use crate::simulator::clock::WALL_MS;
use crate::simulator::ledger::{EpochLedger, Recorded};
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
    /// The subscription as it began: topics may be taken out of it since.
    begun: Held,
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
            begun: held.clone(),
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

    /// What is remembered of a client is true: where it says that all history came, it did.
    pub fn check_remembered(
        &self,
        account: &Account<'_>,
        position: &Position,
        put: Put,
    ) -> Verdict {
        let is_past = position.epoch == self.epoch && position.seq >= self.until;
        if is_past { self.check(account, put) } else { Ok(()) }
    }

    /// Whether it may still go on: the client cannot know before something comes.
    pub fn may_go_on(&self) -> bool {
        !self.is_done
    }

    /// A part of it.
    pub fn hear(
        &mut self,
        account: &Account<'_>,
        events: &[Event],
        done: bool,
        put: Put,
    ) -> Verdict {
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
        if !held.is_some_and(|held| Account::matches(held, event)) {
            return broken("I7", format!("{} was not asked for", what()));
        }
        check_sight(account, ledger.unwrap(), recorded, put, what)?;
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
    pub fn hear_live(&mut self, account: &Account<'_>, event: &EventFrame, put: Put) -> Verdict {
        let ledger = account.history.ledgers[self.at].epoch(&self.epoch);
        let recorded = ledger.and_then(|ledger| ledger.events.get(&event.seq));
        let (false, Some(recorded)) = (self.is_done, recorded) else { return Ok(()) };
        let takes = |held: &&Held| Account::takes(held, self.at, &self.epoch, &recorded.event);
        let takers: Vec<_> = account.held.iter().filter(takes).map(|held| held.id).collect();
        if takers == [self.id] && self.is_begun {
            return broken(
                "I3",
                format!("s{}:{} came before the end of its replay", self.at, event.seq),
            );
        }
        if takers == [self.id] { self.hear_nothing(account, put) } else { Ok(()) }
    }

    /// The live order goes on: if nothing of it came by now, nothing will.
    pub fn hear_nothing(&mut self, account: &Account<'_>, put: Put) -> Verdict {
        if self.is_begun || self.is_done {
            return Ok(());
        }
        self.is_done = true;
        self.check(account, put)
    }

    /// Nothing of it can come any more: it was all there, or nothing was asked for.
    pub fn check(&self, account: &Account<'_>, put: Put) -> Verdict {
        let Some(held) = account.held.iter().find(|held| held.id == self.id) else { return Ok(()) };
        if self.is_over || account.mode(held, self.at).latest || !held.begun.contains_key(&self.at)
        {
            return Ok(());
        }
        let Some(ledger) = account.history.ledgers[self.at].epoch(&self.epoch) else {
            return Ok(());
        };
        for seq in self.wanted(account, ledger) {
            let recorded = &ledger.events[&seq];
            if !Account::matches(held, &recorded.event) {
                continue;
            }
            let is_lost = self.lost.iter().any(|(from, to)| (*from..=*to).contains(&seq));
            if !is_lost
                && !self.received.contains(&seq)
                && account.must_bring(held, recorded, put.at)
            {
                let (id, at, start) = (self.id, self.at, &self.start);
                return broken(
                    "I3",
                    format!("s{at}:{seq} is missing in the replay of {id} from {start:?}"),
                );
            }
        }
        Ok(())
    }

    /// The seqs that were asked for.
    fn wanted(&self, account: &Account<'_>, ledger: &EpochLedger) -> Vec<Seq> {
        let Held { asked, answered, .. } = self.begun;
        let kept = ledger.first_at(answered.at) - 1;
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
            Account::matches(&self.begun, &recorded.event)
                && !ledger.is_hole_at(recorded.event.seq, asked)
        });
        let is_there = |r: &&Recorded| !ledger.is_hole_at(r.event.seq, answered.at);
        match self.start {
            Start::Now | Start::Stored => Vec::new(),
            Start::Positions(_) | Start::After(_) => {
                matching.filter(is_there).map(|recorded| recorded.event.seq).collect()
            }
            Start::Since(ms) => matching
                .filter(is_there)
                .filter(|recorded| {
                    recorded.event.time_ms >= ms.max(WALL_MS) && recorded.at <= asked
                })
                .map(|recorded| recorded.event.seq)
                .collect(),
            // Whatever came between question and answer pushes as many out.
            Start::Last(count) => {
                let behind = ledger.range(self.until, Seq::MAX - 1);
                let came = behind.filter(|recorded| recorded.at <= answered.at).count();
                let sight = |recorded: &Recorded| {
                    account.sight(&recorded.event.draft.audience, asked, answered.at)
                };
                let seen: Vec<_> = matching.filter(|r| sight(r) != Sight::Never).collect();
                let newest = seen.iter().rev().take((count as usize).saturating_sub(came));
                let there = newest.filter(|r| r.at <= asked && sight(r) == Sight::Must);
                there.map(|r| &**r).filter(is_there).map(|r| r.event.seq).collect()
            }
        }
    }
}

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Epoch, Gap, GapReason, Mode, Position, Seq};

use super::account::{Account, Held, Sight};
use super::{Verdict, broken};
use crate::simulator::ledger::{EpochLedger, Recorded};
use crate::simulator::record::Put;
use crate::simulator::wire::{EventFrame, data_of};

/// The live order of one stream on one connection: I2, I3, I4, I7, I9, I11 and I14.
#[derive(Default)]
pub struct Line {
    /// The stream's place.
    pub at: usize,
    /// All that is ever subscribed of the stream is delivered as every event, in one mode: then a
    /// client knows at each event that there was nothing before it.
    pub is_plain: bool,
    /// The epoch in which the live order is.
    pub told: Option<Epoch>,
    /// The epoch that was last named for the stream: the one of an event.
    pub named: Option<Epoch>,
    /// Everything up to here was received or lost.
    pub reached: Seq,
    /// The last position that the client was told.
    pub position: Option<(Epoch, Seq)>,
    received: BTreeSet<Seq>,
    lost: Vec<(Seq, Seq)>,
    last_by_mode: BTreeMap<Mode, Seq>,
}

impl Line {
    /// The line of a stream of which nothing was heard.
    pub fn new(at: usize, is_plain: bool) -> Self {
        Self { at, is_plain, ..Self::default() }
    }

    /// A client hears a live event.
    pub fn hear_event(&mut self, account: &Account<'_>, event: &EventFrame, put: Put) -> Verdict {
        let (at, seq) = (self.at, event.seq);
        let Some(named) = self.named.clone() else {
            return broken("naming", format!("s{at}:{seq} came before an epoch was named"));
        };
        let ledger = account.history.ledgers[at].epoch(&named);
        let Some(recorded) = ledger.and_then(|ledger| ledger.events.get(&seq)) else {
            return broken("I2", format!("s{at}:{named}:{seq} was never appended"));
        };
        if data_of(&recorded.event) != event.data {
            return broken("I2", format!("s{at}:{named}:{seq} has other data"));
        }
        if self.told.as_ref() != Some(&named) {
            let message = format!("s{at}:{named}:{seq} came before the gap from {:?}", self.told);
            return broken("I10", message);
        }
        self.check_allowed(account, ledger.unwrap(), recorded, put)?;
        if !self.received.insert(seq) {
            return broken("I9", format!("s{at}:{named}:{seq} came twice"));
        }
        self.check_order(account, ledger.unwrap(), recorded, put)
    }

    /// I7: somebody asked for it, and it is for this client.
    fn check_allowed(
        &self,
        account: &Account<'_>,
        ledger: &EpochLedger,
        recorded: &Recorded,
        put: Put,
    ) -> Verdict {
        let (event, at, epoch) = (&recorded.event, self.at, &ledger.epoch);
        let what =
            || format!("s{at}:{epoch}:{} {:?} {}", event.seq, event.draft.audience, event.topic());
        let takes = |held: &&Held| Account::takes(held, at, epoch, event);
        if !account.held.iter().any(|held| takes(&held)) {
            return broken("I7", format!("{} was not asked for", what()));
        }
        check_sight(account, ledger, recorded, put, what)
    }

    fn check_order(
        &mut self,
        account: &Account<'_>,
        ledger: &EpochLedger,
        recorded: &Recorded,
        put: Put,
    ) -> Verdict {
        let (seq, at) = (recorded.event.seq, self.at);
        let takers = account
            .held
            .iter()
            .filter(|held| Account::takes(held, at, &ledger.epoch, &recorded.event));
        let modes: BTreeSet<Mode> = takers.map(|held| account.mode(held, at)).collect();
        if let (1, Some(mode)) = (modes.len(), modes.first())
            && seq > account.handed_over[at]
        {
            let last = self.last_by_mode.entry(*mode).or_default();
            if *last > seq {
                return broken("I3", format!("s{at}:{seq} came behind {last}"));
            }
            *last = seq;
        }
        if !self.is_plain {
            return Ok(());
        }
        if seq <= self.reached {
            return broken("I3", format!("s{at}:{seq} came behind {}", self.reached));
        }
        self.check_missing(account, ledger, seq - 1, put)?;
        self.reached = seq;
        Ok(())
    }

    /// I3: nothing is missing up to `to`, of what is delivered as every event.
    fn check_missing(
        &self,
        account: &Account<'_>,
        ledger: &EpochLedger,
        to: Seq,
        put: Put,
    ) -> Verdict {
        for recorded in ledger.range(self.reached, to) {
            let seq = recorded.event.seq;
            let is_lost = self.lost.iter().any(|(from, to)| (from..=to).contains(&&seq));
            if is_lost || self.received.contains(&seq) {
                continue;
            }
            let wants = |held: &&Held| {
                !account.mode(held, self.at).latest
                    && Account::takes(held, self.at, &ledger.epoch, &recorded.event)
                    && account.must_bring(held, recorded, put.at)
            };
            if let Some(held) = account.held.iter().find(wants) {
                let (at, epoch, id) = (self.at, &ledger.epoch, held.id);
                return broken("I3", format!("s{at}:{epoch}:{seq} is missing in {id} up to {to}"));
            }
        }
        Ok(())
    }

    /// I14: of what is retained, the newest event of each topic and audience was received, where
    /// nothing newer than `to` replaces it. What is not behind `after` was looked at before.
    fn check_newest(
        &self,
        account: &Account<'_>,
        ledger: &EpochLedger,
        (after, to): (Seq, Seq),
        put: Put,
    ) -> Verdict {
        let latest =
            |held: &&Held| account.mode(held, self.at).latest && held.begun.contains_key(&self.at);
        let readers: Vec<&Held> = account.held.iter().filter(latest).collect();
        if readers.is_empty() {
            return Ok(());
        }
        let first = ledger.first_at(put.at);
        for recorded in ledger.range(after.max(first - 1), to) {
            let (seq, draft) = (recorded.event.seq, &recorded.event.draft);
            let is_newest = recorded.replaced_at.is_none_or(|at| at > put.at);
            if !is_newest || ledger.is_hole_at(seq, put.at) || self.received.contains(&seq) {
                continue;
            }
            let wants = |held: &&&Held| {
                Account::takes(held, self.at, &ledger.epoch, &recorded.event)
                    && account.must_bring(held, recorded, put.at)
            };
            if let Some(held) = readers.iter().find(wants) {
                let message = format!(
                    "s{}:{seq} is the newest of {} and missing in {}",
                    self.at, draft.topic, held.id
                );
                return broken("I14", message);
            }
        }
        Ok(())
    }

    /// I11: a position is true, in a mark or before an event.
    pub fn hear_position(
        &mut self,
        account: &Account<'_>,
        position: &Position,
        put: Put,
    ) -> Verdict {
        let (at, seq) = (self.at, position.seq);
        if !account.reads(at) {
            // What it subscribed is ending.
            return Ok(());
        }
        if self.told.as_ref() != Some(&position.epoch) {
            return broken(
                "I11",
                format!("a mark names {position} before the gap from {:?}", self.told),
            );
        }
        let ledger = account.history.ledgers[at].epoch(&position.epoch).unwrap();
        if seq > ledger.head_at(put.at) {
            return broken("I11", format!("a mark names {position}, which was not there"));
        }
        if self
            .position
            .as_ref()
            .is_some_and(|(epoch, before)| *epoch == position.epoch && *before > seq)
        {
            return broken(
                "I11",
                format!("a mark goes back to {position} from {:?}", self.position),
            );
        }
        let before = self.position.replace((position.epoch.clone(), seq)).map_or(0, |(_, seq)| seq);
        if self.is_plain && seq < self.reached {
            return broken("I11", format!("a mark names {position} behind {}", self.reached));
        }
        self.check_missing(account, ledger, seq, put)?;
        self.check_newest(account, ledger, (before, seq), put)?;
        self.reached = self.reached.max(seq);
        Ok(())
    }

    /// What is remembered of a client is true: it received everything up to there.
    pub fn check_remembered(
        &self,
        account: &Account<'_>,
        position: &Position,
        put: Put,
    ) -> Verdict {
        let ledgers = &account.history.ledgers[self.at];
        let place_of = |epoch: &Epoch| ledgers.epochs.iter().position(|one| one.epoch == *epoch);
        let told = self.told.as_ref().and_then(place_of);
        if !account.reads(self.at) || told.is_none() {
            return Ok(());
        }
        let named = place_of(&position.epoch);
        if named > told {
            let message = format!("{position} is remembered, and the client is in {told:?}");
            return broken("remembered", message);
        }
        // Of an epoch that is over by now it gets the gap once more.
        let Some(ledger) = ledgers.epoch(&position.epoch).filter(|_| named == told) else {
            return Ok(());
        };
        self.check_missing(account, ledger, position.seq, put)?;
        self.check_newest(account, ledger, (0, position.seq), put)
    }

    /// A subscription begins: a reader of the stream that had none starts there.
    pub fn begin(&mut self, is_first: bool, epoch: &Epoch, after: Seq, believed: Option<&Epoch>) {
        self.named = Some(epoch.clone());
        if is_first {
            // Who held no subscription of the stream asked for this history anew.
            self.told = Some(believed.unwrap_or(epoch).clone());
            self.position = Some((epoch.clone(), after));
            self.start(after);
        }
    }

    fn start(&mut self, after: Seq) {
        self.reached = after;
        self.received.clear();
        self.lost.clear();
        self.last_by_mode.clear();
    }

    /// I4: a gap is justified; the live order goes on behind it.
    pub fn hear_gap(
        &mut self,
        account: &mut Account<'_>,
        gap: &Gap,
        is_replaying: bool,
        put: Put,
    ) -> Verdict {
        let Some(ledger) = account.history.ledgers[self.at].epoch(&gap.epoch) else {
            return broken("I4", format!("{gap:?} names an epoch that never was"));
        };
        let first = ledger.first_at(put.at);
        let is_lost = |seq: Seq| {
            let is_hole = gap.reason == GapReason::Corruption && ledger.is_hole_at(seq, put.at);
            seq < first || is_hole
        };
        if gap.from > gap.to + 1 || (gap.from..=gap.to).any(|seq| !is_lost(seq)) {
            return broken("I4", format!("{gap:?} is not justified: {first} was the first"));
        }
        self.named = Some(gap.epoch.clone());
        let is_new = self.told.as_ref() != Some(&gap.epoch);
        match gap.reason {
            GapReason::Epoch if is_new => {
                account.begin_epoch(self.at, &gap.epoch, gap.to);
                self.told = Some(gap.epoch.clone());
                self.position = Some((gap.epoch.clone(), gap.to));
                self.start(gap.to);
                Ok(())
            }
            // A replay was asked for from an epoch that was over.
            GapReason::Epoch if is_replaying => Ok(()),
            GapReason::Epoch => broken("I10", format!("{gap:?} was told twice")),
            _ if is_new => {
                broken("I10", format!("{gap:?} came before the gap from {:?}", self.told))
            }
            _ => self.lose(account, ledger, gap, is_replaying, put),
        }
    }

    fn lose(
        &mut self,
        account: &Account<'_>,
        ledger: &EpochLedger,
        gap: &Gap,
        is_replaying: bool,
        put: Put,
    ) -> Verdict {
        self.lost.push((gap.from, gap.to));
        // What a replay lost may lie ahead of the live order, or behind it.
        if !self.is_plain || is_replaying {
            return Ok(());
        }
        if gap.from <= self.reached || gap.from > gap.to {
            return broken(
                "I3",
                format!("{gap:?} overlaps what was received up to {}", self.reached),
            );
        }
        self.check_missing(account, ledger, gap.from - 1, put)?;
        self.reached = gap.to;
        Ok(())
    }

    /// I13: in the end everybody is at the head, and has all of it.
    pub fn check_end(&self, account: &Account<'_>, put: Put) -> Verdict {
        let at = self.at;
        if !account.reads(at) {
            return Ok(());
        }
        let ledger = account.history.ledgers[at].current();
        let head = ledger.head_at(put.at);
        if self.position != Some((ledger.epoch.clone(), head)) {
            let message =
                format!("s{at} ends at {:?} instead of {}:{head}", self.position, ledger.epoch);
            return broken("I13", message);
        }
        self.check_missing(account, ledger, head, put)?;
        self.check_newest(account, ledger, (0, head), put)
    }
}

/// I7: an event is for this client, and not too old.
pub fn check_sight(
    account: &Account<'_>,
    ledger: &EpochLedger,
    recorded: &Recorded,
    put: Put,
    what: impl Fn() -> String,
) -> Verdict {
    let draft = &recorded.event.draft;
    if recorded.event.seq < ledger.expired_at(put.from) {
        return broken("retention", format!("{} is too old", what()));
    }
    if !account.record.grants.subscribe.iter().any(|pattern| pattern.matches(&draft.topic)) {
        return broken("I7", format!("{} is not granted", what()));
    }
    if account.sight(&draft.audience, put.from, put.at) == Sight::Never {
        return broken("I7", format!("{} is for others", what()));
    }
    Ok(())
}

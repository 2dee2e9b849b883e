use std::collections::HashMap;

use protocol::{Mode, Topic};

use super::account::Account;
use super::{Verdict, broken};
use crate::simulator::record::Put;
use crate::simulator::wire::EventFrame;

/// Moves and changes so far: between two of them a reader goes on undisturbed.
type Turn = (u64, u64);

/// What one reader sends: events of a topic and audience, in the mode that owns them.
type Kind = (Topic, String, Mode);

/// How often and in which order of streams events are sent.
#[derive(Default)]
pub struct Pace {
    /// When an event of a topic and audience was put into the write last, and after which move.
    last: HashMap<Kind, (u64, Turn)>,
    /// The last filling of a blocked write, and the lowest priority that it came to.
    refill: Option<(u64, i32)>,
}

impl Pace {
    /// A live event of a stream.
    pub fn hear_event(&mut self, account: &Account<'_>, event: &EventFrame, put: Put) -> Verdict {
        self.check_priority(account, event, put)?;
        self.check_rate(account, event, put)
    }

    /// Where a write is filled that was blocked, the streams of higher priority come first.
    fn check_priority(&mut self, account: &Account<'_>, event: &EventFrame, put: Put) -> Verdict {
        let Some(refill) = put.refill else { return Ok(()) };
        let priority = account.history.table.specs()[event.stream].priority;
        if let Some((before, lowest)) = self.refill
            && before == refill
            && priority > lowest
        {
            let message = format!("s{}:{} came behind priority {lowest}", event.stream, event.seq);
            return broken("priority", message);
        }
        self.refill = Some((refill, priority));
        Ok(())
    }

    /// Latest at a rate: an event of the same topic and audience comes no more often from the most
    /// generous of those that take it. A session that is moved begins again.
    fn check_rate(&mut self, account: &Account<'_>, event: &EventFrame, put: Put) -> Verdict {
        let at = event.stream;
        let ledgers = &account.history.ledgers[at];
        let events = ledgers.epochs.iter().filter_map(|ledger| ledger.events.get(&event.seq));
        let mut same = events.filter(|recorded| super::is_data(&recorded.event, event));
        let Some(recorded) = same.next().filter(|_| event.seq > account.handed_over[at]) else {
            return Ok(());
        };
        let (topic, table) = (recorded.event.topic(), &account.history.table);
        let takers = account.held.iter().filter(|held| {
            Account::matches(held, &recorded.event)
                && held.begun.get(&at).is_some_and(|(_, after)| *after < event.seq)
        });
        let modes = takers.map(|held| held.mode.narrowed(table.specs()[at].mode));
        let Some(owner) = modes.min() else { return Ok(()) };
        let moves = account.record.moved.iter().filter(|moved| **moved <= put.at).count() as u64;
        let turn = (moves, account.changes);
        let key = (topic.clone(), format!("{:?}", recorded.event.draft.audience), owner);
        let before = self.last.insert(key, (put.ms, turn));
        let interval_ms = if owner.latest { u64::from(owner.interval_ms) } else { 0 };
        match before {
            Some((ms, same)) if same == turn && put.ms < ms + interval_ms => broken(
                "rate",
                format!("s{at}:{} came {} ms behind its topic's last", event.seq, put.ms - ms),
            ),
            _ => Ok(()),
        }
    }
}

use std::collections::HashMap;

use protocol::Topic;

use super::account::Account;
use super::{Verdict, broken};
use crate::simulator::record::Put;
use crate::simulator::wire::EventFrame;

/// How often and in which order of streams events are sent.
#[derive(Default)]
pub struct Pace {
    /// When an event of a topic and audience was put into the write last, and after which move.
    last: HashMap<(Topic, String), (u64, usize)>,
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

    /// Latest at a rate: an event of the same topic and audience comes no more often, where all
    /// that takes it has that rate. A session that is moved begins again.
    fn check_rate(&mut self, account: &Account<'_>, event: &EventFrame, put: Put) -> Verdict {
        let (at, table) = (event.stream, &account.history.table);
        let ledgers = &account.history.ledgers[at];
        let events = ledgers.epochs.iter().filter_map(|ledger| ledger.events.get(&event.seq));
        let mut same = events.filter(|recorded| super::is_data(&recorded.event, event));
        let Some(recorded) = same.next() else { return Ok(()) };
        let topic = recorded.event.topic();
        let takers = account.held.iter().filter(|held| Account::matches(held, topic));
        let modes: Vec<_> = takers.map(|held| held.mode.narrowed(table.specs()[at].mode)).collect();
        let slowest = modes.iter().map(|mode| if mode.latest { mode.interval_ms } else { 0 }).min();
        let moves = account.record.moved.iter().filter(|moved| **moved <= put.at).count() * 1000 + account.held.len();
        let key = (topic.clone(), format!("{:?}", recorded.event.draft.audience));
        let before = self.last.insert(key, (put.ms, moves));
        let interval_ms = u64::from(slowest.unwrap_or(0));
        match before {
            Some((ms, same)) if same == moves && put.ms - ms < interval_ms => {
                broken("rate", format!("s{at}:{} came {} ms behind its topic's last", event.seq, put.ms - ms))
            }
            _ => Ok(()),
        }
    }
}

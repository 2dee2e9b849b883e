use std::collections::HashMap;

use protocol::{
    Answer, Appended, Command, Draft, Epoch, Error, ErrorCode, Event, History, Message, Seq,
};

use super::account::{Account, Sight};
use super::{Verdict, broken};
use crate::simulator::record::{Entry, Put, What};
use crate::simulator::wire::Heard;

/// Answers to publishing and histories: I1, I5, I7 and I8.
#[derive(Default)]
pub struct Answers {
    /// Publishes in the order in which they were sent, by id.
    sent: HashMap<i64, u64>,
    /// The last position that was acknowledged of those, by stream and epoch.
    acknowledged: HashMap<(usize, Epoch), Vec<(u64, Seq)>>,
}

impl Answers {
    /// A client says or hears something.
    pub fn see(&mut self, account: &Account<'_>, entry: &Entry) -> Verdict {
        match &entry.what {
            What::Asked(request) => {
                if let Some(id) = request.id {
                    self.sent.insert(id, self.sent.len() as u64);
                }
                Ok(())
            }
            What::Heard(Heard::Message(Message::Reply { id: Some(id), result }), put) => {
                let Some((_, command)) = account.asked.get(id) else {
                    return broken("answers", format!("nobody asked for {id}: {result:?}"));
                };
                match result {
                    Ok(answer) => self.hear_answer(account, *id, command, answer, *put),
                    Err(error) => hear_error(account, command, error),
                }
            }
            What::Heard(..) => Ok(()),
        }
    }

    fn hear_answer(
        &mut self,
        account: &Account<'_>,
        id: i64,
        command: &Command,
        answer: &Answer,
        put: Put,
    ) -> Verdict {
        match (command, answer) {
            (Command::Publish(draft), Answer::Published(appended)) => {
                check_appended(account, draft, appended)?;
                self.check_sent_order(account, id, appended)
            }
            (Command::History(history), Answer::History { stream, epoch, events, after, more }) => {
                let reached = (*after, *more);
                check_history(
                    account,
                    history,
                    (account.place(stream), epoch),
                    events,
                    reached,
                    put,
                )
            }
            (Command::Hello(_), Answer::Hello { .. })
            | (Command::Subscribe(_), Answer::Subscribed(_))
            | (Command::Unsubscribe(_), Answer::Unsubscribed)
            // Their checker sees all of a device's at once.
            | (Command::Acknowledge(_), Answer::Acknowledged(_))
            | (Command::Ping, Answer::Pong { .. }) => Ok(()),
            _ => broken("answers", format!("{answer:?} answers {command:?}")),
        }
    }

    /// I8: what one connection publishes to one stream gets ascending seqs in the order sent.
    fn check_sent_order(&mut self, account: &Account<'_>, id: i64, appended: &Appended) -> Verdict {
        if appended.duplicate {
            return Ok(());
        }
        let order = self.sent[&id];
        let key = (account.place(&appended.stream), appended.epoch.clone());
        let others = self.acknowledged.entry(key).or_default();
        if others.iter().any(|(other, seq)| (*other < order) != (*seq < appended.seq)) {
            return broken("I8", format!("{appended:?} is out of the order of sending"));
        }
        others.push((order, appended.seq));
        Ok(())
    }
}

/// I1, I5: an acknowledged event is where the acknowledgement says, with equal bytes.
fn check_appended(account: &Account<'_>, draft: &Draft, appended: &Appended) -> Verdict {
    let ledger = account.history.ledgers[account.place(&appended.stream)].epoch(&appended.epoch);
    let recorded = ledger.and_then(|ledger| ledger.events.get(&appended.seq));
    let is_there = recorded.is_some_and(|recorded| {
        let kept = &recorded.event.draft;
        (&kept.topic, &kept.payload, &kept.audience, &kept.id)
            == (&draft.topic, &draft.payload, &draft.audience, &draft.id)
    });
    if is_there { Ok(()) } else { broken("I1", format!("{appended:?} is not what was published")) }
}

/// A history is what is kept of what was asked for, and all of it up to its last event.
fn check_history(
    account: &Account<'_>,
    history: &History,
    (at, epoch): (usize, &Epoch),
    events: &[Event],
    (reached, more): (Seq, bool),
    put: Put,
) -> Verdict {
    let Some(ledger) = account.history.ledgers[at].epoch(epoch) else {
        return broken("I2", format!("a history of s{at} names an epoch that never was"));
    };
    let after =
        if history.epoch.as_ref().is_none_or(|asked| asked == epoch) { history.after } else { 0 };
    // Where no epoch was asked for and it changed in between, reading began again.
    let first = events.first().map_or(reached, |event| event.seq - 1);
    let is_anew = history.epoch.is_none() && first < after;
    let mut last = if is_anew { 0 } else { after };
    for event in events {
        let what = || format!("s{at}:{epoch}:{} in a history", event.seq);
        let Some(recorded) = ledger.events.get(&event.seq).filter(|kept| kept.event == *event)
        else {
            return broken("I2", format!("{} is not what was appended", what()));
        };
        // The groups are those of the moment in which it was asked for.
        let sight = account.sight(&event.draft.audience, account.record.opened, put.at);
        if !history.topic.matches(event.topic()) || sight == Sight::Never {
            return broken("I7", format!("{} is not for this client", what()));
        }
        if event.seq <= last && last > 0 {
            return broken("I3", format!("{} is not behind {last}", what()));
        }
        let skipped = ledger.range(last, recorded.event.seq - 1);
        check_nothing_skipped(account, history, skipped, ledger, put)?;
        last = event.seq;
    }
    if reached < last {
        return broken("I3", format!("a history came to {last} and says {reached}"));
    }
    check_nothing_skipped(account, history, ledger.range(last, reached), ledger, put)?;
    if more || events.len() >= history.limit as usize {
        return Ok(());
    }
    let asked = history_asked(account, history);
    let rest = ledger.range(last, Seq::MAX - 1).filter(|recorded| recorded.at <= asked);
    check_nothing_skipped(account, history, rest, ledger, put)
}

fn check_nothing_skipped<'l>(
    account: &Account<'_>,
    history: &History,
    mut skipped: impl Iterator<Item = &'l crate::simulator::ledger::Recorded>,
    ledger: &crate::simulator::ledger::EpochLedger,
    put: Put,
) -> Verdict {
    let missing = skipped.find(|recorded| {
        let event = &recorded.event;
        event.seq >= ledger.first_at(put.at)
            && !ledger.is_hole_at(event.seq, put.at)
            && history.topic.matches(event.topic())
            && account.sight(&event.draft.audience, account.record.opened, put.at) == Sight::Must
    });
    match missing {
        Some(missing) => broken("I3", format!("{} is missing in a history", missing.event.seq)),
        None => Ok(()),
    }
}

fn history_asked(account: &Account<'_>, history: &History) -> u64 {
    let is_it =
        |command: &Command| matches!(command, Command::History(asked) if **asked == *history);
    account
        .asked
        .values()
        .filter(|(_, command)| is_it(command))
        .map(|(at, _)| *at)
        .min()
        .unwrap_or(0)
}

/// A refusal has a reason that the client can see.
fn hear_error(account: &Account<'_>, command: &Command, error: &Error) -> Verdict {
    let is_granted =
        |pattern| account.record.grants.subscribe.iter().any(|wide| wide.contains(pattern));
    let is_justified = match (error.code, command) {
        (ErrorCode::BrokerUnavailable, Command::Publish(_) | Command::History(_)) => true,
        (ErrorCode::BrokerUnavailable, Command::Subscribe(_) | Command::Hello(_)) => true,
        (ErrorCode::BrokerUnavailable, Command::Acknowledge(_)) => true,
        // A disk that is full or broken.
        (
            ErrorCode::Storage | ErrorCode::StorageFull,
            Command::Publish(_) | Command::Acknowledge(_),
        ) => account.history.is_on_disk,
        // What was not delivered, an epoch that is over, or a stream that is not read any more.
        (ErrorCode::BadRequest, Command::Acknowledge(_)) => true,
        (ErrorCode::Forbidden, Command::Subscribe(body)) => !body.topics.iter().all(is_granted),
        (ErrorCode::Forbidden, Command::History(history)) => !is_granted(&history.topic),
        (ErrorCode::Forbidden, Command::Hello(hello)) => {
            !hello.subscriptions.iter().flat_map(|body| &body.topics).all(is_granted)
        }
        (ErrorCode::NotFound, Command::Unsubscribe(_)) => true,
        (ErrorCode::TooManySubscriptions, Command::Subscribe(_)) => true,
        _ => false,
    };
    if is_justified { Ok(()) } else { broken("answers", format!("{error} answers {command:?}")) }
}

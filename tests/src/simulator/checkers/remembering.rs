use protocol::{Command, Message, Subscribe};

use super::account::{Account, Held};
use super::{Verdict, Walk, broken};
use crate::simulator::record::{Left, Put, Record, What};
use crate::simulator::wire::Heard;

/// Clients that cannot say where they were lose nothing: they get back what they had, behind what
/// they surely received, and nothing else.
pub(super) fn check(earlier: &[Walk<'_>], record: &Record) -> Verdict {
    if !record.is_remembered {
        return Ok(());
    }
    let before = earlier.iter().rfind(|walk| walk.account.record.person == record.person);
    let Some(before) = before else { return Ok(()) };
    let Some(left) = &record.restored else {
        let is_nothing = before.account.held.is_empty() || is_ending(&before.account);
        let why = "what the client had was forgotten".to_owned();
        return if is_nothing { Ok(()) } else { broken("remembered", why) };
    };
    let from = &earlier[left.connection];
    check_told(record)?;
    check_all_is_there(from, left)?;
    check_nothing_else(&from.account, left)?;
    let at = from.account.record.closed.unwrap_or(record.opened);
    let put = Put { from: at, at, ms: 0, refill: None };
    // Of what was to end, and may have ended, some may be missing.
    if is_ending(&from.account) {
        return Ok(());
    }
    left.what.positions().iter().try_for_each(|position| {
        let at = from.account.place(&position.stream);
        for replay in from.replays.iter().filter(|replay| replay.at == at) {
            replay.check_remembered(&from.account, position, put)?;
        }
        from.lines[at].check_remembered(&from.account, position, put)
    })
}

/// Whether the client asked to end something, and does not know whether it did.
fn is_ending(account: &Account<'_>) -> bool {
    account.asked.values().any(|(_, command)| matches!(command, Command::Unsubscribe(_)))
}

/// It is told what it got back, before anything of it comes.
fn check_told(record: &Record) -> Verdict {
    for entry in &record.entries {
        match &entry.what {
            What::Heard(Heard::Message(Message::Restored(_)), _) => return Ok(()),
            What::Heard(Heard::Event(_) | Heard::Batch(_), _) => {
                return broken("remembered", "an event came before what it was for".into());
            }
            _ => {}
        }
    }
    let is_over = record.closed.is_some();
    let why = "what the client had did not come back".to_owned();
    if is_over { Ok(()) } else { broken("remembered", why) }
}

fn check_all_is_there(from: &Walk<'_>, left: &Left) -> Verdict {
    if is_ending(&from.account) {
        return Ok(());
    }
    let is_there = |held: &&Held| left.what.subscriptions().iter().any(|body| is_it(held, body));
    match from.account.held.iter().find(|held| !is_there(held)) {
        None => Ok(()),
        Some(held) => broken("remembered", format!("{} was forgotten", held.id)),
    }
}

fn is_it(held: &Held, body: &Subscribe) -> bool {
    held.topics.len() == body.topics.len()
        && held.topics.iter().all(|topic| body.topics.contains(topic))
        && held.except == body.except
        && held.filter == body.filter
        && held.mode == body.mode
}

/// What came back was asked for, on that connection or before.
fn check_nothing_else(account: &Account<'_>, left: &Left) -> Verdict {
    let asked = account.record.entries.iter().filter_map(|entry| match &entry.what {
        What::Asked(request) => Some(&request.command),
        What::Heard(..) => None,
    });
    let mut known: Vec<&Subscribe> = asked
        .filter_map(|command| match command {
            Command::Subscribe(body) => Some(&**body),
            _ => None,
        })
        .collect();
    known.extend(account.record.restored.iter().flat_map(|left| left.what.subscriptions()));
    let is_known = |body: &&Subscribe| {
        known.iter().any(|known| {
            body.topics.iter().all(|topic| known.topics.contains(topic))
                && (&body.except, &body.filter, body.mode)
                    == (&known.except, &known.filter, known.mode)
        })
    };
    match left.what.subscriptions().iter().find(|body| !is_known(body)) {
        None => Ok(()),
        Some(body) => broken("remembered", format!("nobody asked for {body:?}")),
    }
}

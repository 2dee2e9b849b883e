use std::collections::HashMap;

use engine::Device;
use protocol::{Answer, Command, Epoch, Message, Position, Seq, Start};

use super::{Verdict, broken};
use crate::simulator::clock::Tick;
use crate::simulator::record::{History, Record, What};
use crate::simulator::wire::Heard;

/// What a device asked for and heard, on all of its connections.
#[derive(Default)]
struct Told {
    /// Positions that it sent an acknowledgement of, and when.
    asked: Vec<(Tick, Position)>,
    /// Positions that it heard to be acknowledged: when it had asked, and when it heard.
    held: Vec<(Tick, Tick, Position)>,
    /// Positions behind which a stream began from what was stored: when it had asked and heard.
    begun: Vec<(Tick, Tick, Position)>,
}

/// I6: within an epoch a device's cursor only grows, it is never beyond what the device sent, and
/// what begins behind it neither leaves out nor repeats.
pub fn check(history: &History) -> Verdict {
    let mut devices: HashMap<&Device, Told> = HashMap::new();
    for record in &history.records {
        devices.entry(&record.device).or_default().take(record);
    }
    for (device, told) in &devices {
        told.check_held(device)?;
        told.check_begun(device, history)?;
    }
    Ok(())
}

impl Told {
    fn take(&mut self, record: &Record) {
        let mut open: HashMap<i64, (Tick, &Command)> = HashMap::new();
        let mut is_reading = false;
        for entry in &record.entries {
            match &entry.what {
                What::Asked(request) => {
                    if let Command::Acknowledge(positions) = &request.command {
                        self.asked.extend(positions.iter().map(|p| (entry.at, p.clone())));
                    }
                    open.extend(request.id.map(|id| (id, (entry.at, &request.command))));
                }
                What::Heard(Heard::Message(Message::Reply { id: Some(id), result }), _) => {
                    let (Some((asked, command)), Ok(answer)) = (open.remove(id), result) else {
                        continue;
                    };
                    self.take_answer((asked, entry.at), command, answer, &mut is_reading);
                }
                What::Heard(..) => {}
            }
        }
    }

    fn take_answer(
        &mut self,
        (asked, heard): (Tick, Tick),
        command: &Command,
        answer: &Answer,
        is_reading: &mut bool,
    ) {
        match (command, answer) {
            (_, Answer::Acknowledged(positions)) => {
                self.held.extend(positions.iter().map(|p| (asked, heard, p.clone())));
            }
            // What else is read of a stream decides where it begins: only the first is sure.
            (Command::Subscribe(body), Answer::Subscribed(begun)) => {
                if body.start == Start::Stored && !*is_reading {
                    self.begun.extend(begun.positions.iter().map(|p| (asked, heard, p.clone())));
                }
                *is_reading = true;
            }
            (Command::Hello(_), Answer::Hello { subscriptions, .. }) => {
                *is_reading |= !subscriptions.is_empty();
            }
            _ => {}
        }
    }

    fn check_held(&self, device: &Device) -> Verdict {
        for (asked, heard, held) in &self.held {
            let before = self.held_before(*asked, held, &held.epoch);
            if before > Some(held.seq) {
                let what = format!("{device} hears {held} after {before:?}");
                return broken("I6", what);
            }
            if self.sent_before(*heard, held, &held.epoch) < Some(held.seq) {
                return broken("I6", format!("{device} hears {held} and never sent it"));
            }
        }
        Ok(())
    }

    fn check_begun(&self, device: &Device, history: &History) -> Verdict {
        for (asked, heard, begun) in &self.begun {
            let at = history.table.find(begun.stream.as_str()).unwrap().get();
            let Some(ledger) = history.ledgers[at].epoch(&begun.epoch) else { continue };
            let before = self.held_before(*asked, begun, &begun.epoch);
            if before > Some(begun.seq) {
                return broken("I6", format!("{device} begins at {begun}, behind {before:?}"));
            }
            let sent = self.sent_before(*heard, begun, &begun.epoch).unwrap_or(0);
            if begun.seq > sent.max(ledger.first_at(*heard) - 1) {
                return broken("I6", format!("{device} begins at {begun} and had {sent}"));
            }
        }
        Ok(())
    }

    fn held_before(&self, tick: Tick, like: &Position, epoch: &Epoch) -> Option<Seq> {
        let is_it =
            |position: &Position| position.stream == like.stream && position.epoch == *epoch;
        let held = self.held.iter().filter(|(_, heard, held)| *heard < tick && is_it(held));
        held.map(|(.., held)| held.seq).max()
    }

    fn sent_before(&self, tick: Tick, like: &Position, epoch: &Epoch) -> Option<Seq> {
        let is_it =
            |position: &Position| position.stream == like.stream && position.epoch == *epoch;
        let sent = self.asked.iter().filter(|(at, sent)| *at < tick && is_it(sent));
        sent.map(|(_, sent)| sent.seq).max()
    }
}

use std::sync::Arc;

use engine::{Grants, StreamTable};
use protocol::dialects::native::read_filter;
use protocol::{Command, Message, Request};

use super::machine::End;
use super::random::Random;
use super::record::Put;
use super::store::{Ask, Luck};
use super::topology::pattern;
use super::wire::{EventFrame, Heard};

/// A bug that checkers have to find. Each lives outside the engine: in the broker, in what a
/// worker is told of a client, or in the bytes on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// An append is answered before it is stored, and then lost.
    AcknowledgeEarly,
    /// A new epoch has the name of an earlier one.
    ReuseEpoch,
    /// An event does not come.
    DropOne,
    /// Two neighbours change places.
    SwapTwo,
    /// A replay ends one event early.
    StopShort,
    /// A client may subscribe to what it was not granted.
    IgnoreDenial,
    /// A client gets what is for another user.
    IgnoreAudience,
    /// A gap is not told.
    SkipGap,
    /// The last event of a replay comes live once more.
    RepeatAtSwitch,
    /// The newest event of a stream that delivers the latest does not come.
    LatestMissesLast,
    /// An older acknowledgement replaces a newer one.
    CursorGoesBack,
    /// A mark names more than was delivered.
    MarkAhead,
    /// A subscription brings what its filter leaves out.
    IgnoreFilter,
    /// A subscription brings less than its filter accepts.
    NarrowFilter,
    /// A client is taken to have read what was only written.
    ConfirmUnread,
    /// A machine that lost power does not say that it was started anew.
    SilentPower,
}

impl Plant {
    /// Every bug.
    pub const ALL: [Self; 16] = [
        Self::AcknowledgeEarly,
        Self::ReuseEpoch,
        Self::DropOne,
        Self::SwapTwo,
        Self::StopShort,
        Self::IgnoreDenial,
        Self::IgnoreAudience,
        Self::SkipGap,
        Self::RepeatAtSwitch,
        Self::LatestMissesLast,
        Self::MarkAhead,
        Self::IgnoreFilter,
        Self::NarrowFilter,
        Self::CursorGoesBack,
        Self::ConfirmUnread,
        Self::SilentPower,
    ];

    /// The seed from which on it can show.
    pub fn first_seed(self) -> u64 {
        match self {
            Self::SilentPower => super::ON_DISK,
            Self::ConfirmUnread => super::REMEMBERING,
            _ => 0,
        }
    }
}

/// The bug of a world, if it has one.
pub struct Planted {
    plant: Option<Plant>,
    /// Apart from the world's own numbers, so that it changes nothing else.
    random: Random,
}

impl Planted {
    /// A world without a bug that is not the engine's.
    pub fn nothing() -> Self {
        Self { plant: None, random: Random::new(0) }
    }

    /// A world with a bug.
    pub fn new(plant: Plant, seed: u64) -> Self {
        Self { plant: Some(plant), random: Random::new(seed) }
    }

    fn is(&mut self, plant: Plant, one_in: u64) -> bool {
        self.plant == Some(plant) && self.random.one_in(one_in)
    }

    /// How an ask goes.
    pub(super) fn luck(&mut self, ask: &Ask, luck: Luck) -> Luck {
        let is_append = matches!(ask, Ask::Append(..));
        let is_acknowledgement = matches!(ask, Ask::Acknowledge(..));
        if is_append && self.is(Plant::AcknowledgeEarly, 20) {
            Luck::Forgotten
        } else if is_acknowledgement && self.is(Plant::CursorGoesBack, 1) {
            Luck::Backwards
        } else {
            luck
        }
    }

    /// How a machine loses power.
    pub(super) fn power(&mut self) -> End {
        if self.is(Plant::SilentPower, 1) { End::SilentPower } else { End::Power }
    }

    /// Whether a client that was asked whether it is there is taken to have answered.
    pub(super) fn answers_early(&mut self) -> bool {
        self.is(Plant::ConfirmUnread, 1)
    }

    /// Of what an epoch's name is made.
    pub(super) fn epoch_bits(&mut self, bits: u64) -> u64 {
        if self.is(Plant::ReuseEpoch, 1) { 1 } else { bits }
    }

    /// What a worker is told that a client may do.
    pub(super) fn grants(&mut self, grants: Arc<Grants>) -> Arc<Grants> {
        if !self.is(Plant::IgnoreDenial, 1) {
            return grants;
        }
        Arc::new(Grants { subscribe: vec![pattern(">")], ..(*grants).clone() })
    }

    /// Who a worker is told that a client is.
    pub(super) fn user(&mut self, user: Option<Arc<str>>) -> Option<Arc<str>> {
        if self.is(Plant::IgnoreAudience, 1) { Some("ann".into()) } else { user }
    }

    /// A worker takes a subscription for another one.
    pub(super) fn misread(&mut self, request: &mut Request) {
        let Command::Subscribe(body) = &mut request.command else { return };
        if body.filter.is_some() && self.is(Plant::IgnoreFilter, 2) {
            body.filter = None;
        }
        if body.filter.is_some() && self.is(Plant::NarrowFilter, 2) {
            let none = read_filter(r#"{"field":"/nothing","op":"exists"}"#);
            body.filter = Some(Arc::new(none.unwrap()));
        }
    }

    /// What a client reads.
    pub(super) fn tamper(&mut self, table: &StreamTable, frames: &mut Vec<(Heard, Put)>) {
        if self.plant.is_none() {
            return;
        }
        let mut at = 0;
        while at < frames.len() {
            at += self.tamper_at(table, frames, at);
        }
    }

    /// Tampers with one frame; how many to go on by.
    fn tamper_at(
        &mut self,
        table: &StreamTable,
        frames: &mut Vec<(Heard, Put)>,
        at: usize,
    ) -> usize {
        let (heard, put) = (frames[at].0.clone(), frames[at].1);
        match heard {
            Heard::Event(event) => {
                let is_latest = table.specs()[event.stream].mode.latest;
                let is_last = at + 1 == frames.len();
                let misses = is_latest && is_last && self.is(Plant::LatestMissesLast, 2);
                if misses || self.is(Plant::DropOne, 40) {
                    frames.remove(at);
                    return 0;
                }
                let next = frames.get(at + 1).map(|(next, _)| next.clone());
                if let Some(Heard::Event(next)) = next
                    && next.stream == event.stream
                    && self.is(Plant::SwapTwo, 20)
                {
                    frames.swap(at, at + 1);
                    return 2;
                }
            }
            Heard::Message(Message::Gap(_)) if self.is(Plant::SkipGap, 2) => {
                frames.remove(at);
                return 0;
            }
            Heard::Message(message) => return self.tamper_message(table, message, put, frames, at),
            _ => {}
        }
        1
    }

    fn tamper_message(
        &mut self,
        table: &StreamTable,
        mut message: Message,
        put: Put,
        frames: &mut Vec<(Heard, Put)>,
        at: usize,
    ) -> usize {
        let mut repeated = None;
        match &mut message {
            Message::Mark(positions) if self.is(Plant::MarkAhead, 5) => {
                positions.iter_mut().for_each(|position| position.seq += 3);
            }
            Message::Replay { events, done: true, .. } if self.is(Plant::StopShort, 2) => {
                events.pop();
            }
            Message::Replay { stream, events, done: true, .. }
                if self.is(Plant::RepeatAtSwitch, 2) =>
            {
                let stream = table.find(stream.as_str()).unwrap().get();
                repeated = events.last().map(|event| {
                    let data = super::wire::data_of(event).to_vec();
                    Heard::Event(EventFrame { stream, seq: event.seq, data })
                });
            }
            _ => {}
        }
        frames[at].0 = Heard::Message(message);
        match repeated {
            Some(repeated) => {
                frames.insert(at + 1, (repeated, put));
                2
            }
            None => 1,
        }
    }
}

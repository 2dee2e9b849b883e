use std::collections::VecDeque;
use std::sync::Arc;

use protocol::{
    Answer, Command, Hello, Message, Position, Request as ClientRequest, Start, Subscribe,
    Subscribed,
};

use super::{ClientKey, Now, Ticket, Worker};
use crate::index::{Subscription, SubscriptionKey};
use crate::isolated::isolated;
use crate::session::{Session, Subscribing};
use crate::streams::StreamIndex;

/// Most pings without an answer for which positions are kept; the answer to a later one confirms
/// what was sent before the last of these.
const PINGS_MAX: usize = 8;

/// What a client had when its connection ended, for when it comes back: subscriptions, and
/// positions up to which it surely received everything.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    subscriptions: Vec<Subscribe>,
    positions: Vec<Position>,
    /// How it chose that events look to it.
    look: Option<Arc<str>>,
}

/// How a client is remembered.
#[derive(Clone, Debug)]
pub struct Remember {
    /// What it had on an earlier connection.
    pub left: Option<Remembered>,
    /// Whether it may say itself where it goes on: then it gets back what it had with its first
    /// command, unless that is a hello that says so, or at the first heartbeat.
    pub can_resume: bool,
}

/// What a session needs to be remembered.
#[derive(Default)]
pub(crate) struct Remembering {
    /// What the client had before, as long as it may still say itself where it goes on.
    left: Option<Remembered>,
    /// Subscriptions that it got back and did not ask for again.
    restored: Vec<SubscriptionKey>,
    /// Up to here it received everything, or began.
    confirmed: Vec<Position>,
    /// Pings that were not answered, oldest first, and what was sent before each.
    pings: VecDeque<(u64, Vec<Position>)>,
    ping_last: u64,
}

impl Remembered {
    /// Subscriptions, whose own starts mean nothing, and where they go on.
    pub fn new(subscriptions: Vec<Subscribe>, positions: Vec<Position>) -> Self {
        Self { subscriptions, positions, look: None }
    }

    /// What it subscribed to.
    pub fn subscriptions(&self) -> &[Subscribe] {
        &self.subscriptions
    }

    /// Up to where it surely received everything, in each stream.
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        let bodies = self.subscriptions.iter().map(|body| {
            let patterns = body.topics.iter().chain(&body.except);
            let text: usize = patterns.map(|p| size_of_val(p) + p.as_str().len()).sum();
            let filter = body.filter.as_ref().map_or(0, |filter| 8 * filter.as_str().len());
            size_of::<Subscribe>() + text + filter
        });
        let look = self.look.as_ref().map_or(0, |look| look.len());
        bodies.sum::<usize>() + look + self.positions.len() * (size_of::<Position>() + 64)
    }
}

impl Remembering {
    pub(crate) fn new(left: Option<Remembered>) -> Self {
        Self { left, ..Self::default() }
    }

    /// Subscriptions have other keys now.
    pub(crate) fn rename(&mut self, restored: Vec<SubscriptionKey>) {
        self.restored = restored;
    }

    /// Whether the client got this subscription back and did not ask for it again.
    pub(crate) fn is_restored(&self, key: SubscriptionKey) -> bool {
        self.restored.contains(&key)
    }

    /// A subscription ended.
    pub(crate) fn forget(&mut self, key: SubscriptionKey) {
        self.restored.retain(|restored| *restored != key);
    }

    /// A subscription begins behind `position` in a stream; `is_first` where nothing else reads
    /// it. What was sent before confirms nothing of what it brings.
    fn begin(&mut self, position: Position, is_first: bool) {
        for (_, positions) in &mut self.pings {
            positions.retain_mut(|sent| {
                if sent.stream != position.stream {
                    return true;
                }
                sent.seq = sent.seq.min(position.seq);
                sent.epoch == position.epoch && !is_first
            });
        }
        match self.confirmed.iter_mut().find(|known| known.stream == position.stream) {
            Some(known) if is_first => *known = position,
            Some(known) if known.epoch == position.epoch => {
                known.seq = known.seq.min(position.seq);
            }
            // Of an epoch that is over: all that is kept is still to come.
            Some(_) => {}
            None => self.confirmed.push(position),
        }
    }

    fn confirm(&mut self, number: u64) {
        if number > self.ping_last {
            return;
        }
        while self.pings.front().is_some_and(|(ping, _)| *ping <= number) {
            let Some((_, positions)) = self.pings.pop_front() else { return };
            for position in positions {
                match self.confirmed.iter_mut().find(|known| known.stream == position.stream) {
                    Some(known) => *known = position,
                    None => self.confirmed.push(position),
                }
            }
        }
    }

    fn ping(&mut self, positions: Vec<Position>) -> u64 {
        self.ping_last += 1;
        let is_news = self.pings.back().map_or(&self.confirmed, |(_, last)| last) != &positions;
        if is_news && self.pings.len() < PINGS_MAX {
            self.pings.push_back((self.ping_last, positions));
        }
        self.ping_last
    }

    /// Only these streams are read any more.
    fn retain(&mut self, is_read: impl Fn(&Position) -> bool) {
        self.confirmed.retain(&is_read);
        for (_, positions) in &mut self.pings {
            positions.retain(&is_read);
        }
    }
}

impl Worker {
    /// The transport is about to ask whether the client is there, behind all that waits to be
    /// written. The number that the ping is to carry, where the client is remembered.
    pub fn ping(&mut self, key: ClientKey) -> Option<u64> {
        let session = self.session(key)?;
        remembering(session)?;
        let positions = self.positions(session);
        let session = self.session_mut(key)?;
        Some(remembering_mut(session)?.ping(positions))
    }

    /// The client answered the ping of this number: it received all that was written before it.
    pub fn handle_pong(&mut self, key: ClientKey, number: u64) {
        if let Some(remembering) = self.session_mut(key).and_then(remembering_mut) {
            remembering.confirm(number);
        }
    }

    /// What a client has that is remembered and subscribes to something.
    pub fn remember(&self, key: ClientKey) -> Option<Remembered> {
        let session = self.session(key)?;
        let remembering = remembering(session)?;
        if let Some(left) = &remembering.left {
            return Some(left.clone());
        }
        let mut subscriptions: Vec<Subscribe> = Vec::new();
        for subscription in session.subscriptions.iter().filter_map(|key| self.index.get(*key)) {
            let body = self.body_of(subscription);
            // Who subscribes anew each time it comes back would have more and more.
            if !subscriptions.contains(&body) {
                subscriptions.push(body);
            }
        }
        let positions = remembering.confirmed.clone();
        let look = session.rare.as_ref().and_then(|rare| rare.look.as_ref());
        let look = look.map(|look| look.options.clone());
        (!subscriptions.is_empty()).then_some(Remembered { subscriptions, positions, look })
    }

    fn body_of(&self, subscription: &Subscription) -> Subscribe {
        Subscribe {
            topics: self.index.topics(subscription),
            except: subscription.except().to_vec(),
            filter: self.index.filter(subscription).cloned(),
            start: Start::Now,
            mode: subscription.mode,
        }
    }

    /// Gives a client what it had on another connection; what it already gets of it may come
    /// again. `false` where there is no such client.
    pub fn adopt(&mut self, now: Now, key: ClientKey, remembered: Remembered) -> bool {
        self.now = now;
        let is_there = self.session(key).is_some_and(|session| !session.is_closing);
        if is_there {
            self.give_back(key, remembered);
        }
        is_there
    }

    /// Gives a client what it had, where it has not said itself where it goes on.
    pub(super) fn restore_left(&mut self, key: ClientKey) {
        let remembering = self.session_mut(key).and_then(remembering_mut);
        if let Some(left) = remembering.and_then(|remembering| remembering.left.take()) {
            self.give_back(key, left);
        }
    }

    /// The client says itself what it wants and where it goes on.
    pub(super) fn forget_left(&mut self, key: ClientKey) {
        let Some(remembering) = self.session_mut(key).and_then(remembering_mut) else { return };
        remembering.left = None;
        let restored = std::mem::take(&mut remembering.restored);
        for subscription in restored {
            self.end(key, subscription, None);
        }
        self.clean_up(key.place);
    }

    fn give_back(&mut self, key: ClientKey, left: Remembered) {
        let Remembered { subscriptions: bodies, positions, look } = left;
        let hello = Hello { resume: positions.clone(), ..Hello::default() };
        let command = Command::Hello(Box::new(hello));
        let request = ClientRequest { id: None, command };
        let (resume, to_locate, found) = (Some(positions.clone()), Vec::new(), Vec::new());
        let subscribing = Subscribing { request, resume, bodies, attempt: 0, to_locate, found };
        // All before the first begins: what follows would find it behind an epoch that is over, have
        // that told once more, and get history apart that comes to the others live.
        for body in &subscribing.bodies {
            self.prepare(key, body);
        }
        let mut begun: Vec<Subscribed> = Vec::new();
        for (place, body) in subscribing.bodies.iter().enumerate() {
            // It may be allowed less by now, or have subscribed to as much as it may.
            if self.may_subscribe(key, std::slice::from_ref(body)).is_err() {
                continue;
            }
            if let Ok((subscription, one)) = self.begin(key, &subscribing, place) {
                begun.push(one);
                if let Some(remembering) = self.session_mut(key).and_then(remembering_mut) {
                    remembering.restored.push(subscription);
                }
            }
        }
        if let Some(remembering) = self.session_mut(key).and_then(remembering_mut) {
            let is_over = |known: &&mut Position| {
                positions.iter().any(|p| p.stream == known.stream && p.epoch != known.epoch)
            };
            // Until it has heard of the new epoch, it is where it was.
            for known in remembering.confirmed.iter_mut().filter(is_over) {
                let before = positions.iter().find(|position| position.stream == known.stream);
                *known = before.cloned().unwrap_or_else(|| known.clone());
            }
        }
        if let (Some(look), Some(session)) = (look, self.session_mut(key))
            && isolated(|| session.conversation.restore_look(&look)).is_err()
        {
            return self.fail(key.place);
        }
        self.look_over(key);
        self.tell(key.place, &Message::Restored(begun));
        self.queue(key.place);
    }

    /// Answers a subscribe that asks for what the client has got back anyway; whether it did.
    pub(super) fn claim(&mut self, ticket: Ticket, body: &Subscribe) -> bool {
        let key = ticket.client;
        let Some(found) = self.claimed(key, body) else { return false };
        let Some(remembering) = self.session_mut(key).and_then(remembering_mut) else {
            return false;
        };
        remembering.restored.retain(|other| *other != found);
        let Some(subscription) = self.index.get(found).map(|found| found.id) else { return false };
        let streams = self.streams_of(&body.topics).into_iter();
        let positions = streams.filter_map(|at| self.place_in(key, at)).collect();
        let topics = body.topics.clone();
        let subscribed = Subscribed { subscription, topics, positions, truncated: false };
        self.reply(key, ticket.id, Ok(Answer::Subscribed(subscribed)));
        true
    }

    fn claimed(&self, key: ClientKey, body: &Subscribe) -> Option<SubscriptionKey> {
        let mut restored = remembering(self.session(key)?)?.restored.iter().copied();
        restored.find(|key| self.index.get(*key).is_some_and(|one| self.body_of(one) == *body))
    }

    /// Up to where a client was sent everything of a stream.
    pub(super) fn place_in(&self, key: ClientKey, at: StreamIndex) -> Option<Position> {
        let (stream, spec) = (self.streams.get(at.get())?, self.table.spec(at)?);
        let readers = self.session(key)?.readers.iter().filter(|reader| reader.stream == at);
        let seq = readers.map(|reader| reader.position(stream.read)).min()?;
        Some(Position { stream: spec.name.clone(), epoch: stream.epoch.clone(), seq })
    }

    /// Readers of a session are gone: the places of their streams mean nothing any more.
    pub(super) fn forget_places(&mut self, place: u32) {
        let Some(session) = self.sessions.get_mut(place as usize) else { return };
        let (readers, table) = (&session.readers, &self.table);
        let remembering = session.rare.as_mut().and_then(|rare| rare.remembering.as_mut());
        if let Some(remembering) = remembering {
            let is_of = |at: StreamIndex, position: &Position| {
                table.spec(at).is_some_and(|spec| spec.name == position.stream)
            };
            remembering.retain(|position| readers.iter().any(|r| is_of(r.stream, position)));
        }
    }
}

/// A subscription begins behind `position` in a stream of a session.
pub(super) fn note_beginning(session: &mut Session, position: Position, is_first: bool) {
    if let Some(remembering) = remembering_mut(session) {
        remembering.begin(position, is_first);
    }
}

fn remembering(session: &Session) -> Option<&Remembering> {
    session.rare.as_ref()?.remembering.as_deref()
}

fn remembering_mut(session: &mut Session) -> Option<&mut Remembering> {
    session.rare.as_mut()?.remembering.as_deref_mut()
}

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use engine::{Grants, Rendering, StreamTable};
use protocol::{
    Answer, Command, Draft, Epoch, GapReason, Hello, Message, Mode, Position, Request, Seq,
    Subscribe, Subscribed, SubscriptionId, Unsubscribe,
};

use super::record::Left;
use super::wire::{EventFrame, Heard, NAMED};

/// Somebody who connects, drops and comes back: what a careful client remembers.
pub struct Person {
    /// Who they are.
    pub user: Option<Arc<str>>,
    /// Groups that they are a member of.
    pub groups: Vec<Arc<str>>,
    /// What they may do.
    pub grants: Arc<Grants>,
    /// What their events look like.
    pub rendering: Rendering,
    /// How their transport behaves.
    pub pipe: Pipe,
    /// Subscriptions that they have.
    pub wanted: Vec<(SubscriptionId, Subscribe)>,
    /// Where they would resume, by stream.
    pub places: BTreeMap<usize, (Epoch, Seq)>,
    /// The session of their last welcome.
    pub session: Option<String>,
    /// Their open connection.
    pub connection: Option<usize>,
    /// They cannot say where they were; the server remembers it.
    pub is_remembered: bool,
    /// What was remembered of their connections, and of which, longest dropped first.
    pub left: VecDeque<Left>,
    /// What their connection gets back.
    pub returning: Vec<Subscribe>,
    /// Publishes that were not answered: they can be sent again.
    pub unanswered: Vec<(i64, Draft)>,
    asked: BTreeMap<i64, Command>,
    id_last: i64,
    /// Positions that hold once the event behind them was heard.
    named: Option<Vec<Position>>,
}

/// How a transport takes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipe {
    /// All at once.
    Quick,
    /// Some at a time.
    Slow,
    /// A few at a time, so that frames are cut everywhere.
    Narrow,
    /// All, but now and then nothing for long.
    Stalling,
}

impl Person {
    /// Somebody who remembers nothing yet.
    pub fn new(
        user: Option<Arc<str>>,
        grants: Arc<Grants>,
        rendering: Rendering,
        pipe: Pipe,
    ) -> Self {
        Self {
            user,
            groups: Vec::new(),
            grants,
            rendering,
            pipe,
            wanted: Vec::new(),
            places: BTreeMap::new(),
            session: None,
            connection: None,
            is_remembered: false,
            left: VecDeque::new(),
            returning: Vec::new(),
            unanswered: Vec::new(),
            asked: BTreeMap::new(),
            id_last: 0,
            named: None,
        }
    }

    /// Gives a command its id.
    pub fn ask(&mut self, command: Command) -> Request {
        self.id_last += 1;
        if let Command::Publish(draft) = &command
            && draft.id.is_some()
        {
            self.unanswered.push((self.id_last, (**draft).clone()));
        }
        self.asked.insert(self.id_last, command.clone());
        Request { id: Some(self.id_last), command }
    }

    /// The hello with which they come back.
    pub fn hello(&mut self, table: &StreamTable, restores: bool) -> Command {
        self.asked.clear();
        self.named = None;
        let resume = self.places.iter().map(|(at, (epoch, seq))| Position {
            stream: table.specs()[*at].name.clone(),
            epoch: epoch.clone(),
            seq: *seq,
        });
        Command::Hello(Box::new(Hello {
            session: self.session.clone().filter(|_| restores),
            resume: resume.collect(),
            subscriptions: self.wanted.iter().map(|(_, body)| body.clone()).collect(),
            ..Hello::default()
        }))
    }

    /// Takes in what a connection brought.
    pub fn hear(&mut self, table: &StreamTable, heard: &Heard) {
        match heard {
            Heard::Event(event) => self.hear_event(table, event),
            Heard::Batch(events) => events.iter().for_each(|event| self.hear_event(table, event)),
            Heard::Positions(positions) => self.named = Some(positions.clone()),
            Heard::Message(message) => self.hear_message(table, message),
            // To answer is the transport's.
            Heard::Ping(_) => {}
        }
    }

    fn hear_event(&mut self, table: &StreamTable, event: &EventFrame) {
        if let Some(named) = self.named.take() {
            self.places.clear();
            self.set_places(table, &named);
        }
        if self.is_plain(table, event.stream)
            && let Some((_, seq)) = self.places.get_mut(&event.stream)
        {
            *seq = event.seq;
        }
    }

    /// Whether an event's seq is a place to resume from: all that is read of the stream is read in
    /// one mode, and that is every event. Otherwise only marks are.
    fn is_plain(&self, table: &StreamTable, at: usize) -> bool {
        if self.rendering == NAMED {
            return false;
        }
        let mut modes = self.wanted.iter().filter(|(_, body)| reaches(table, body, at));
        let narrowed = |body: &Subscribe| body.mode.narrowed(table.specs()[at].mode);
        let first = modes.next().map(|(_, body)| narrowed(body));
        first
            .is_some_and(|mode: Mode| !mode.latest && modes.all(|(_, body)| narrowed(body) == mode))
    }

    fn hear_message(&mut self, table: &StreamTable, message: &Message) {
        match message {
            Message::Welcome(welcome) => self.session = Some(welcome.session.clone()),
            Message::Restored(begun) => {
                for (body, begun) in restored(&std::mem::take(&mut self.returning), begun) {
                    self.begin(table, body.clone(), begun);
                }
            }
            Message::Mark(positions) => self.set_places(table, positions),
            Message::Gap(gap) => {
                let at = table.find(gap.stream.as_str()).unwrap().get();
                let is_plain = self.is_plain(table, at);
                if let Some(place) = self.places.get_mut(&at) {
                    let is_ahead = place.0 == gap.epoch && gap.to > place.1;
                    if (gap.reason == GapReason::Epoch && place.0 != gap.epoch)
                        || (is_plain && is_ahead)
                    {
                        *place = (gap.epoch.clone(), gap.to);
                    }
                }
            }
            Message::Reply { id: Some(id), result } => {
                let asked = self.asked.remove(id);
                match (asked, result) {
                    (Some(asked), Ok(answer)) => self.hear_answer(table, *id, asked, answer),
                    (Some(Command::Hello(_)), Err(_)) => {
                        self.wanted.clear();
                        self.places.clear();
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn hear_answer(&mut self, table: &StreamTable, id: i64, asked: Command, answer: &Answer) {
        match (asked, answer) {
            (Command::Hello(hello), Answer::Hello { subscriptions, .. }) => {
                self.wanted.clear();
                self.places.clear();
                for (body, begun) in hello.subscriptions.into_iter().zip(subscriptions) {
                    self.begin(table, body, begun);
                }
                // What the client holds of an epoch that is over is replaced by the gap.
                for position in &hello.resume {
                    let at = table.find(position.stream.as_str()).unwrap().get();
                    self.places.insert(at, (position.epoch.clone(), position.seq));
                }
                self.forget_places(table);
            }
            (Command::Subscribe(body), Answer::Subscribed(begun)) => {
                self.begin(table, *body, begun)
            }
            (Command::Unsubscribe(what), Answer::Unsubscribed) => {
                self.end(&what);
                self.forget_places(table);
            }
            (Command::Publish(_), Answer::Published(_)) => {
                self.unanswered.retain(|(unanswered, _)| *unanswered != id);
            }
            _ => {}
        }
    }

    /// They come back, and say nothing of where they were.
    pub fn return_silently(&mut self, left: Option<&Left>) {
        self.asked.clear();
        self.wanted.clear();
        self.places.clear();
        self.named = None;
        self.returning = left.map_or_else(Vec::new, |left| left.what.subscriptions().to_vec());
    }

    fn begin(&mut self, table: &StreamTable, body: Subscribe, begun: &Subscribed) {
        if self.wanted.iter().any(|(id, _)| *id == begun.subscription) {
            // They asked for what they had got back.
            return;
        }
        for position in &begun.positions {
            let at = table.find(position.stream.as_str()).unwrap().get();
            if !self.wanted.iter().any(|(_, other)| reaches(table, other, at)) {
                self.places.insert(at, (position.epoch.clone(), position.seq));
            }
        }
        self.wanted.push((begun.subscription, body));
    }

    fn end(&mut self, what: &Unsubscribe) {
        match what {
            Unsubscribe::Subscription(id) => self.wanted.retain(|(other, _)| other != id),
            Unsubscribe::Topics(topics) => {
                for (_, body) in &mut self.wanted {
                    body.topics.retain(|pattern| !topics.contains(pattern));
                }
                self.wanted.retain(|(_, body)| !body.topics.is_empty());
            }
        }
    }

    fn forget_places(&mut self, table: &StreamTable) {
        let wanted = &self.wanted;
        self.places.retain(|at, _| wanted.iter().any(|(_, body)| reaches(table, body, *at)));
    }

    fn set_places(&mut self, table: &StreamTable, positions: &[Position]) {
        for position in positions {
            let at = table.find(position.stream.as_str()).unwrap().get();
            self.places.insert(at, (position.epoch.clone(), position.seq));
        }
    }
}

/// What was got back, with how it was asked for: the server may leave some out.
pub fn restored<'b>(
    bodies: &'b [Subscribe],
    begun: &'b [Subscribed],
) -> Vec<(&'b Subscribe, &'b Subscribed)> {
    let mut bodies = bodies.iter();
    let mut body_of = |begun: &Subscribed| bodies.find(|body| body.topics == begun.topics);
    begun.iter().filter_map(|begun| Some((body_of(begun)?, begun))).collect()
}

/// Whether a subscription may bring events of a stream.
pub fn reaches(table: &StreamTable, body: &Subscribe, at: usize) -> bool {
    let reached = |pattern| table.streams_of(pattern).iter().any(|stream| stream.get() == at);
    body.topics.iter().any(reached)
}

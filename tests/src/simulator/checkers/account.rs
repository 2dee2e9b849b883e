use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use protocol::{
    Answer, Audience, ClientId, Command, Epoch, Event, Filter, Message, Mode, Pattern, Seq, Start,
    Subscribe, Subscribed, SubscriptionId, Unsubscribe,
};

use crate::simulator::clock::Tick;
use crate::simulator::ledger::Recorded;
use crate::simulator::person::restored;
use crate::simulator::record::{Entry, History, Put, Record, What};
use crate::simulator::wire::Heard;

/// What a connection is entitled to, as its client can tell from what it heard.
pub struct Account<'h> {
    /// All that happened.
    pub history: &'h History,
    /// What this connection said and heard.
    pub record: &'h Record,
    /// Its id.
    pub client: ClientId,
    /// Its subscriptions.
    pub held: Vec<Held>,
    /// How often subscriptions began or ended.
    pub changes: u64,
    /// By stream, its head when something was unsubscribed: up to there, what one mode left to
    /// another may come late, as the reader that owned it was behind.
    pub handed_over: Vec<Seq>,
    /// Commands that are not answered yet, and when they were sent.
    pub asked: HashMap<i64, (Tick, &'h Command)>,
}

/// A subscription.
#[derive(Clone)]
pub struct Held {
    /// Its name.
    pub id: SubscriptionId,
    /// What it takes.
    pub topics: Vec<Pattern>,
    /// What it leaves out.
    pub except: Vec<Pattern>,
    /// What must hold of data.
    pub filter: Option<Arc<Filter>>,
    /// As it was asked for.
    pub mode: Mode,
    /// Where it was to start; `None` where a hello resumed.
    pub start: Option<Start>,
    /// After what it holds, by stream.
    pub begun: BTreeMap<usize, (Epoch, Seq)>,
    /// When it was asked for.
    pub asked: Tick,
    /// When it was answered.
    pub answered: Put,
}

/// Whether somebody has to see an event, or may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It is for them.
    Must,
    /// It was for them at some moment only.
    May,
    /// It is for others.
    Never,
}

impl<'h> Account<'h> {
    /// The account of a connection that just opened.
    pub fn new(history: &'h History, record: &'h Record) -> Self {
        Self {
            history,
            record,
            client: record.client,
            held: Vec::new(),
            changes: 0,
            handed_over: vec![0; history.ledgers.len()],
            asked: HashMap::new(),
        }
    }

    /// How a stream delivers a subscription.
    pub fn mode(&self, held: &Held, at: usize) -> Mode {
        held.mode.narrowed(self.history.table.specs()[at].mode)
    }

    /// The stream's place.
    pub fn place(&self, name: &protocol::StreamName) -> usize {
        self.history.table.find(name.as_str()).unwrap().get()
    }

    /// Whether the subscription's events include this one.
    pub fn takes(held: &Held, at: usize, epoch: &Epoch, event: &Event) -> bool {
        held.begun.get(&at).is_some_and(|(of, after)| of == epoch && *after < event.seq)
            && Self::matches(held, event)
    }

    /// Whether the subscription asks for such an event.
    pub fn matches(held: &Held, event: &Event) -> bool {
        held.topics.iter().any(|pattern| pattern.matches(event.topic()))
            && !held.except.iter().any(|pattern| pattern.matches(event.topic()))
            && held.filter.as_ref().is_none_or(|filter| filter.accepts(&event.draft.payload))
    }

    /// Whether an event is for this client, between two steps.
    pub fn sight(&self, audience: &Audience, from: Tick, to: Tick) -> Sight {
        let is = |is_it: bool| if is_it { Sight::Must } else { Sight::Never };
        match audience {
            Audience::Everyone => Sight::Must,
            Audience::User(user) => is(self.record.user.as_ref() == Some(user)),
            Audience::Client(client) => is(self.client == *client),
            Audience::Group(group) => match self.record.was_member(group, from, to) {
                (true, _) => Sight::Must,
                (_, true) => Sight::May,
                _ => Sight::Never,
            },
        }
    }

    /// Whether a subscription has to bring an event that could be read from when it was there
    /// until `to`.
    pub fn must_bring(&self, held: &Held, recorded: &Recorded, to: Tick) -> bool {
        let from = recorded.at.max(held.answered.from);
        self.sight(&recorded.event.draft.audience, from, to) == Sight::Must
    }

    /// Takes in an entry, after the checkers saw it; tells which subscriptions it began.
    pub fn take(&mut self, entry: &'h Entry) -> Vec<SubscriptionId> {
        match &entry.what {
            What::Asked(request) => {
                if let Some(id) = request.id {
                    self.asked.insert(id, (entry.at, &request.command));
                }
                Vec::new()
            }
            What::Heard(Heard::Message(Message::Reply { id: Some(id), result }), put) => {
                let Some((asked, command)) = self.asked.remove(id) else { return Vec::new() };
                match result {
                    Ok(answer) => self.take_answer(asked, command, answer, *put),
                    Err(_) => Vec::new(),
                }
            }
            What::Heard(Heard::Message(Message::Restored(begun)), put) => {
                self.changes += 1;
                let Some(left) = &self.record.restored else { return Vec::new() };
                let found = restored(left.what.subscriptions(), begun);
                let opened = self.record.opened;
                let begin = |(body, begun)| self.begin(body, begun, true, opened, *put);
                found.into_iter().map(begin).collect()
            }
            What::Heard(..) => Vec::new(),
        }
    }

    fn take_answer(
        &mut self,
        asked: Tick,
        command: &Command,
        answer: &Answer,
        put: Put,
    ) -> Vec<SubscriptionId> {
        self.changes += u64::from(!matches!(
            answer,
            Answer::Published(_)
                | Answer::History { .. }
                | Answer::Acknowledged(_)
                | Answer::Pong { .. }
        ));
        match (command, answer) {
            (Command::Hello(hello), Answer::Hello { client, subscriptions, .. }) => {
                self.client = *client;
                let resumes = !hello.resume.is_empty();
                let bodies = hello.subscriptions.iter().zip(subscriptions);
                bodies.map(|(body, begun)| self.begin(body, begun, resumes, asked, put)).collect()
            }
            // It was got back already.
            (Command::Subscribe(_), Answer::Subscribed(begun))
                if self.held.iter().any(|held| held.id == begun.subscription) =>
            {
                Vec::new()
            }
            (Command::Subscribe(body), Answer::Subscribed(begun)) => {
                vec![self.begin(body, begun, false, asked, put)]
            }
            (Command::Unsubscribe(what), Answer::Unsubscribed) => {
                self.hand_over(put);
                self.end(what);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Something is unsubscribed: in each stream up to the head of the epoch in which the
    /// connection is, which may be over already.
    fn hand_over(&mut self, put: Put) {
        for (at, handed_over) in self.handed_over.iter_mut().enumerate() {
            let epoch = self.held.iter().find_map(|held| held.begun.get(&at)).map(|(of, _)| of);
            let ledger = epoch.and_then(|epoch| self.history.ledgers[at].epoch(epoch));
            *handed_over = ledger.map_or(0, |ledger| ledger.head_at(put.at));
        }
    }

    fn begin(
        &mut self,
        body: &Subscribe,
        begun: &Subscribed,
        resumes: bool,
        asked: Tick,
        answered: Put,
    ) -> SubscriptionId {
        let positions = begun.positions.iter();
        self.held.push(Held {
            id: begun.subscription,
            topics: body.topics.clone(),
            except: body.except.clone(),
            filter: body.filter.clone(),
            mode: body.mode,
            start: (!resumes).then(|| body.start.clone()),
            begun: positions
                .map(|position| {
                    (self.place(&position.stream), (position.epoch.clone(), position.seq))
                })
                .collect(),
            asked,
            answered,
        });
        begun.subscription
    }

    fn end(&mut self, what: &Unsubscribe) {
        match what {
            Unsubscribe::Subscription(id) => self.held.retain(|held| held.id != *id),
            Unsubscribe::Topics(topics) => {
                for held in &mut self.held {
                    held.topics.retain(|pattern| !topics.contains(pattern));
                }
                self.held.retain(|held| !held.topics.is_empty());
            }
        }
        for held in &mut self.held {
            let table = &self.history.table;
            let reaches = |at: usize| {
                let streams = held.topics.iter().flat_map(|pattern| table.streams_of(pattern));
                streams.into_iter().any(|stream| stream.get() == at)
            };
            held.begun.retain(|at, _| reaches(*at));
        }
    }

    /// A stream began an epoch: what was subscribed holds for all that follows `to` in it.
    pub fn begin_epoch(&mut self, at: usize, epoch: &Epoch, to: Seq) {
        self.handed_over[at] = 0;
        for held in &mut self.held {
            if let Some(begun) = held.begun.get_mut(&at)
                && begun.0 != *epoch
            {
                *begun = (epoch.clone(), to);
            }
        }
    }

    /// Whether anything of a stream is subscribed.
    pub fn reads(&self, at: usize) -> bool {
        self.held.iter().any(|held| held.begun.contains_key(&at))
    }
}

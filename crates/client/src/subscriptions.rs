use std::collections::{BTreeMap, BTreeSet};

use protocol::{Epoch, Gap, GapReason, Position, Seq, Start, StreamName, SubscriptionId};
use tokio::sync::mpsc;

use crate::deliveries::Deliveries;
use crate::error::Error;
use crate::event::{Event, Item};
use crate::options::Subscribe;
use crate::requests::Reply;
use crate::seen::Seen;
use crate::wire::{Answered, Replayed, Resumed};

/// Names a subscription within its client, for good; the server's name changes with each
/// connection.
pub(crate) type Key = u64;

/// What a new subscription is told.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) positions: Vec<Position>,
    pub(crate) truncated: bool,
}

/// The client's subscriptions, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    entries: BTreeMap<Key, Entry>,
    /// The epoch last named for each stream, which events leave out.
    epochs: BTreeMap<StreamName, Epoch>,
    /// Streams that this connection brings, or has brought, events of.
    received: BTreeSet<StreamName>,
    /// Whether there were several delivery modes on this connection, so that events of a stream
    /// may come in another order than that of their seqs. It stays so when one of them ends: what
    /// its reader had left to do is still to come, and only a new connection surely has one reader.
    is_mixed: bool,
    /// Which subscriptions the hello names, in its order.
    resuming: Vec<Key>,
}

#[derive(Debug)]
struct Entry {
    options: Subscribe,
    queue: mpsc::Sender<Item>,
    phase: Phase,
    seen: BTreeMap<StreamName, Seen>,
}

#[derive(Debug)]
enum Phase {
    /// The server has not answered.
    Asked(Option<Reply<Started>>),
    /// The server delivers.
    Live(SubscriptionId),
    /// Nobody wants it any more; the server may still deliver.
    Leaving,
}

impl Entry {
    fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live(_))
    }

    fn seen(&mut self, stream: &StreamName, epoch: Option<&Epoch>) -> &mut Seen {
        let seen = self.seen.entry(stream.clone());
        // A stream that the server had not named: it starts at its first kept event.
        seen.or_insert_with(|| Seen::from(epoch.cloned(), 0))
    }
}

impl Subscriptions {
    /// Keeps what is being asked for.
    pub(crate) fn ask(
        &mut self,
        key: Key,
        options: Subscribe,
        queue: mpsc::Sender<Item>,
        reply: Reply<Started>,
    ) {
        let phase = Phase::Asked(Some(reply));
        self.entries.insert(key, Entry { options, queue, phase, seen: BTreeMap::new() });
    }

    /// The server has begun a subscription; its name is returned where nobody wants it any more.
    pub(crate) fn begun(&mut self, key: Key, answer: Answered) -> Option<SubscriptionId> {
        let name = answer.subscription;
        for position in &answer.positions {
            self.epochs.insert(position.stream.clone(), position.epoch.clone());
        }
        let mut is_first = |position: &Position| self.received.insert(position.stream.clone());
        let shared: Vec<bool> = answer.positions.iter().map(|at| !is_first(at)).collect();
        let Some(entry) = self.entries.get_mut(&key) else { return Some(name) };
        let Phase::Asked(reply) = &mut entry.phase else { return None };
        let reply = reply.take();
        for (position, is_shared) in answer.positions.iter().zip(shared) {
            let seen = first_seen(&entry.options.from, position, is_shared);
            entry.seen.insert(position.stream.clone(), seen);
        }
        let started = Started { positions: answer.positions, truncated: answer.truncated };
        let is_wanted = reply.is_some_and(|reply| reply.send(Ok(started)).is_ok());
        entry.phase = if is_wanted { Phase::Live(name) } else { Phase::Leaving };
        self.is_mixed |= self.has_several_modes();
        (!is_wanted).then_some(name)
    }

    /// The server refused a subscription.
    pub(crate) fn refused(&mut self, key: Key, error: Error) {
        if let Some(Entry { phase: Phase::Asked(Some(reply)), .. }) = self.entries.remove(&key) {
            // Who stopped waiting needs no answer.
            let _ = reply.send(Err(error));
        }
    }

    /// Nobody wants a subscription any more; the server's name of it, to be ended there.
    pub(crate) fn unwanted(&mut self, key: Key) -> Option<SubscriptionId> {
        let entry = self.entries.get_mut(&key)?;
        match entry.phase {
            Phase::Live(name) => {
                entry.phase = Phase::Leaving;
                Some(name)
            }
            Phase::Asked(ref mut reply) => {
                *reply = None;
                None
            }
            Phase::Leaving => None,
        }
    }

    /// The server has ended a subscription.
    pub(crate) fn ended(&mut self, key: Key) {
        self.entries.remove(&key);
    }

    /// What to take up again on a new connection, and where.
    pub(crate) fn resumed(&mut self) -> Resumed<'_> {
        self.resuming.clear();
        let mut after: BTreeMap<&StreamName, (&Epoch, Seq)> = BTreeMap::new();
        let mut resumed = Resumed::default();
        for (key, entry) in self.entries.iter().filter(|(_, entry)| entry.is_live()) {
            self.resuming.push(*key);
            resumed.subscriptions.push(&entry.options);
            for (stream, seen) in &entry.seen {
                let current = self.epochs.get(stream);
                let Some(epoch) = seen.epoch.as_ref().or(current) else { continue };
                let this = (epoch, seen.resume_after());
                let lowest = after.entry(stream).or_insert(this);
                // One that has not heard of the current epoch must hear of it; then all begin
                // again, and take what they lack.
                if this.0 == lowest.0 {
                    lowest.1 = lowest.1.min(this.1);
                } else if Some(lowest.0) == current {
                    *lowest = this;
                }
            }
        }
        let position = |(stream, (epoch, seq)): (&StreamName, (&Epoch, Seq))| {
            let (stream, epoch) = (stream.clone(), epoch.clone());
            Position { stream, epoch, seq }
        };
        resumed.positions = after.into_iter().map(position).collect();
        resumed
    }

    /// The server has taken them up again, in order; those that nobody wants any more are
    /// returned, to be ended there.
    pub(crate) fn restored(
        &mut self,
        answers: Vec<Answered>,
    ) -> Result<Vec<(Key, SubscriptionId)>, Error> {
        if answers.len() != self.resuming.len() {
            return Err(Error::Protocol("its hello answers other subscriptions".into()));
        }
        let mut unwanted = Vec::new();
        for (key, answer) in std::mem::take(&mut self.resuming).into_iter().zip(answers) {
            for position in &answer.positions {
                self.epochs.insert(position.stream.clone(), position.epoch.clone());
                self.received.insert(position.stream.clone());
            }
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            match &mut entry.phase {
                Phase::Live(name) => *name = answer.subscription,
                _ => unwanted.push((key, answer.subscription)),
            }
            for Position { stream, epoch, seq } in answer.positions {
                match entry.seen.get_mut(&stream) {
                    // Within an epoch, where it goes on is ours to know: the server goes on where
                    // the subscription that is furthest back does.
                    Some(seen) => seen.in_epoch(&epoch, seq),
                    None => drop(entry.seen.insert(stream, Seen::from(Some(epoch), seq))),
                }
            }
        }
        Ok(unwanted)
    }

    /// A live event came.
    pub(crate) fn live(&mut self, mut event: Event, deliveries: &mut Deliveries) {
        event.epoch = self.epochs.get(&event.stream).cloned();
        for entry in self.entries.values_mut().filter(|entry| entry.is_live()) {
            if entry.options.wants(&event) {
                let seen = entry.seen(&event.stream, event.epoch.as_ref());
                let is_new = seen.take_live(event.seq);
                if !self.is_mixed {
                    seen.complete(event.seq);
                }
                if is_new {
                    deliveries.push(&entry.queue, Item::Event(event.clone()));
                }
            } else if !self.is_mixed
                && let Some(seen) = entry.seen.get_mut(&event.stream)
            {
                seen.complete_unless_replaying(event.seq);
            }
        }
    }

    /// A part of a replay came.
    pub(crate) fn replayed(&mut self, replayed: Replayed, deliveries: &mut Deliveries) {
        let is_it = |entry: &&mut Entry| match entry.phase {
            Phase::Live(name) => name == replayed.subscription,
            _ => false,
        };
        let Some(entry) = self.entries.values_mut().find(is_it) else { return };
        for mut event in replayed.events {
            event.epoch = self.epochs.get(&event.stream).cloned();
            entry.seen(&event.stream, event.epoch.as_ref()).take_replayed(event.seq);
            deliveries.push(&entry.queue, Item::Replay(event));
        }
        if replayed.done {
            let is_named =
                |stream: &StreamName| replayed.stream.as_ref().is_none_or(|s| s == stream);
            let done = entry.seen.iter_mut().filter(|(stream, _)| is_named(stream));
            done.for_each(|(_, seen)| seen.end_replay());
            deliveries.push(&entry.queue, Item::ReplayDone(replayed.stream));
        }
    }

    /// A range will not come. It is told to every subscription that reads the stream.
    pub(crate) fn gap(&mut self, gap: &Gap, deliveries: &mut Deliveries) {
        self.epochs.insert(gap.stream.clone(), gap.epoch.clone());
        for entry in self.entries.values_mut().filter(|entry| entry.is_live()) {
            let Some(seen) = entry.seen.get_mut(&gap.stream) else { continue };
            seen.in_epoch(&gap.epoch, gap.from.saturating_sub(1));
            let is_new = seen.gap(gap.from, gap.to, !self.is_mixed);
            // A new epoch is news even where nothing of it is missing.
            if is_new || gap.reason == GapReason::Epoch {
                deliveries.push(&entry.queue, Item::Gap(gap.clone()));
            }
        }
    }

    /// Everything up to these positions has come.
    pub(crate) fn mark(&mut self, positions: &[Position]) {
        for Position { stream, epoch, seq } in positions {
            self.epochs.insert(stream.clone(), epoch.clone());
            for seen in self.entries.values_mut().filter_map(|entry| entry.seen.get_mut(stream)) {
                seen.in_epoch(epoch, *seq);
                seen.end_replay();
                seen.complete(*seq);
            }
        }
    }

    /// Tells all subscriptions how the connection does, where they keep up.
    pub(crate) fn notice(&self, item: &Item, deliveries: &mut Deliveries) {
        for entry in self.entries.values().filter(|entry| entry.is_live()) {
            deliveries.push_notice(&entry.queue, item.clone());
        }
    }

    /// Subscriptions that nobody wants ended with the connection; the others wait for the next.
    pub(crate) fn connection_lost(&mut self, deliveries: &mut Deliveries) {
        self.entries.retain(|_, entry| match &entry.phase {
            Phase::Asked(reply) => reply.as_ref().is_some_and(|reply| !reply.is_closed()),
            Phase::Live(_) => true,
            Phase::Leaving => false,
        });
        for entry in self.entries.values_mut() {
            for (stream, seen) in &mut entry.seen {
                if seen.connection_lost() {
                    deliveries.push(&entry.queue, Item::ReplayLost(stream.clone()));
                }
            }
        }
        self.is_mixed = self.has_several_modes();
        self.received.clear();
    }

    /// Whether someone waits for the subscription to begin.
    pub(crate) fn awaits_answer(&self, key: Key) -> bool {
        matches!(
            self.entries.get(&key),
            Some(Entry { phase: Phase::Asked(Some(reply)), .. }) if !reply.is_closed()
        )
    }

    /// There will be no more events.
    pub(crate) fn fail(&mut self, error: &Error) {
        for (_, entry) in std::mem::take(&mut self.entries) {
            if let Phase::Asked(Some(reply)) = entry.phase {
                // Who stopped waiting needs no answer.
                let _ = reply.send(Err(error.clone()));
            }
        }
    }

    fn has_several_modes(&self) -> bool {
        let begun = |entry: &&Entry| !matches!(entry.phase, Phase::Asked(_));
        let mut modes = self.entries.values().filter(begun);
        let first = modes.next();
        first.is_some_and(|first| !modes.all(|entry| entry.options.has_mode_of(&first.options)))
    }
}

/// What a new subscription has of a stream; `is_shared` where the connection already brought
/// events of it. Only then, and where history was asked for, does history come as a replay.
fn first_seen(from: &Start, position: &Position, is_shared: bool) -> Seen {
    let Position { stream, epoch, seq } = position;
    let begin = match from {
        Start::Now => Some(*seq),
        // In which epoch the seq was meant shows only in what comes.
        Start::Last(_) | Start::Since(_) | Start::Stored | Start::After(_) => None,
        Start::Positions(asked) => {
            let asked = asked.iter().find(|asked| asked.stream == *stream && asked.epoch == *epoch);
            // A stream, or an epoch, that was not named starts at its first kept event.
            Some(asked.map_or(0, |asked| asked.seq))
        }
    };
    match begin {
        _ if !is_shared => Seen::from(Some(epoch.clone()), *seq),
        Some(begin) if begin >= *seq => Seen::from(Some(epoch.clone()), *seq),
        begin => Seen::with_replay(epoch.clone(), begin, *seq),
    }
}

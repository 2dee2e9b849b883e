//! Any course of publishing, subscribing, dropping and reconnecting: each subscription gets every
//! event that is for it, once, as long as the server keeps its side. The server is a model of a
//! session with one stream: readers that go at their own pace, replays, marks.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::{Position, Start, StreamName, SubscriptionId, Topic};
use tokio::sync::{mpsc, oneshot};

use crate::deliveries::Deliveries;
use crate::event::{Event, Item};
use crate::options::Subscribe;
use crate::subscriptions::{Key, Started, Subscriptions};
use crate::wire::{Answered, Replayed};

const TOPICS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Action {
    Publish(usize),
    /// Topics as bits, the delivery mode, where it starts.
    Subscribe(u8, usize, Begin),
    Drop(usize),
    /// One reader goes so far.
    Read(usize, u64),
    /// The replay that is under way goes so far.
    Replay(u64),
    Mark,
    Cut,
}

#[derive(Clone, Copy, Debug)]
enum Begin {
    Now,
    Last(u64),
    After(u64),
}

fn actions(modes: usize) -> impl Strategy<Value = Vec<Action>> {
    let begin = prop_oneof![
        Just(Begin::Now),
        (1..6_u64).prop_map(Begin::Last),
        (0..40_u64).prop_map(Begin::After),
    ];
    let action = prop_oneof![
        8 => (0..3_usize).prop_map(Action::Publish),
        3 => (1..8_u8, 0..modes, begin)
            .prop_map(|(topics, mode, begin)| Action::Subscribe(topics, mode, begin)),
        1 => any::<usize>().prop_map(Action::Drop),
        8 => (0..modes, 1..6_u64).prop_map(|(mode, count)| Action::Read(mode, count)),
        4 => (1..4_u64).prop_map(Action::Replay),
        2 => Just(Action::Mark),
        2 => Just(Action::Cut),
    ];
    prop::collection::vec(action, 1..80)
}

/// What the server knows of a subscription.
struct Served {
    key: Key,
    topics: u8,
    mode: usize,
    /// It holds behind this seq.
    begun: u64,
}

/// A subscription that ended while some readers were behind: up to `until` it still decides whose
/// an event is.
struct Ending {
    topics: u8,
    mode: usize,
    begun: u64,
    until: u64,
}

/// What the application knows of one.
struct Held {
    topics: u8,
    /// It is to get what is behind this.
    start: u64,
    /// Where live events begin, if the history before them may be lost.
    live: u64,
    items: mpsc::Receiver<Item>,
    got: Vec<u64>,
    live_order: Vec<u64>,
    history_is_lost: bool,
}

#[derive(Default)]
struct World {
    log: Vec<usize>,
    served: BTreeMap<u32, Served>,
    endings: Vec<Ending>,
    /// Cursors by mode.
    readers: BTreeMap<usize, u64>,
    /// Replays: whose, from behind where, up to where.
    replays: Vec<(u32, u64, u64)>,
    last_name: u32,
    last_key: Key,
    client: Subscriptions,
    deliveries: Deliveries,
    held: BTreeMap<Key, Held>,
}

fn takes(topics: u8, topic: usize) -> bool {
    topics & (1 << topic) != 0
}

fn position(seq: u64) -> Position {
    Position::parse(&format!("news:e:{seq}")).unwrap()
}

fn options(topics: u8, mode: usize, from: Start) -> Subscribe {
    let topics: Vec<&str> = (0..3).filter(|at| takes(topics, *at)).map(|at| TOPICS[at]).collect();
    let options = Subscribe::to(&topics).unwrap().from(from);
    if mode == 0 { options } else { options.batch_ms(mode as u32) }
}

impl World {
    fn head(&self) -> u64 {
        self.log.len() as u64
    }

    fn event(&self, seq: u64) -> Event {
        Event {
            topic: Topic::parse(TOPICS[self.log[seq as usize - 1]]).unwrap(),
            stream: StreamName::parse("news").unwrap(),
            epoch: None,
            seq,
            time_ms: 0,
            payload: super::json_payload("0"),
            headers: None,
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Publish(topic) => self.log.push(topic),
            Action::Subscribe(topics, mode, begin) => self.subscribe(topics, mode, begin),
            Action::Drop(choice) => self.drop_one(choice),
            Action::Read(mode, count) if self.replays.is_empty() => self.read(mode, count),
            Action::Read(..) => {}
            Action::Replay(count) => self.replay(count),
            Action::Mark if self.replays.is_empty() => {
                if let Some(seq) = self.readers.values().min() {
                    self.client.mark(&[position(*seq)]);
                }
            }
            Action::Mark => {}
            Action::Cut => self.reconnect(),
        }
        self.collect();
    }

    fn subscribe(&mut self, topics: u8, mode: usize, begin: Begin) {
        let head = self.head();
        let (from, asked) = match begin {
            Begin::Now => (Start::Now, head),
            Begin::After(seq) => (Start::Positions(vec![position(seq)]), seq.min(head)),
            Begin::Last(count) => {
                let matching = (1..=head).filter(|seq| takes(topics, self.log[*seq as usize - 1]));
                let matching: Vec<u64> = matching.collect();
                let first = matching.iter().rev().nth(count as usize - 1);
                (Start::Last(count as u32), first.map_or(0, |first| first - 1))
            }
        };
        // What an ended subscription's reader had sent, others leave out: history before that
        // cannot come live.
        let joins = self.readers.values().all(|cursor| *cursor == asked)
            && self.endings.iter().all(|ending| ending.until <= asked);
        let after = if joins { asked } else { head };
        self.last_name += 1;
        self.last_key += 1;
        let (name, key) = (self.last_name, self.last_key);
        self.served.insert(name, Served { key, topics, mode, begun: after });
        if after > asked {
            self.replays.push((name, asked, head));
        }
        self.readers.entry(mode).or_insert(after);

        let (queue, items) = mpsc::channel(10_000);
        let (reply, mut told) = oneshot::channel::<Result<Started, crate::Error>>();
        self.client.ask(key, options(topics, mode, from), queue, reply);
        let subscription = SubscriptionId(name);
        let answer = Answered { subscription, positions: vec![position(after)], truncated: false };
        assert_eq!(self.client.begun(key, answer), None);
        told.try_recv().unwrap().unwrap();
        let (got, live_order, history_is_lost) = (Vec::new(), Vec::new(), false);
        let start = asked;
        let held = Held { topics, start, live: after, items, got, live_order, history_is_lost };
        self.held.insert(key, held);
    }

    fn drop_one(&mut self, choice: usize) {
        let keys: Vec<Key> = self.held.keys().copied().collect();
        let Some(key) = keys.get(choice % keys.len().max(1)) else { return };
        self.held.remove(key);
        let SubscriptionId(name) = self.client.unwanted(*key).unwrap();
        let served = self.served.remove(&name).unwrap();
        self.replays.retain(|(other, ..)| *other != name);
        let until = self.readers.values().copied().max().unwrap_or(0);
        if self.readers.values().any(|cursor| *cursor != until) {
            let Served { topics, mode, begun, .. } = served;
            self.endings.push(Ending { topics, mode, begun, until });
        }
        let (served, endings) = (&self.served, &self.endings);
        self.readers.retain(|mode, cursor| {
            served.values().any(|other| other.mode == *mode)
                || endings.iter().any(|ending| ending.mode == *mode && ending.until > *cursor)
        });
        let readers = &self.readers;
        self.endings.retain(|ending| readers.values().any(|cursor| *cursor < ending.until));
        self.client.ended(*key);
    }

    /// The mode whose reader sends an event: the most generous one that wants it.
    fn owner(&self, seq: u64) -> Option<usize> {
        let topic = self.log[seq as usize - 1];
        let wants = self.served.values().filter(|s| takes(s.topics, topic) && seq > s.begun);
        let best = wants.map(|served| served.mode).min()?;
        let held = self.endings.iter().filter(|ending| {
            takes(ending.topics, topic) && seq > ending.begun && seq <= ending.until
        });
        Some(held.map(|ending| ending.mode).fold(best, usize::min))
    }

    fn read(&mut self, mode: usize, count: u64) {
        let Some(cursor) = self.readers.get(&mode).copied() else { return };
        let end = (cursor + count).min(self.head());
        for seq in cursor + 1..=end {
            if self.owner(seq) == Some(mode) {
                self.client.live(self.event(seq), &mut self.deliveries);
            }
        }
        self.readers.insert(mode, end);
    }

    fn replay(&mut self, count: u64) {
        let Some((name, cursor, until)) = self.replays.first().copied() else { return };
        let end = (cursor + count).min(until);
        let topics = self.served[&name].topics;
        let seqs = cursor + 1..=end;
        let events = seqs
            .filter(|seq| takes(topics, self.log[*seq as usize - 1]))
            .map(|seq| self.event(seq))
            .collect();
        let stream = Some(StreamName::parse("news").unwrap());
        let (subscription, done) = (SubscriptionId(name), end == until);
        self.client.replayed(Replayed { subscription, stream, events, done }, &mut self.deliveries);
        self.replays[0].1 = end;
        if done {
            self.replays.remove(0);
        }
    }

    fn reconnect(&mut self) {
        self.client.connection_lost(&mut self.deliveries);
        let resume = self.client.resumed().positions.first().map_or(0, |position| position.seq);
        self.replays.clear();
        self.readers.clear();
        self.endings.clear();
        // New names, in the order of the keys, which is the order of the hello.
        let mut served: Vec<Served> = std::mem::take(&mut self.served).into_values().collect();
        served.sort_by_key(|served| served.key);
        let mut answers = Vec::new();
        for mut served in served {
            self.last_name += 1;
            served.begun = resume;
            self.readers.insert(served.mode, resume);
            let subscription = SubscriptionId(self.last_name);
            let positions = vec![position(resume)];
            answers.push(Answered { subscription, positions, truncated: false });
            self.served.insert(self.last_name, served);
        }
        assert!(self.client.restored(answers).unwrap().is_empty());
    }

    fn collect(&mut self) {
        for held in self.held.values_mut() {
            while let Ok(item) = held.items.try_recv() {
                match item {
                    Item::Event(event) => {
                        held.got.push(event.seq);
                        held.live_order.push(event.seq);
                    }
                    Item::Replay(event) => held.got.push(event.seq),
                    Item::ReplayLost(_) => held.history_is_lost = true,
                    Item::ReplayDone(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// The server goes on until all is sent; then each must have what is for it.
    fn check(&mut self, in_order: bool) -> Result<(), TestCaseError> {
        while !self.replays.is_empty() {
            self.act(&Action::Replay(100));
        }
        for mode in 0..2 {
            self.act(&Action::Read(mode, 1_000));
        }
        for held in self.held.values_mut() {
            let start = if held.history_is_lost { held.live } else { held.start };
            let seqs = start + 1..=self.log.len() as u64;
            let wanted: Vec<u64> =
                seqs.filter(|seq| takes(held.topics, self.log[*seq as usize - 1])).collect();
            prop_assert!(!in_order || held.live_order.is_sorted(), "{:?}", held.live_order);
            held.got.sort_unstable();
            if held.history_is_lost {
                // It may have been no loss at all.
                held.got.retain(|seq| *seq > start);
            }
            prop_assert_eq!(&held.got, &wanted);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn with_one_mode_all_comes_once_and_in_order(actions in actions(1)) {
        let mut world = World::default();
        actions.iter().for_each(|action| world.act(action));
        world.check(true)?;
    }

    #[test]
    fn with_mixed_modes_all_comes_once(actions in actions(2)) {
        let mut world = World::default();
        actions.iter().for_each(|action| world.act(action));
        world.check(false)?;
    }
}

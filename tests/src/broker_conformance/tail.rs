use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use engine::{Broker, StreamIndex};
use protocol::Seq;

use super::world::{
    Bell, MAIN, Make, OTHER, PATIENCE, World, append, data, draft, events_of, read,
};

/// Whoever is answered can pull what was acknowledged.
pub fn events_are_there_before_the_answer(make: &Make) {
    let world = World::new(make);
    let (sender, receiver) = channel();
    for n in 1..=100 {
        let (tail, sender) = (world.tail(), sender.clone());
        let drafts = vec![draft("a", n.to_string())];
        let answer = move |_| sender.send(tail.pull(0, None, 0)).unwrap();
        world.broker().append(MAIN, drafts, Box::new(answer));
        let pull = receiver.recv_timeout(PATIENCE).expect("no answer");
        let events = events_of(&pull.segments, 1);
        assert_eq!(pull.head, n);
        assert_eq!(events.last().map(|event| event.seq), Some(n));
    }
}

/// However much comes, a watcher is woken once until it pulls; once more for what comes then.
pub fn a_burst_wakes_once(make: &Make) {
    let world = World::new(make);
    let (bell, rings) = Bell::new();
    world.tail().watch(7, bell);
    world.tail().pull(7, None, 0);
    let count = |rings: &Receiver<StreamIndex>| rings.try_iter().count();
    for _ in 0..3 {
        world.fill(300);
        assert_eq!(rings.recv_timeout(PATIENCE), Ok(MAIN));
        assert_eq!(count(&rings), 0, "a burst woke more than once");
        let pull = world.tail().pull(7, None, 0);
        assert_eq!(pull.head, world.state().last);
        assert_eq!(count(&rings), 0, "woken without anything new");
    }
    world.append(OTHER, vec![draft("other.a", "1")]);
    assert_eq!(count(&rings), 0, "woken by another stream");
    world.tail().unwatch(7);
    world.fill(1);
    assert_eq!(count(&rings), 0, "woken after the watch ended");
}

/// A pull brings what follows its place up to the head, and everything where its epoch is not the
/// stream's.
pub fn a_pull_begins_at_its_place(make: &Make) {
    let world = World::new(make);
    world.fill(200);
    let (tail, epoch) = (world.tail(), world.state().epoch);
    for after in 0..200 {
        let pull = tail.pull(0, Some(&epoch), after);
        let seqs: Vec<Seq> =
            events_of(&pull.segments, after + 1).iter().map(|event| event.seq).collect();
        assert_eq!(seqs, (after + 1..=200).collect::<Vec<Seq>>());
    }
    assert!(tail.pull(0, Some(&epoch), 200).segments.is_empty());
    let other = protocol::Epoch::parse("another").unwrap();
    assert_eq!(events_of(&tail.pull(0, Some(&other), 200).segments, 1).len(), 200);
}

/// A tail holds no more than its bound, and always the newest.
pub fn bytes_are_bounded(make: &Make) {
    const BYTES: usize = 30_000;
    let world = World::with(make, |setup| setup.tail_bytes_max = BYTES);
    for _ in 0..100 {
        world.fill(20);
        let pull = world.tail().pull(0, None, 0);
        let bytes: usize = pull.segments.iter().map(|segment| segment.bytes()).sum();
        assert!(bytes <= BYTES, "{bytes} bytes");
        let events = events_of(&pull.segments, 1);
        assert_eq!(events.last().map(|event| event.seq), Some(world.state().last));
    }
    let pull = world.tail().pull(0, None, 0);
    assert!(pull.segments.iter().map(|segment| segment.bytes()).sum::<usize>() > BYTES / 2);
}

/// An event larger than tail and pages still comes through both.
pub fn big_events_pass(make: &Make) {
    let world = World::with(make, |setup| setup.tail_bytes_max = 1000);
    world.fill(3);
    let big = "1".repeat(300_000);
    world.publish(vec![draft("a", big.clone()), draft("a", big.clone()), draft("a", "0")]);
    assert_eq!(world.events(0, 1000).len(), 6);
    world.publish(vec![draft("a", big.clone())]);
    let pull = world.tail().pull(0, None, 0);
    let events = events_of(&pull.segments, 1);
    assert_eq!((events.len(), events[0].seq, data(&events[0])), (1, 7, big.as_str()));
    world.fill(1);
    assert_eq!(world.events(6, 1000).len(), 2);
}

/// Four threads append; who pulls whenever it is woken, and reads pages where the tail no longer
/// reaches, sees every event once and in order.
pub fn no_wake_is_lost(make: &Make) {
    const EVENTS: u64 = 20_000;
    let world = World::with(make, |setup| setup.tail_bytes_max = 20_000);
    let broker = world.broker();
    std::thread::scope(|scope| {
        for lag in [None, Some(Duration::from_micros(50))] {
            scope.spawn(move || watch(&**broker, lag, EVENTS));
        }
        for thread in 0..4 {
            scope.spawn(move || {
                for n in 0..EVENTS / 4 {
                    append(&**broker, MAIN, vec![draft("a", format!("{thread} {n}"))]);
                    // Once in a while everybody gets level, and the next event has to wake.
                    if n % 500 == 0 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
    });
}

fn watch(broker: &dyn Broker, lag: Option<Duration>, events: u64) {
    let (tail, id) = (broker.tail(MAIN).unwrap(), lag.map_or(1, |_| 2));
    let (bell, rings) = Bell::new();
    tail.watch(id, bell.clone());
    let (mut at, mut pulls) = (0, 0);
    let mut epoch = None;
    while at < events {
        if pulls > 0 {
            rings.recv_timeout(PATIENCE).expect("a wake was lost");
        }
        if let Some(lag) = lag {
            std::thread::sleep(lag);
        }
        let pull = tail.pull(id, epoch.as_ref(), at);
        pulls += 1;
        let tail_first = pull.segments.first().map_or(pull.head + 1, |segment| segment.first());
        while at + 1 < tail_first {
            let page = read(broker, MAIN, at, 50_000);
            let missed = events_of(&page.segments, at + 1);
            assert_eq!(missed.first().map(|event| event.seq), Some(at + 1));
            at = missed.last().unwrap().seq;
        }
        // Pages may have brought more than the pull.
        if at < pull.head {
            assert_eq!(events_of(&pull.segments, at + 1)[0].seq, at + 1);
            at = pull.head;
        }
        epoch = Some(pull.epoch);
        assert!(bell.rings() <= pulls + 1, "woken twice between two pulls");
    }
    tail.unwatch(id);
}

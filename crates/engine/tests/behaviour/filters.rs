use std::sync::Arc;

use engine::{ClientKey, Request};
use protocol::filter::{Comparison, Condition, Number, Pointer, Scalar, Test};
use protocol::{Command, Filter, Message, Mode, Seq, Start, Subscribe};

use crate::world::{Said, World, after, epoch, event, pattern};

const LATEST: Mode = Mode { latest: true, interval_ms: 100, batch: false };

/// What holds of the events' numbers, which are their seqs.
fn number(comparison: Comparison, value: u64) -> Condition {
    let value = Scalar::Number(Number::parse(&value.to_string()).unwrap());
    Condition::Field(Pointer::parse("/n").unwrap(), Test::Compare(comparison, value))
}

fn subscribe(world: &mut World, client: ClientKey, only: Condition, mode: Mode, start: Start) {
    let (topics, except, filter) = (vec![pattern("a.>")], Vec::new(), Filter::new(only));
    let body = Subscribe { topics, except, filter: Some(Arc::new(filter)), start, mode };
    world.send(client, 1, Command::Subscribe(Box::new(body)));
}

/// The seqs of the live events that came.
fn live(world: &mut World, client: u16) -> Vec<Seq> {
    let seq = |said| match said {
        Said::Event(seq) => Some(seq),
        Said::Message(_) => None,
    };
    world.said(client).into_iter().filter_map(seq).collect()
}

fn position(world: &World, client: ClientKey) -> Seq {
    world.worker.view(client).unwrap().positions.first().unwrap().seq
}

#[test]
fn what_does_not_hold_does_not_come_and_marks_move_past_it() {
    let mut world = World::new();
    let client = world.connect(9);
    subscribe(&mut world, client, number(Comparison::Le, 2), Mode::EVERY, Start::Now);
    world.publish(5);
    assert_eq!(live(&mut world, 0), [1, 2]);
    assert_eq!(position(&world, client), 5);
}

#[test]
fn overlapping_filters_act_as_a_union() {
    let mut world = World::new();
    let client = world.connect(9);
    let ends = Condition::Any(vec![number(Comparison::Lt, 3), number(Comparison::Gt, 5)]);
    subscribe(&mut world, client, ends, Mode::EVERY, Start::Now);
    subscribe(&mut world, client, number(Comparison::Le, 4), Mode::EVERY, Start::Now);
    world.publish(8);
    assert_eq!(live(&mut world, 0), [1, 2, 3, 4, 6, 7, 8]);
    world.subscribe(client, &["a.b"], Mode::EVERY, Start::Now);
    world.publish(2);
    assert_eq!(live(&mut world, 0), [9, 10]);
}

#[test]
fn a_rate_takes_what_a_filter_leaves() {
    let mut world = World::new();
    let client = world.connect(9);
    subscribe(&mut world, client, number(Comparison::Eq, 4), Mode::EVERY, Start::Now);
    world.subscribe(client, &["a.>"], LATEST, Start::Now);
    world.publish(1);
    world.answer_pages(1);
    assert_eq!(live(&mut world, 0), [1]);
    world.publish(3);
    assert_eq!(live(&mut world, 0), [4], "at once: it is wanted whatever the rate");
    world.publish(2);
    world.pass(100);
    assert_eq!(live(&mut world, 0), [6]);
}

#[test]
fn the_newest_is_chosen_before_the_filter_looks_at_it() {
    let mut world = World::new();
    let client = world.connect(9);
    subscribe(&mut world, client, number(Comparison::Ne, 5), LATEST, Start::Now);
    world.publish(1);
    world.answer_pages(1);
    assert_eq!(live(&mut world, 0), [1]);
    world.publish(2);
    world.publish(2);
    world.pass(100);
    assert_eq!(live(&mut world, 0), [0; 0], "5 replaced 4, and is not wanted");
    world.publish(1);
    world.pass(100);
    assert_eq!(live(&mut world, 0), [6]);
}

#[test]
fn replays_are_filtered() {
    let mut world = World::new();
    let client = world.connect(9);
    world.subscribe(client, &["a.c"], Mode::EVERY, Start::Now);
    world.publish(6);
    let odd = Condition::Any([1, 3, 5].map(|n| number(Comparison::Eq, n)).to_vec());
    subscribe(&mut world, client, odd, Mode::EVERY, after(epoch(), 1));
    world.write_all();
    let replayed: Vec<Seq> = world
        .said(0)
        .into_iter()
        .filter_map(|said| match said {
            Said::Message(Message::Replay { events, .. }) => Some(events),
            _ => None,
        })
        .flatten()
        .map(|event| event.seq)
        .collect();
    assert_eq!(replayed, [3, 5]);
}

#[test]
fn who_catches_up_gets_what_holds() {
    let mut world = World::new();
    let client = world.connect(9);
    subscribe(&mut world, client, number(Comparison::Gt, 7), Mode::EVERY, Start::Now);
    world.worker.blocked(client);
    world.publish(10);
    assert_eq!(world.worker.counters().deliveries, 0);
    world.worker.handle_writable(world.now, client);
    world.write_all();
    assert_eq!(world.worker.counters().deliveries, 3);
    assert_eq!(live(&mut world, 0), [8, 9, 10], "rendered once");
}

#[test]
fn a_filter_survives_a_snapshot() {
    let mut world = World::new();
    let client = world.connect(9);
    subscribe(&mut world, client, number(Comparison::Gt, 2), Mode::EVERY, Start::Now);
    world.publish(3);
    let snapshot = world.worker.snapshot(world.now, client).unwrap();
    world.publish(1);
    world.worker.restore(world.now, snapshot);
    world.write_all();
    world.publish(1);
    assert_eq!(live(&mut world, 0), [3, 4, 5]);
}

#[test]
fn the_last_few_are_looked_for_among_what_holds() {
    let mut world = World::new();
    let client = world.connect(9);
    subscribe(&mut world, client, number(Comparison::Le, 4), Mode::EVERY, Start::Last(2));
    let requests = world.requests();
    let [Request::Locate { selector, .. }] = &requests[..] else { panic!("{requests:?}") };
    let selected: Vec<Seq> = (1..9).filter(|seq| selector.selects(&event(*seq))).collect();
    assert_eq!(selected, [1, 2, 3, 4]);
}

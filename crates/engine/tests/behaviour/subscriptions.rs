use engine::{ClientKey, Locate, Located, Request};
use protocol::{
    Answer, Command, Epoch, ErrorCode, GapReason, Hello, Message, Mode, Pattern, Start, Subscribe,
};

use crate::world::{Said, World, after, epoch, pattern};

/// The codes of the errors that a client was told.
fn errors(world: &mut World, client: u16) -> Vec<ErrorCode> {
    let code = |said| match said {
        Said::Message(Message::Reply { result: Err(error), .. }) => Some(error.code),
        _ => None,
    };
    world.said(client).into_iter().filter_map(code).collect()
}

fn body(topics: &[&str], except: &[&str], start: Start) -> Subscribe {
    let patterns = |texts: &[&str]| -> Vec<Pattern> { texts.iter().map(|t| pattern(t)).collect() };
    let (topics, except, mode) = (patterns(topics), patterns(except), Mode::EVERY);
    Subscribe { topics, except, filter: None, start, mode }
}

fn subscribe_except(world: &mut World, client: ClientKey, topics: &[&str], except: &[&str]) {
    let body = body(topics, except, Start::Now);
    world.send(client, 1, Command::Subscribe(Box::new(body)));
}

#[test]
fn patterns_that_are_left_out_count_too() {
    let mut world = World::new();
    let client = world.connect(3);
    subscribe_except(&mut world, client, &["a.>"], &["a.b", "a.c", "a.d"]);
    assert_eq!(errors(&mut world, 0), [ErrorCode::TooManySubscriptions]);
    subscribe_except(&mut world, client, &["a.>"], &["a.b", "a.c"]);
    assert_eq!(errors(&mut world, 0), []);
    subscribe_except(&mut world, client, &["b.>"], &[]);
    assert_eq!(errors(&mut world, 0), [ErrorCode::TooManySubscriptions]);
}

#[test]
fn the_beginnings_of_histories_are_looked_for_one_after_another() {
    let mut world = World::new();
    let client = world.connect(100);
    world.publish(20);
    let bodies = (0..10).map(|count| body(&["a.>"], &[], Start::Last(count))).collect();
    let hello = Hello { subscriptions: bodies, ..Hello::default() };
    world.send(client, 1, Command::Hello(Box::new(hello)));
    for asked in 0..10 {
        let requests = world.requests();
        let [Request::Locate { ticket, stream, what, .. }] = &requests[..] else {
            panic!("{requests:?}");
        };
        assert_eq!((ticket.body, *what), (asked as usize, Locate::Last(asked)));
        let located = Located { epoch: epoch(), after: 20, truncated: asked == 7 };
        world.worker.handle_located(world.now, *ticket, *stream, Ok(located));
    }
    let said = world.said(0);
    let [Said::Message(Message::Reply { result: Ok(Answer::Hello { subscriptions, .. }), .. })] =
        &said[..]
    else {
        panic!("{said:?}");
    };
    let truncated: Vec<usize> = (0..10).filter(|place| subscriptions[*place].truncated).collect();
    assert_eq!(truncated, [7]);
}

#[test]
fn an_epoch_that_is_over_is_told_where_nothing_is_kept_behind_it() {
    let mut world = World::new();
    let client = world.connect(10);
    world.subscribe(client, &["a.>"], Mode::EVERY, Start::Now);
    world.publish(3);
    world.tail.trim(4);
    world.look();
    assert_eq!(world.gaps(0), []);
    world.subscribe(client, &["a.b"], Mode::EVERY, after(Epoch::from_bits(7), 2));
    world.write_all();
    let gaps = world.gaps(0);
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].from, gaps[0].to, gaps[0].reason), (1, 3, GapReason::Epoch));
}

#[test]
fn what_ended_before_a_slow_reader_counts_until_it_has_passed() {
    let mut world = World::new();
    let client = world.connect(10);
    let hourly = Mode { latest: true, interval_ms: 3_600_000, batch: false };
    world.subscribe(client, &["a.>"], hourly, Start::Now);
    world.publish(1);
    world.answer_pages(1);
    world.publish(1);
    // At one place they are one.
    for _ in 0..100 {
        world.subscribe(client, &["a.b"], Mode::EVERY, Start::Now);
        world.unsubscribe(client, &["a.b"]);
    }
    assert_eq!(errors(&mut world, 0), []);
    // At different places they are different ones.
    for _ in 0..100 {
        world.subscribe(client, &["a.b"], Mode::EVERY, Start::Now);
        world.publish(1);
        world.unsubscribe(client, &["a.b"]);
        world.publish(1);
    }
    assert!(errors(&mut world, 0).contains(&ErrorCode::TooManySubscriptions));
    world.pass(3_600_000);
    world.subscribe(client, &["a.b"], Mode::EVERY, Start::Now);
    assert_eq!(errors(&mut world, 0), []);
}

#[test]
fn unsubscribing_from_many_topics_costs_little_more_than_from_each() {
    let allocations = |count: usize| {
        let mut world = World::new();
        let client = world.connect(1_000_000);
        let topics: Vec<String> = (0..count).map(|n| format!("a.t{n}")).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        world.subscribe(client, &topics, Mode::EVERY, Start::Now);
        allocation_counter::measure(|| world.unsubscribe(client, &topics)).count_total
    };
    let (few, many) = (allocations(100), allocations(1_000));
    assert!(many < 15 * few, "{few} allocations for 100 topics, {many} for 1,000");
}

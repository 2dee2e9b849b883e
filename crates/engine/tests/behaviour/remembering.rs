use engine::{ClientKey, Remember, Remembered};
use protocol::{Epoch, GapReason, Message, Mode, Seq, Start};

use crate::world::{Said, World, pattern};

/// A client that cannot say where it goes on.
fn plain(left: Option<Remembered>) -> Option<Remember> {
    Some(Remember { left, can_resume: false })
}

fn seqs(said: &[Said]) -> Vec<Seq> {
    let seq = |said: &Said| match said {
        Said::Event(seq) => Some(*seq),
        Said::Message(_) => None,
    };
    said.iter().filter_map(seq).collect()
}

fn messages(said: Vec<Said>) -> Vec<Message> {
    let message = |said| match said {
        Said::Message(message) => Some(message),
        Said::Event(_) => None,
    };
    said.into_iter().filter_map(message).collect()
}

/// The client drops; what is remembered of it.
fn drop_client(world: &mut World, client: ClientKey) -> Option<Remembered> {
    let remembered = world.worker.remember(client);
    world.worker.disconnect(world.now, client);
    remembered
}

fn subscribed(topics: &[&str]) -> (World, ClientKey) {
    let mut world = World::new();
    let client = world.connect_as(10, plain(None));
    world.subscribe(client, topics, Mode::EVERY, Start::Now);
    world.answer_pages(1);
    (world, client)
}

fn ping(world: &mut World, client: ClientKey) -> u64 {
    world.worker.ping(client).unwrap()
}

#[test]
fn it_goes_on_at_the_last_position_that_a_pong_confirmed() {
    let (mut world, client) = subscribed(&["a.>"]);
    world.publish(3);
    let first = ping(&mut world, client);
    world.publish(2);
    ping(&mut world, client);
    world.publish(1);
    // The answer to the second ping never came.
    world.worker.handle_pong(client, first);
    let left = drop_client(&mut world, client);
    world.publish(4);
    drop(world.said(0));
    world.connect_as(10, plain(left));
    world.answer_pages(1);
    world.write_all();
    let said = world.said(1);
    assert_eq!(seqs(&said), (4..=10).collect::<Vec<Seq>>());
    let [Message::Restored(begun), ..] = &messages(said)[..] else { panic!() };
    assert_eq!((&begun[0].topics[..], begun[0].positions[0].seq), (&[pattern("a.>")][..], 3));
}

#[test]
fn a_later_pong_confirms_what_was_sent_before_earlier_pings() {
    let (mut world, client) = subscribed(&["a.>"]);
    for _ in 0..20 {
        world.publish(1);
        ping(&mut world, client);
    }
    // More than are kept, and a number that no ping had.
    world.worker.handle_pong(client, 21);
    world.worker.handle_pong(client, 20);
    let left = drop_client(&mut world, client);
    drop(world.said(0));
    world.connect_as(10, plain(left));
    world.answer_pages(1);
    world.write_all();
    assert_eq!(seqs(&world.said(1)), (9..=20).collect::<Vec<Seq>>());
}

#[test]
fn without_a_pong_it_begins_where_it_began() {
    let mut world = World::new();
    world.publish(5);
    let client = world.connect_as(10, plain(None));
    world.subscribe(client, &["a.>"], Mode::EVERY, Start::Now);
    world.publish(3);
    ping(&mut world, client);
    let left = drop_client(&mut world, client);
    drop(world.said(0));
    world.connect_as(10, plain(left));
    world.answer_pages(1);
    world.write_all();
    assert_eq!(seqs(&world.said(1)), [6, 7, 8]);
}

#[test]
fn history_that_was_not_confirmed_comes_again() {
    let (mut world, client) = subscribed(&["a.>"]);
    world.publish(6);
    let sent = ping(&mut world, client);
    let start = crate::world::after(crate::world::epoch(), 2);
    world.subscribe(client, &["*.b"], Mode::EVERY, start);
    world.write_all();
    // Of a ping that went out before the history was asked for.
    world.worker.handle_pong(client, sent);
    let left = drop_client(&mut world, client);
    drop(world.said(0));
    world.connect_as(10, plain(left));
    world.answer_pages(1);
    world.write_all();
    assert_eq!(seqs(&world.said(1)), [3, 4, 5, 6]);
}

#[test]
fn what_is_asked_for_again_is_what_it_has_and_never_adds_up() {
    let (mut world, client) = subscribed(&["a.>"]);
    let mut left = drop_client(&mut world, client);
    for place in 1..20_u16 {
        let client = world.connect_as(2, plain(left));
        world.answer_pages(1);
        world.write_all();
        // With history it is another subscription, for as long as the connection lasts.
        let start =
            if place % 2 == 0 { Start::Now } else { crate::world::after(crate::world::epoch(), 0) };
        world.subscribe(client, &["a.>"], Mode::EVERY, start);
        let topics = world.worker.view(client).unwrap().topics.len();
        assert_eq!(topics, if place % 2 == 0 { 1 } else { 2 });
        drop(world.said(place));
        left = drop_client(&mut world, client);
    }
}

#[test]
fn who_may_say_where_it_goes_on_is_waited_for() {
    let (mut world, client) = subscribed(&["a.>"]);
    let left = drop_client(&mut world, client);
    world.publish(2);
    let silent = Some(Remember { left: left.clone(), can_resume: true });
    let client = world.connect_as(10, silent.clone());
    world.write_all();
    assert!(seqs(&world.said(1)).is_empty());
    // It drops before it said anything.
    assert_eq!(drop_client(&mut world, client), left);
    let client = world.connect_as(10, silent);
    world.send(client, 1, protocol::Command::Ping);
    world.answer_pages(1);
    world.write_all();
    assert_eq!(seqs(&world.said(2)), [1, 2]);
}

#[test]
fn an_epoch_that_ended_meanwhile_is_told() {
    let (mut world, client) = subscribed(&["a.>"]);
    world.publish(3);
    let sent = ping(&mut world, client);
    world.worker.handle_pong(client, sent);
    let mut left = drop_client(&mut world, client);
    world.tail.reset(Epoch::from_bits(2), 1, 0);
    world.look();
    // It may drop again before it is confirmed that it heard of it.
    for place in 1..3 {
        let client = world.connect_as(10, plain(left));
        world.answer_pages(1);
        world.write_all();
        let gaps = world.gaps(place);
        assert_eq!(gaps.iter().map(|gap| gap.reason).collect::<Vec<_>>(), [GapReason::Epoch]);
        left = drop_client(&mut world, client);
    }
}

#[test]
fn an_epoch_that_ended_is_told_once_for_all_that_comes_back() {
    let (mut world, client) = subscribed(&["a.>"]);
    world.subscribe(client, &["*.b"], Mode::EVERY, Start::Now);
    world.subscribe(client, &["a.b"], Mode { batch: true, ..Mode::EVERY }, Start::Now);
    let left = drop_client(&mut world, client);
    world.tail.reset(Epoch::from_bits(2), 1, 0);
    world.look();
    world.connect_as(10, plain(left));
    world.answer_pages(1);
    world.write_all();
    let said = messages(world.said(1));
    let is_gap = |message: &&Message| matches!(message, Message::Gap(_));
    assert_eq!(said.iter().filter(is_gap).count(), 1, "{said:?}");
    // Nothing of it comes apart from the live order.
    assert!(!said.iter().any(|message| matches!(message, Message::Replay { .. })), "{said:?}");
    assert!(matches!(&said[0], Message::Restored(begun) if begun.len() == 3), "{said:?}");
}

#[test]
fn another_connection_of_it_takes_over_in_the_middle() {
    let (mut world, dead) = subscribed(&["a.>"]);
    let alive = world.connect_as(10, plain(None));
    world.subscribe(alive, &["a.>"], Mode::EVERY, Start::Now);
    world.publish(3);
    let left = drop_client(&mut world, dead).unwrap();
    assert!(world.worker.adopt(world.now, alive, left.clone()));
    world.publish(1);
    // What it may have missed comes apart; what it gets live comes once.
    let said = world.said(1);
    assert_eq!(seqs(&said), [1, 2, 3, 4]);
    let replayed = messages(said).into_iter().filter_map(|message| match message {
        Message::Replay { events, .. } => Some(events.len()),
        _ => None,
    });
    assert_eq!(replayed.sum::<usize>(), 3);
    world.worker.disconnect(world.now, alive);
    assert!(!world.worker.adopt(world.now, alive, left));
}

#[test]
fn a_session_that_is_moved_is_remembered_all_the_same() {
    let (mut world, client) = subscribed(&["a.>"]);
    world.publish(3);
    let sent = ping(&mut world, client);
    let snapshot = world.worker.snapshot(world.now, client).unwrap();
    let client = world.worker.restore(world.now, snapshot);
    world.worker.handle_pong(client, sent);
    world.publish(1);
    let left = drop_client(&mut world, client);
    drop(world.said(0));
    world.connect_as(10, plain(left));
    world.answer_pages(1);
    world.write_all();
    assert_eq!(seqs(&world.said(1)), [4]);
}

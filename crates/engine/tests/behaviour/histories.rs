use bytes::Bytes;
use engine::{ClientKey, Request, Ticket};
use protocol::{Answer, Command, Draft, Error, History, Payload, StreamName, Topic};

use crate::world::{Said, World, epoch, event, pattern};

fn history() -> Command {
    let (topic, limit) = (pattern(">"), 1_000);
    Command::History(Box::new(History { topic, stream: None, epoch: None, after: 0, limit }))
}

/// The ticket of the one history that the worker asks for.
fn asked(world: &mut World) -> Option<Ticket> {
    let requests = world.requests();
    assert!(requests.len() <= 1, "{requests:?}");
    requests.into_iter().next().map(|request| match request {
        Request::History { ticket, .. } => ticket,
        other => panic!("{other:?}"),
    })
}

fn answer(world: &mut World, ticket: Ticket, events: u64) {
    let (stream, epoch) = (StreamName::parse("s").unwrap(), epoch());
    let events = (1..=events).map(event).collect();
    let answer = Answer::History { stream, epoch, events, after: 0, more: false };
    world.worker.handle_history(world.now, ticket, Ok(answer));
}

fn ids(world: &mut World, client: u16) -> Vec<i64> {
    let id = |said| match said {
        Said::Message(protocol::Message::Reply { id, .. }) => id,
        _ => None,
    };
    world.said(client).into_iter().filter_map(id).collect()
}

fn world_with_histories(count: i64) -> (World, ClientKey) {
    let mut world = World::new();
    let client = world.connect(10);
    for id in 0..count {
        world.send(client, id, history());
    }
    (world, client)
}

#[test]
fn one_history_of_a_client_is_read_at_a_time_and_what_follows_waits() {
    let (mut world, client) = world_with_histories(3);
    world.send(client, 3, Command::Ping);
    for _ in 0..3 {
        let ticket = asked(&mut world).unwrap();
        assert!(asked(&mut world).is_none());
        assert!(!world.worker.is_accepting(client));
        answer(&mut world, ticket, 1);
    }
    assert_eq!(ids(&mut world, 0), [0, 1, 2, 3]);
    assert!(world.worker.is_accepting(client));
}

#[test]
fn no_history_is_read_for_a_client_that_does_not_take_the_last_one() {
    let (mut world, client) = world_with_histories(20);
    world.worker.blocked(client);
    let ticket = asked(&mut world).unwrap();
    answer(&mut world, ticket, 10_000);
    assert!(asked(&mut world).is_none());
    world.worker.handle_writable(world.now, client);
    world.write_all();
    assert!(asked(&mut world).is_some());
}

#[test]
fn a_history_that_is_being_read_moves_with_its_session() {
    let (mut world, client) = world_with_histories(2);
    let late = asked(&mut world).unwrap();
    let snapshot = world.worker.snapshot(world.now, client).unwrap();
    let moved = world.worker.restore(world.now, snapshot);
    answer(&mut world, late, 1);
    for id in 0..2 {
        let ticket = asked(&mut world).unwrap();
        assert_eq!((ticket.client, ticket.id), (moved, Some(id)));
        answer(&mut world, ticket, 1);
    }
    assert_eq!(ids(&mut world, 0), [0, 1]);
}

#[test]
fn a_client_is_not_read_while_its_publishes_hold_too_many_bytes() {
    let mut world = World::new();
    let client = world.connect(1);
    let publish = |world: &mut World| {
        let payload = Payload::Json(Bytes::from(vec![b'1'; 1 << 20]));
        let draft = Draft::new(Topic::parse("a.b").unwrap(), payload);
        world.send(client, 1, Command::Publish(Box::new(draft)));
    };
    (0..3).for_each(|_| publish(&mut world));
    assert!(world.worker.is_accepting(client));
    publish(&mut world);
    assert!(!world.worker.is_accepting(client));
    for request in world.requests() {
        let Request::Append { ticket, .. } = request else { panic!("{request:?}") };
        world.worker.handle_appended(world.now, ticket, Err(Error::bad_request("no")));
        assert!(world.worker.is_accepting(client));
    }
    assert_eq!(world.said(0).len(), 4);
    // All of it was given back.
    (0..3).for_each(|_| publish(&mut world));
    assert!(world.worker.is_accepting(client));
}

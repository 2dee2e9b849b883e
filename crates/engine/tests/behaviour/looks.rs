use engine::Remember;
use protocol::{ErrorCode, Message, Mode, Seq, Start};

use super::world::{CHOSEN, REFUSED, Said, World};

fn events(said: &[Said]) -> Vec<Seq> {
    let seq = |said: &Said| match said {
        Said::Event(seq) => Some(*seq),
        Said::Message(_) => None,
    };
    said.iter().filter_map(seq).collect()
}

/// The events that were said in a rendering.
fn seen(world: &mut World, rendering: u16) -> Vec<Seq> {
    events(&world.said(rendering))
}

#[test]
fn events_look_as_a_client_chose_from_its_answer_on() {
    let mut world = World::new();
    let client = world.connect(10);
    world.subscribe(client, &["a.>"], Mode::EVERY, Start::Now);
    world.publish(1);
    world.choose(client, "small");
    world.publish(1);
    world.choose(client, "tiny");
    world.publish(1);
    world.choose(client, "");
    world.publish(1);
    assert_eq!(seen(&mut world, 0), [1, 4]);
    assert_eq!(seen(&mut world, CHOSEN), [2, 3]);
    assert_eq!(world.users(), [0]);
}

#[test]
fn a_look_is_shared_and_an_event_rendered_once_for_all_who_have_it() {
    let mut world = World::new();
    let clients = [world.connect(10), world.connect(10), world.connect(10)];
    for client in clients {
        world.subscribe(client, &["a.>"], Mode::EVERY, Start::Now);
        world.choose(client, "small");
    }
    assert_eq!(world.users(), [3]);
    world.publish(1);
    assert_eq!(seen(&mut world, CHOSEN), [1]);
    assert_eq!(world.worker.counters().deliveries, 3);
    for client in clients {
        world.worker.disconnect(world.now, client);
    }
    assert_eq!(world.users(), [0]);
}

#[test]
fn what_was_rendered_in_a_look_is_not_taken_for_the_next_of_its_number() {
    let mut world = World::new();
    let first = world.connect(10);
    world.subscribe(first, &["a.>"], Mode::EVERY, Start::Now);
    world.choose(first, "small");
    world.publish(3);
    world.worker.disconnect(world.now, first);
    assert_eq!(seen(&mut world, CHOSEN), [1, 2, 3]);
    // Its number means another look now; the events are rendered again.
    let second = world.connect(10);
    world.choose(second, "tiny");
    world.subscribe(second, &["a.>"], Mode::EVERY, Start::After(1));
    world.write_all();
    world.answer_pages(1);
    assert_eq!(seen(&mut world, CHOSEN), [2, 3]);
}

#[test]
fn a_look_that_there_is_no_room_for_is_told_and_events_come_whole() {
    let mut world = World::new();
    let client = world.connect(10);
    world.subscribe(client, &["a.>"], Mode::EVERY, Start::Now);
    world.choose(client, REFUSED);
    world.publish(1);
    let said = world.said(0);
    let is_error = |said: &&Said| matches!(said, Said::Message(Message::Error(error)) if error.code == ErrorCode::Overloaded);
    assert_eq!(said.iter().filter(is_error).count(), 1);
    assert_eq!(events(&said), [1]);
    // It is not told again with each answer.
    world.choose(client, REFUSED);
    assert!(!world.said(0).iter().any(|said| is_error(&said)));
}

#[test]
fn a_session_keeps_its_look_in_another_place() {
    let mut world = World::new();
    let client = world.connect(10);
    world.subscribe(client, &["a.>"], Mode::EVERY, Start::Now);
    world.choose(client, "small");
    let snapshot = world.worker.snapshot(world.now, client).unwrap();
    assert_eq!(world.users(), [0]);
    world.worker.restore(world.now, snapshot);
    assert_eq!(world.users(), [1]);
    world.publish(1);
    assert_eq!((seen(&mut world, 0), seen(&mut world, CHOSEN)), (vec![], vec![1]));
}

#[test]
fn who_comes_back_has_its_look_again() {
    let mut world = World::new();
    let remember = |left| Some(Remember { left, can_resume: false });
    let client = world.connect_as(10, remember(None));
    world.subscribe(client, &["a.>"], Mode::EVERY, Start::Now);
    world.choose(client, "small");
    let left = world.worker.remember(client);
    world.worker.disconnect(world.now, client);
    world.connect_as(10, remember(left));
    world.publish(1);
    assert_eq!(seen(&mut world, CHOSEN), [1]);
    assert_eq!(world.users(), [1]);
}

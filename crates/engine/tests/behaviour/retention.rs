use engine::ClientKey;
use protocol::{GapReason, Mode, Seq, Start};

use crate::world::{Said, World, after, epoch, segment};

/// A client that takes nothing, behind events that its worker has at hand.
fn stalled(mode: Mode) -> (World, ClientKey) {
    let mut world = World::new();
    let client = world.connect(10);
    world.subscribe(client, &["a.>"], mode, Start::Now);
    world.publish(2);
    world.answer_pages(1);
    world.worker.blocked(client);
    world.publish(40);
    drop(world.said(0));
    (world, client)
}

fn go_on(world: &mut World, client: ClientKey) {
    world.worker.handle_writable(world.now, client);
    world.write_all();
}

fn events(said: &[Said]) -> Vec<Seq> {
    let seq = |said: &Said| match said {
        Said::Event(seq) => Some(*seq),
        Said::Message(_) => None,
    };
    said.iter().filter_map(seq).collect()
}

#[test]
fn what_count_and_bytes_took_may_still_be_delivered_from_what_is_at_hand() {
    let (mut world, client) = stalled(Mode { batch: true, ..Mode::EVERY });
    world.tail.trim(30);
    go_on(&mut world, client);
    assert_eq!(events(&world.said(0)), (3..=42).collect::<Vec<Seq>>());
}

#[test]
fn what_is_too_old_is_not_delivered_though_it_is_at_hand() {
    let (mut world, client) = stalled(Mode { batch: true, ..Mode::EVERY });
    world.tail.trim(30);
    world.tail.expire(30);
    go_on(&mut world, client);
    let said = world.said(0);
    assert_eq!(events(&said), (30..=42).collect::<Vec<Seq>>());
    let [Said::Message(protocol::Message::Gap(gap)), ..] = &said[..] else { panic!("{said:?}") };
    assert_eq!((gap.from, gap.to, gap.reason), (3, 29, GapReason::Retention));
}

#[test]
fn the_beginning_of_a_segment_that_is_too_old_is_not_delivered_live() {
    let mut world = World::new();
    let client = world.connect(10);
    world.subscribe(client, &["a.>"], Mode::EVERY, Start::Now);
    world.tail.push(segment(1..=10));
    world.tail.trim(6);
    world.tail.expire(6);
    world.look();
    let said = world.said(0);
    assert_eq!(events(&said), (6..=10).collect::<Vec<Seq>>());
    assert!(said.iter().any(|said| {
        matches!(said, Said::Message(protocol::Message::Gap(gap)) if (gap.from, gap.to) == (1, 5))
    }));
}

#[test]
fn a_newest_event_that_is_too_old_is_not_delivered() {
    let (mut world, client) = stalled(Mode { latest: true, ..Mode::EVERY });
    world.tail.trim(43);
    world.tail.expire(43);
    go_on(&mut world, client);
    assert_eq!(world.said(0), []);
    assert_eq!(world.worker.view(client).unwrap().lag_events, 0);
}

#[test]
fn a_replay_leaves_out_what_is_too_old() {
    let (mut world, client) = stalled(Mode { batch: true, ..Mode::EVERY });
    go_on(&mut world, client);
    drop(world.said(0));
    world.subscribe(client, &["a.b"], Mode::EVERY, after(epoch(), 10));
    world.tail.trim(30);
    world.tail.expire(30);
    world.write_all();
    let said = world.said(0);
    let replayed = said.iter().find_map(|said| match said {
        Said::Message(protocol::Message::Replay { events, .. }) => Some(events),
        _ => None,
    });
    assert_eq!(replayed.unwrap().first().map(|event| event.seq), Some(30));
}

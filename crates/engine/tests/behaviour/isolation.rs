use engine::Request;
use protocol::{CloseReason, Command, Gap, GapReason, Message, Mode, Start, StreamName};

use super::world::{Said, UNREADABLE, UNSPEAKABLE, World, after, epoch};

fn closed(world: &mut World) -> Vec<(u32, CloseReason)> {
    let close = |request| match request {
        Request::Close { client, reason } => Some((client.place, reason)),
        _ => None,
    };
    world.requests().into_iter().filter_map(close).collect()
}

fn subscribed(world: &mut World) -> [engine::ClientKey; 2] {
    let clients = [world.connect(10), world.connect(10)];
    for client in clients {
        world.subscribe(client, &[">"], Mode::EVERY, Start::Now);
    }
    world.write_all();
    clients
}

#[test]
fn who_sends_what_panics_is_closed_and_nobody_else() {
    let mut world = World::new();
    let [one, other] = subscribed(&mut world);
    let now = world.now;
    world.worker.handle_frame(now, one, UNREADABLE, None);
    assert_eq!(closed(&mut world), [(one.place, CloseReason::Internal)]);
    // It is not asked again.
    world.worker.handle_frame(now, one, UNREADABLE, None);
    assert_eq!(closed(&mut world), []);
    world.said(1);
    world.publish(1);
    assert_eq!(world.said(1), [Said::Event(1)]);
    assert!(world.worker.is_accepting(other));
}

#[test]
fn who_cannot_be_answered_is_closed_and_nobody_else() {
    let mut world = World::new();
    let [one, _] = subscribed(&mut world);
    world.said(1);
    world.send(one, UNSPEAKABLE, Command::Ping);
    assert_eq!(closed(&mut world), [(one.place, CloseReason::Internal)]);
    world.publish(1);
    assert_eq!(world.said(1), [Said::Event(1)]);
}

#[test]
fn an_event_that_cannot_be_spelled_is_a_gap_for_everybody() {
    let gap = Gap {
        stream: StreamName::parse("s").unwrap(),
        epoch: epoch(),
        from: 2,
        to: 2,
        reason: GapReason::Corruption,
    };
    let expected =
        [Said::Event(1), Said::Message(Message::Gap(gap)), Said::Event(3), Said::Event(4)];
    let mut world = World::new();
    world.broken.set(2);
    subscribed(&mut world);
    world.said(0);
    world.said(1);
    world.publish(4);
    assert_eq!((&world.said(0)[..], &world.said(1)[..]), (&expected[..], &expected[..]));
    assert_eq!(closed(&mut world), []);

    // Whoever reads it later, alone or in batches, is told the same.
    for mode in [Mode::EVERY, Mode { batch: true, interval_ms: 10, ..Mode::EVERY }] {
        let late = world.connect(10);
        let place = late.place as u16;
        world.subscribe(late, &[">"], mode, after(epoch(), 0));
        world.look();
        world.pass(20);
        let said = world.said(place);
        assert!(said.ends_with(&expected), "{said:?}");
    }
}

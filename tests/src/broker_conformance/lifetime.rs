use engine::{Locate, StreamIndex};
use protocol::{Durability, ErrorCode};

use super::world::{MAIN, Make, OTHER, World, ask, draft, draft_with_id, select};

/// Two streams share no epoch, and an epoch stays as long as its stream goes on.
pub fn every_stream_has_an_epoch_of_its_own(make: &Make) {
    let world = World::with(make, |setup| setup.retention.count = 5);
    let epoch = world.state().epoch;
    assert_ne!(epoch, world.broker().state(OTHER).unwrap().epoch);
    world.fill(20);
    world.clock.set_wall(0);
    world.clock.advance(1 << 32);
    world.maintain();
    world.fill(1);
    assert_eq!(world.state().epoch, epoch);
    assert_eq!(world.tail().pull(0, None, 0).epoch, epoch);
    assert_eq!(world.page(0, 1).epoch, epoch);
}

/// A broker that keeps what it acknowledged goes on after a restart, ids included; one that does
/// not begins again, in an epoch that it never had.
pub fn a_restart_is_honest(make: &Make) {
    let mut world = World::new(make);
    let mut epochs = Vec::new();
    for round in 0..3 {
        let before = world.events(0, 1 << 20).len();
        world.fill(10);
        let answer = world.append(MAIN, vec![draft_with_id("x", "1")]).remove(0).unwrap();
        assert_eq!(answer.duplicate, round > 0 && world.durability() != Durability::Memory);
        let (state, events) = (world.state(), world.events(0, 1 << 20));
        assert!(events.len() > before);
        epochs.push(state.epoch.clone());

        world.restart();
        if world.durability() == Durability::Memory {
            assert!(!epochs.contains(&world.state().epoch), "an epoch was used again");
            assert_eq!((world.state().first, world.state().last), (1, 0));
            assert!(world.events(0, 1 << 20).is_empty());
        } else {
            assert_eq!(world.state(), state);
            assert_eq!(world.events(0, 1 << 20), events);
        }
        let pull = world.tail().pull(0, None, 0);
        assert_eq!((pull.epoch, pull.head), (world.state().epoch, world.state().last));
    }
}

/// A stream that the table does not have is answered as such, to everything.
pub fn unknown_streams_are_not_found(make: &Make) {
    let world = World::new(make);
    for stream in [StreamIndex(2), StreamIndex(u32::MAX)] {
        let answers = world.append(stream, vec![draft("a", "1"), draft("a", "2")]);
        assert_eq!(answers.len(), 2);
        assert!(answers.into_iter().all(|a| a.unwrap_err().code == ErrorCode::NotFound));
        let page = ask(|to| world.broker().read(stream, 0, 1000, to));
        assert_eq!(page.unwrap_err().code, ErrorCode::NotFound);
        let (selector, what) = (select(&[">"], &[]), Locate::Last(1));
        let found = ask(|to| world.broker().locate(stream, selector, what, to));
        assert_eq!(found.unwrap_err().code, ErrorCode::NotFound);
        assert!(world.broker().tail(stream).is_none());
        assert!(world.broker().state(stream).is_none());
    }
    assert_eq!(world.state().last, 0);
}

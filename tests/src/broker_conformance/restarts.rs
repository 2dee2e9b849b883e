use engine::Locate;
use protocol::{ErrorCode, Seq};

use super::model;
use super::world::{MAIN, Make, World, draft, draft_with_id, select};

/// Events, positions, what is kept and what can be found are what they were.
pub fn everything_is_there_again(make: &Make) {
    let mut world = World::with(make, |setup| setup.retention.count = 900);
    for round in 1..=4 {
        world.clock.advance(1000);
        world.fill(400);
        let (state, events) = (world.state(), world.events(0, 10_000));
        let located = world.locate(select(&[">"], &[]), Locate::Last(70));
        let since = Locate::Since(1_000_000 + round * 1000);
        let since_located = world.locate(select(&[">"], &[]), since);
        world.restart();
        assert_eq!(world.state(), state);
        assert_eq!(world.events(0, 10_000), events);
        assert_eq!(world.events(state.last - 5, 10), events[events.len() - 5..]);
        assert_eq!(world.locate(select(&[">"], &[]), Locate::Last(70)), located);
        assert_eq!(world.locate(select(&[">"], &[]), since), since_located);
        let pull = world.tail().pull(0, None, 0);
        assert_eq!((pull.epoch, pull.head, pull.first), (state.epoch, state.last, state.first));
    }
    assert_eq!(world.publish(vec![draft("a", "1")]), [1601]);
}

/// The same id is a duplicate after a restart, with other content a conflict, until its time.
pub fn ids_are_remembered(make: &Make) {
    let mut world = World::with(make, |setup| setup.id_window_ms = 10_000);
    assert_eq!(world.publish(vec![draft_with_id("x", "1")]), [1]);
    world.clock.advance(6_000);
    assert_eq!(world.publish(vec![draft_with_id("y", "1")]), [2]);
    world.restart();
    let again = world.append(MAIN, vec![draft_with_id("x", "1"), draft_with_id("y", "2")]);
    let first = again[0].as_ref().unwrap();
    assert!(first.duplicate && first.seq == 1 && first.epoch == world.state().epoch);
    assert_eq!(again[1].as_ref().unwrap_err().code, ErrorCode::IdConflict);
    // Time passes while nobody serves.
    world.clock.advance(4_001);
    world.restart();
    assert_eq!(world.publish(vec![draft_with_id("x", "2"), draft_with_id("y", "1")]), [3, 2]);
}

/// That the event is gone is no reason to take it twice, before and after a restart.
pub fn ids_outlive_their_events(make: &Make) {
    let mut world = World::with(make, |setup| setup.retention.count = 3);
    let large = |n: u64| draft("a", format!("{n:>3000}"));
    assert_eq!(world.publish(vec![draft_with_id("x", "1")]), [1]);
    // Enough to fill files.
    for n in 0..1500 {
        world.publish(vec![large(n)]);
    }
    world.restart();
    assert_eq!(world.state().first, 1499);
    assert_eq!(world.publish(vec![draft_with_id("x", "1")]), [1]);
}

/// An event's age is measured over restarts; what was too old stays gone.
pub fn ages_count_on(make: &Make) {
    let mut world = World::with(make, |setup| setup.retention.age_ms = 1000);
    world.fill(3);
    world.clock.advance(600);
    world.fill(2);
    world.restart();
    assert_eq!(world.state().first, 1);
    world.clock.advance(401);
    world.restart();
    assert_eq!(world.state().first, 4);
    world.clock.advance(600);
    world.maintain();
    assert_eq!((world.state().first, world.state().last), (6, 5));
    world.clock.set_wall(0);
    world.restart();
    assert_eq!((world.state().first, world.state().last), (6, 5));
    world.fill(1);
    assert_eq!(world.events(0, 1000).len(), 1);
}

/// Time does not go back within a stream because the clock did while nobody served.
pub fn time_goes_on(make: &Make) {
    let mut world = World::new(make);
    world.fill(2);
    world.clock.set_wall(5);
    world.restart();
    world.fill(2);
    let times: Vec<u64> = world.events(0, 1000).iter().map(|event| event.time_ms).collect();
    assert_eq!(times, [1_000_000; 4]);
}

/// The last event of a rare topic is found, however far back, by those that say they can.
pub fn rare_topics_are_found(make: &Make) {
    let mut world = World::with(make, |setup| setup.locate_scan_max = 3_000);
    world.publish(vec![draft("rare.one", "1")]);
    for _ in 0..40 {
        world.publish(vec![draft("often", format!("{:>2000}", 1)); 100]);
    }
    for _ in 0..2 {
        let rare = select(&["rare.*"], &[]);
        let located = world.locate(rare, Locate::Last(1));
        let expected: (Seq, bool) = if world.skips() { (0, false) } else { (4001, true) };
        assert_eq!((located.after, located.truncated), expected);
        world.restart();
    }
}

/// Random histories with restarts in between.
pub fn histories_go_on(make: &Make) {
    model::histories(make, true);
}

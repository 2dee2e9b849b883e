use engine::{CursorQuery, Locate};
use protocol::{ErrorCode, Seq};

use super::cursors::{acknowledged, device, listed, seq_of};
use super::model;
use super::reading::{assert_newest, publish_in_rounds};
use super::world::{MAIN, Make, OTHER, World, acknowledge, cursor, draft, draft_with_id, select};

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

/// The newest events of all topics are found after a restart as before it.
pub fn the_newest_are_found_again(make: &Make) {
    let mut world = World::with(make, |setup| setup.retention.count = 900);
    for _ in 0..2 {
        publish_in_rounds(&world);
        world.restart();
        assert_newest(&world);
    }
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

/// Cursors of every device and stream are what they were, and go on growing only.
pub fn cursors_are_there_again(make: &Make) {
    let mut world = World::new(make);
    world.fill(20);
    world.append(OTHER, vec![draft("other.a", "1")]);
    let everyone = CursorQuery { limit: 100, ..CursorQuery::default() };
    let [ann, bob, nobody] = [Some("ann"), Some("bob"), None].map(|user| device(user, "phone"));
    for (seq, device) in [(3, &ann), (4, &bob), (5, &nobody)] {
        world.clock.advance(10);
        acknowledged(&world, device, seq);
    }
    let epoch = world.broker().state(OTHER).unwrap().epoch;
    acknowledge(&**world.broker(), OTHER, &ann, &epoch, 1).unwrap();
    let mut before = listed(&world, everyone.clone());
    for seq in 6..9 {
        world.clock.advance(10);
        world.restart();
        assert_eq!(listed(&world, everyone.clone()), before);
        assert_eq!(cursor(&**world.broker(), OTHER, &ann).map(|cursor| cursor.seq), Some(1));
        assert_eq!(acknowledged(&world, &nobody, 2).seq, seq - 1);
        assert_eq!(acknowledged(&world, &nobody, seq).seq, seq);
        acknowledged(&world, &device(None, &format!("new {seq}")), seq);
        before = listed(&world, everyone.clone());
    }
    assert_eq!(before.len(), 6);
}

/// The bounds of cursors hold over restarts: what is forgotten stays so, and whoever used its
/// cursor last has it longest.
pub fn cursors_are_forgotten_as_if_nothing_had_happened(make: &Make) {
    let mut world =
        World::with(make, |setup| (setup.cursor_age_ms, setup.cursor_count) = (1000, 3));
    world.fill(10);
    let devices = ["a", "b", "c", "d"].map(|name| device(None, name));
    let [a, b, c, d] = &devices;
    for device in &devices[..3] {
        world.clock.advance(10);
        acknowledged(&world, device, 1);
    }
    assert_eq!(seq_of(&world, a), Some(1));
    world.restart();
    acknowledged(&world, d, 2);
    let all = |world: &World| devices.clone().map(|device| seq_of(world, &device));
    let kept = |world: &World| {
        let query = CursorQuery { limit: 10, ..CursorQuery::default() };
        listed(world, query).into_iter().map(|(device, _)| device).collect::<Vec<_>>()
    };
    assert_eq!(kept(&world), [a, c, d].map(Clone::clone));
    world.restart();
    assert_eq!(kept(&world), [a, c, d].map(Clone::clone));
    assert_eq!(seq_of(&world, b), None);
    // Time passes while nobody serves.
    world.clock.advance(600);
    world.restart();
    assert_eq!(seq_of(&world, a), Some(1));
    world.clock.advance(500);
    world.restart();
    assert_eq!(all(&world), [Some(1), None, None, None]);
    // A clock that was set back forgets nothing.
    world.clock.set_wall(0);
    world.restart();
    world.clock.advance(1000);
    assert_eq!(all(&world), [Some(1), None, None, None]);
    world.clock.advance(1001);
    world.broker().maintain();
    world.restart();
    assert_eq!(all(&world), [None; 4]);
}

/// Random histories with restarts in between.
pub fn histories_go_on(make: &Make) {
    model::histories(make, true);
}

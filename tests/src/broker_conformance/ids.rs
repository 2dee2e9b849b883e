use bytes::Bytes;
use protocol::{
    Appended, Audience, ClientId, Draft, Error, ErrorCode, Payload, Publisher, Seq, Topic,
};

use super::world::{MAIN, Make, OTHER, World, append, draft, draft_with_id};

/// Appends one draft; its seq, and whether it is a duplicate.
fn take(world: &World, draft: Draft) -> (Seq, bool) {
    outcome(world.append(MAIN, vec![draft]).remove(0))
}

fn outcome(answer: Result<Appended, Error>) -> (Seq, bool) {
    let appended = answer.unwrap();
    (appended.seq, appended.duplicate)
}

/// The same id with the same content yields the first position, and appends nothing. Without an
/// id the same content is another event.
pub fn the_same_again_is_a_duplicate(make: &Make) {
    let world = World::new(make);
    world.fill(3);
    assert_eq!(take(&world, draft_with_id("x", "1")), (4, false));
    world.fill(1);
    for _ in 0..3 {
        assert_eq!(take(&world, draft_with_id("x", "1")), (4, true));
    }
    let again = world.append(MAIN, vec![draft_with_id("x", "1")]).remove(0).unwrap();
    let state = world.state();
    assert_eq!((again.stream, again.epoch), (state.stream, state.epoch));
    assert_eq!((state.last, again.durability), (5, world.durability()));
    let without = Draft { id: None, ..draft_with_id("x", "1") };
    assert_eq!(take(&world, without), (6, false));
    // Nothing but the text tells ids apart.
    assert_eq!(take(&world, draft_with_id("", "1")), (7, false));
    assert_eq!(take(&world, draft_with_id("", "1")), (7, true));
    assert_eq!(take(&world, draft_with_id(&"x".repeat(255), "1")), (8, false));
    assert_eq!(take(&world, draft_with_id(&"x".repeat(254), "1")), (9, false));
}

/// The same id with other content, whatever differs, is refused, and what it named stays so.
pub fn other_content_is_a_conflict(make: &Make) {
    let world = World::new(make);
    let first = || draft_with_id("x", "1");
    assert_eq!(take(&world, first()), (1, false));
    let binary =
        Payload::Binary { content_type: "text/plain".into(), bytes: Bytes::from_static(b"1") };
    let others = [
        draft_with_id("x", "2"),
        draft_with_id("x", "1 "),
        Draft { topic: Topic::parse("a.c").unwrap(), ..first() },
        Draft { audience: Audience::User("u".into()), ..first() },
        Draft { headers: Some(Bytes::from_static(b"{}")), ..first() },
        Draft { payload: binary, ..first() },
    ];
    for other in others {
        let error = world.append(MAIN, vec![other]).remove(0).unwrap_err();
        assert_eq!(error.code, ErrorCode::IdConflict);
    }
    assert_eq!(take(&world, first()), (1, true));
    assert_eq!(world.state().last, 1);
}

/// An id of another publisher, or in another stream, is another id.
pub fn ids_belong_to_publisher_and_stream(make: &Make) {
    let world = World::new(make);
    let publishers = [
        Publisher::Admin,
        Publisher::User("1".into()),
        Publisher::User("2".into()),
        Publisher::Client(ClientId(1)),
        Publisher::Client(ClientId(2)),
    ];
    let by =
        |publisher: &Publisher| Draft { publisher: publisher.clone(), ..draft_with_id("x", "1") };
    for (publisher, seq) in publishers.iter().zip(1..) {
        assert_eq!(take(&world, by(publisher)), (seq, false), "{publisher:?}");
    }
    for (publisher, seq) in publishers.iter().zip(1..) {
        assert_eq!(take(&world, by(publisher)), (seq, true), "{publisher:?}");
    }
    let other = world.append(OTHER, vec![draft_with_id("x", "2")]).remove(0);
    assert_eq!(outcome(other), (1, false));
}

/// Within one array, duplicates and conflicts get answers in their places, the rest is appended.
pub fn an_array_may_repeat_itself(make: &Make) {
    let world = World::new(make);
    let mut answers = world.append(
        MAIN,
        vec![
            draft_with_id("x", "1"),
            draft("a", "0"),
            draft_with_id("x", "1"),
            draft_with_id("x", "2"),
            draft_with_id("y", "1"),
            draft_with_id("y", "1"),
            draft("a", "0"),
        ],
    );
    assert_eq!(answers.len(), 7);
    assert_eq!(answers.remove(3).unwrap_err().code, ErrorCode::IdConflict);
    let outcomes: Vec<_> = answers.into_iter().map(outcome).collect();
    let expected = [(1, false), (2, false), (1, true), (3, false), (3, true), (4, false)];
    assert_eq!(outcomes, expected);
    let all_known: Vec<_> =
        world.append(MAIN, vec![draft_with_id("y", "1"); 100]).into_iter().map(outcome).collect();
    assert_eq!(all_known, [(3, true); 100]);
    assert_eq!(world.events(0, 1 << 20).len(), 4);
}

/// An id is remembered for its time and then free again; what time is, no jump decides.
pub fn the_window_ends_in_time(make: &Make) {
    let world = World::with(make, |setup| setup.id_window_ms = 10_000);
    assert_eq!(take(&world, draft_with_id("x", "1")), (1, false));
    world.clock.set_wall(1 << 40);
    world.maintain();
    world.clock.advance(10_000);
    assert_eq!(take(&world, draft_with_id("x", "1")), (1, true));
    world.clock.advance(1);
    assert_eq!(take(&world, draft_with_id("x", "2")), (2, false));
    // It counts from the append, not from the last duplicate; and `maintain` forgets no less.
    world.clock.advance(9_999);
    world.maintain();
    assert_eq!(take(&world, draft_with_id("x", "2")), (2, true));
    world.clock.advance(2);
    world.maintain();
    assert_eq!(take(&world, draft_with_id("x", "2")), (3, false));
}

/// The last so many ids are remembered; duplicates and events without an id take no place.
pub fn the_window_ends_by_count(make: &Make) {
    let world = World::with(make, |setup| setup.id_window_count = 50);
    let named = |n: u64| draft_with_id(&n.to_string(), "1");
    for n in 1..=70 {
        assert!(!take(&world, named(n)).1, "{n}");
        assert!(take(&world, named(n)).1, "{n}");
        world.fill(1);
    }
    for n in 21..=70 {
        assert_eq!(take(&world, named(n)), (n * 2 - 1, true), "{n}");
    }
    assert_eq!(take(&world, named(20)), (141, false));
    assert_eq!(take(&world, named(21)), (142, false));
    assert_eq!(take(&world, named(70)), (139, true));
}

/// That the event is gone is no reason to take it twice.
pub fn the_window_outlasts_retention(make: &Make) {
    let world = World::with(make, |setup| {
        (setup.retention.count, setup.retention.age_ms) = (2, 1000);
    });
    assert_eq!(take(&world, draft_with_id("x", "1")), (1, false));
    world.fill(10);
    world.clock.advance(2000);
    world.maintain();
    assert_eq!(world.state().first, 12);
    assert_eq!(take(&world, draft_with_id("x", "1")), (1, true));
}

/// Of several that publish one id at once, exactly one is no duplicate, and all get its position.
pub fn of_concurrent_publishers_one_is_first(make: &Make) {
    const IDS: usize = 300;
    let world = World::new(make);
    let publish_all = || -> Vec<(Seq, bool)> {
        let take = |n: usize| {
            let answer = append(&**world.broker(), MAIN, vec![draft_with_id(&n.to_string(), "1")]);
            outcome(answer.into_iter().next().unwrap())
        };
        (0..IDS).map(take).collect()
    };
    let outcomes: Vec<Vec<(Seq, bool)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(publish_all)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for n in 0..IDS {
        let of_id: Vec<(Seq, bool)> = outcomes.iter().map(|outcomes| outcomes[n]).collect();
        let firsts = of_id.iter().filter(|(_, duplicate)| !duplicate).count();
        assert_eq!(firsts, 1, "of those who published id {n}");
        assert!(of_id.iter().all(|(seq, _)| *seq == of_id[0].0));
    }
    assert_eq!(world.state().last, IDS as u64);
}

use std::sync::Arc;

use engine::{Locate, Selector, Viewer};
use protocol::{Audience, ClientId, Draft, Seq};

use super::world::{MAIN, Make, World, append, draft, select};

/// The place and whether the search was cut short.
fn last(world: &World, selector: Selector, count: u32) -> (Seq, bool) {
    let located = world.locate(selector, Locate::Last(count));
    assert_eq!(located.epoch, world.state().epoch);
    (located.after, located.truncated)
}

fn since(world: &World, time_ms: u64) -> Seq {
    let located = world.locate(select(&["nothing"], &[]), Locate::Since(time_ms));
    assert_eq!((&located.epoch, located.truncated), (&world.state().epoch, false));
    located.after
}

/// Every third event is `a.b`, every fifth `a.c`, the rest `x`.
fn publish_mixed(world: &World, count: u64) {
    let topic = |seq| match seq {
        seq if seq % 3 == 0 => "a.b",
        seq if seq % 5 == 0 => "a.c",
        _ => "x",
    };
    world.publish((1..=count).map(|seq| draft(topic(seq), seq.to_string())).collect());
}

/// The last N are counted among what the patterns take and leave.
pub fn last_counts_what_matches(make: &Make) {
    let world = World::new(make);
    assert_eq!(last(&world, select(&[">"], &[]), 5), (0, false));
    publish_mixed(&world, 150);
    assert_eq!(last(&world, select(&[">"], &[]), 1), (149, false));
    assert_eq!(last(&world, select(&[">"], &[]), 100), (50, false));
    assert_eq!(last(&world, select(&["a.b"], &[]), 1), (149, false));
    assert_eq!(last(&world, select(&["a.b"], &[]), 10), (122, false));
    assert_eq!(last(&world, select(&["a.c"], &[]), 2), (139, false));
    assert_eq!(last(&world, select(&["a.*"], &["a.b"]), 2), (139, false));
    assert_eq!(last(&world, select(&["a.c", "a.b"], &[]), 3), (144, false));
    // Nothing is asked for, or nothing matches: what follows is the future.
    assert_eq!(last(&world, select(&[">"], &[]), 0), (150, false));
    assert_eq!(last(&world, select(&["a"], &[]), 5), (150, false));
    assert_eq!(last(&world, select(&[">"], &["a.*", "x"]), 5), (150, false));
}

/// Only events that the viewer may see are counted; the operator sees all.
pub fn last_counts_what_is_visible(make: &Make) {
    let world = World::new(make);
    let audiences = [
        Audience::Everyone,
        Audience::User("ann".into()),
        Audience::User("bob".into()),
        Audience::Group("team".into()),
        Audience::Client(ClientId(1)),
        Audience::Client(ClientId(2)),
    ];
    for _ in 0..20 {
        let to = |audience: &Audience| Draft { audience: audience.clone(), ..draft("a", "1") };
        world.publish(audiences.iter().map(to).collect());
    }
    let view = |client, user: Option<&str>, groups: &[&str]| {
        let groups = groups.iter().copied().map(Arc::from).collect();
        let viewer = Viewer { client: ClientId(client), user: user.map(Arc::from), groups };
        Selector { viewer: Some(viewer), ..select(&[">"], &[]) }
    };
    // The last of the twenty sixes begins behind 114.
    assert_eq!(last(&world, view(9, None, &[]), 2), (108, false));
    assert_eq!(last(&world, view(9, Some("ann"), &[]), 2), (114, false));
    assert_eq!(last(&world, view(9, Some("bob"), &["team"]), 2), (116, false));
    assert_eq!(last(&world, view(1, Some("eve"), &["ann"]), 1), (118, false));
    assert_eq!(last(&world, view(2, None, &[]), 1), (119, false));
    assert_eq!(last(&world, select(&[">"], &[]), 7), (113, false));
}

/// A search looks at so many events and says when it found no more in them.
pub fn last_ends_at_its_bound(make: &Make) {
    let world = World::with(make, |setup| setup.locate_scan_max = 100);
    publish_mixed(&world, 99);
    world.publish(vec![draft("y", "100")]);
    assert_eq!(last(&world, select(&["a.b"], &[]), 33), (2, false));
    assert_eq!(last(&world, select(&["a.b"], &[]), 34), (2, false));
    assert_eq!(last(&world, select(&["z"], &[]), 1), (100, false));
    world.publish(vec![draft("y", "101")]);
    assert_eq!(last(&world, select(&["a.b"], &[]), 33), (2, false));
    assert_eq!(last(&world, select(&["a.b"], &[]), 34), (2, true));
    assert_eq!(last(&world, select(&["y"], &[]), 2), (99, false));
    // Who knows that nothing of a topic is there need not look for it.
    assert_eq!(last(&world, select(&["z"], &[]), 1), (101, !world.skips()));
}

/// Events that retention took are not found, in one batch with what is kept or not.
pub fn last_ends_at_what_is_kept(make: &Make) {
    let world = World::with(make, |setup| setup.retention.count = 20);
    publish_mixed(&world, 50);
    assert_eq!(last(&world, select(&["a.b"], &[]), 6), (32, false));
    assert_eq!(last(&world, select(&["a.b"], &[]), 100), (32, false));
    assert_eq!(last(&world, select(&[">"], &[]), 20), (30, false));
    assert_eq!(last(&world, select(&[">"], &[]), 21), (30, false));
}

/// The place before the first kept event at or after a time, whatever it is about.
pub fn since_finds_the_first_at_or_after(make: &Make) {
    let world = World::with(make, |setup| setup.retention.count = 90);
    assert_eq!(since(&world, 0), 0);
    for round in 1..=10 {
        world.clock.set_wall(round * 1000);
        world.fill(10);
    }
    for (time_ms, after) in [
        (0, 10),
        (1000, 10),
        (2000, 10),
        (2001, 20),
        (2999, 20),
        (3000, 20),
        (9001, 90),
        (10_000, 90),
        (10_001, 100),
        (u64::MAX, 100),
    ] {
        assert_eq!(since(&world, time_ms), after, "since {time_ms}");
    }
}

/// What a search names is the place from which pages bring it.
pub fn the_place_agrees_with_pages(make: &Make) {
    let world = World::with(make, |setup| setup.retention.bytes = 5000);
    for round in 0..30 {
        world.clock.advance(10);
        let topic = if round % 7 == 0 { "rare" } else { "often" };
        world.publish(vec![draft(topic, round.to_string()); 1 + round % 4]);
        let rare = select(&["rare"], &[]);
        for count in 1..8 {
            let (after, _) = last(&world, rare.clone(), count);
            let kept = world.events(0, 2000).into_iter().filter(|event| rare.selects(event));
            let found = world.events(after, 2000).into_iter().filter(|event| rare.selects(event));
            let (kept, found): (Vec<_>, Vec<_>) = (kept.collect(), found.collect());
            assert_eq!(found, kept[kept.len() - kept.len().min(count as usize)..]);
        }
        let time_ms = 1_000_000 + 10 * (round as u64 / 2);
        let after = since(&world, time_ms);
        let events = world.events(0, 2000);
        let expected = events.iter().find(|event| event.time_ms >= time_ms).unwrap();
        assert_eq!(world.events(after, 2000)[0], *expected);
    }
    assert!(world.broker().state(MAIN).unwrap().first > 1);
}

/// While events come and retention takes, the last N are those at the moment of the search.
pub fn the_place_is_right_while_retention_works(make: &Make) {
    const EVENTS: u64 = 10_000;
    let world = World::with(make, |setup| setup.retention.count = 500);
    world.fill(500);
    let broker = world.broker();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..EVENTS {
                append(&**broker, MAIN, vec![draft("a", n.to_string())]);
            }
        });
        while world.state().last < EVENTS + 500 {
            let (first, before) = (world.state().first, world.state().last);
            let (after, truncated) = last(&world, select(&[">"], &[]), 300);
            assert!(before - 300 <= after && after <= world.state().last - 300, "{after}");
            assert!(!truncated);
            // A search for more than is kept ends where retention is by then.
            let (after, _) = last(&world, select(&[">"], &[]), 600);
            assert!(first - 1 <= after && after < world.state().first, "{after}");
        }
    });
}

use std::sync::{Arc, Weak};

use engine::{Batch, Segment};
use protocol::Seq;

use super::world::{Make, World, data, draft, events_of};

/// The seqs that can be read, checked against what the state and the tail say.
fn kept(world: &World) -> Vec<Seq> {
    let events = world.events(0, 5000);
    let (state, pull) = (world.state(), world.tail().pull(0, None, 0));
    let bytes: usize = events.iter().map(|event| event.draft.bytes()).sum();
    assert_eq!(state.bytes, bytes as u64, "bytes of what is kept");
    assert_eq!((pull.first, pull.head), (state.first, state.last), "the tail tells otherwise");
    assert!(pull.segments.iter().all(|segment| segment.last() >= state.first));
    assert_eq!(state.first, events.first().map_or(state.last + 1, |event| event.seq));
    assert!(events.iter().all(|event| data(event).trim() == event.seq.to_string()));
    events.iter().map(|event| event.seq).collect()
}

/// After every append exactly the last so many events are kept, though arrays are longer.
pub fn by_count_is_exact(make: &Make) {
    let world = World::with(make, |setup| setup.retention.count = 100);
    let mut last: Seq = 0;
    for size in [1, 99, 1, 3, 64, 1, 250, 7, 101, 1] {
        world.publish((1..=size).map(|n| draft("a", (last + n).to_string())).collect());
        last += size;
        let expected: Vec<Seq> = (last.saturating_sub(100) + 1..=last).collect();
        assert_eq!(kept(&world), expected, "after {last}");
    }
}

/// After every append as many of the newest events are kept as the bytes allow.
pub fn by_bytes_is_exact(make: &Make) {
    const BYTES: u64 = 20_000;
    let world = World::with(make, |setup| setup.retention.bytes = BYTES);
    let mut sizes = Vec::new();
    for size in [1, 5, 60, 1, 1, 130, 2, 9, 40] {
        let drafts: Vec<_> = (0..size)
            .map(|n| {
                let seq = sizes.len() + n + 1;
                draft("a", format!("{seq:>width$}", width = 8 + seq * 37 % 900))
            })
            .collect();
        sizes.extend(drafts.iter().map(|draft| draft.bytes() as u64));
        world.publish(drafts);
        let (mut first, mut bytes) = (sizes.len() as u64 + 1, 0);
        while first > 1 && bytes + sizes[first as usize - 2] <= BYTES {
            first -= 1;
            bytes += sizes[first as usize - 1];
        }
        assert_eq!(kept(&world), (first..=sizes.len() as u64).collect::<Vec<Seq>>());
    }
}

/// An append takes what is older than the bound: that age itself is kept still.
pub fn by_age_takes_hold_when_appending(make: &Make) {
    let world = World::with(make, |setup| setup.retention.age_ms = 1000);
    world.fill(3);
    world.clock.advance(400);
    world.fill(2);
    world.clock.advance(600);
    world.fill(1);
    assert_eq!(kept(&world), [1, 2, 3, 4, 5, 6]);
    world.clock.advance(1);
    world.fill(1);
    assert_eq!(kept(&world), [4, 5, 6, 7]);
    world.clock.advance(5000);
    world.fill(1);
    assert_eq!(kept(&world), [8]);
}

/// `maintain` takes what is old where nothing is appended any more; an empty stream counts on.
pub fn by_age_takes_hold_in_time(make: &Make) {
    let world = World::with(make, |setup| setup.retention.age_ms = 1000);
    world.fill(5000);
    world.clock.advance(1000);
    world.maintain();
    assert_eq!(kept(&world).len(), 5000);
    world.clock.advance(1);
    world.maintain();
    assert!(kept(&world).is_empty());
    assert_eq!((world.state().first, world.state().last), (5001, 5000));
    world.fill(1);
    assert_eq!(kept(&world), [5001]);
}

/// An event that is larger than the bound is still kept until the next one comes.
pub fn the_newest_event_is_kept_whatever_its_size(make: &Make) {
    let world = World::with(make, |setup| setup.retention.bytes = 1000);
    world.fill(3);
    world.publish(vec![draft("a", format!("{:>5000}", 4))]);
    assert_eq!(kept(&world), [4]);
    world.publish(vec![draft("a", format!("{:>5000}", 5)), draft("a", format!("{:>5000}", 6))]);
    assert_eq!(kept(&world), [6]);
    world.fill(1);
    assert_eq!(kept(&world), [7]);
}

/// Age is not measured by a clock that jumps.
pub fn a_jump_of_the_wall_clock_forgets_nothing(make: &Make) {
    let world = World::with(make, |setup| setup.retention.age_ms = 3_600_000);
    for wall_ms in [1_000_000_000, 1_003_600_001, 0, 5_000_000_000] {
        world.clock.set_wall(wall_ms);
        world.maintain();
        world.fill(1);
    }
    assert_eq!(kept(&world), [1, 2, 3, 4]);
    world.clock.set_wall(0);
    world.clock.advance(3_600_001);
    world.maintain();
    assert!(kept(&world).is_empty());
}

/// Memory follows retention: of what was read once, only what is kept lives on, give or take a
/// batch.
pub fn what_is_forgotten_is_freed(make: &Make) {
    let world = World::with(make, |setup| {
        setup.retention.count = 200;
        setup.tail_bytes_max = 4000;
    });
    let mut seen: Vec<Weak<Batch>> = Vec::new();
    for round in 0..40 {
        world.fill(50);
        for segment in world.page(round * 50, 1 << 20).segments {
            let Segment::Batch(batch) = segment else { panic!("a hole") };
            seen.push(Arc::downgrade(&batch));
        }
    }
    let mut alive: Vec<Arc<Batch>> = seen.iter().filter_map(Weak::upgrade).collect();
    alive.sort_by_key(|batch| batch.first());
    alive.dedup_by_key(|batch| batch.first());
    let first = world.state().first;
    let below = alive.iter().filter(|batch| batch.first() < first).count();
    assert!(below <= 1, "{below} batches are held below the first kept seq");
    let kept = events_of(&world.page(0, 1 << 20).segments, first);
    assert_eq!(kept.len(), 200);
}

/// The tail learns what is too old to be delivered by anybody, whichever bound took it.
pub fn the_tail_learns_what_is_too_old(make: &Make) {
    let world = World::with(make, |setup| {
        (setup.retention.count, setup.retention.age_ms) = (2, 1000);
    });
    let expired = || world.tail().expired(&world.state().epoch);
    world.fill(5);
    world.clock.advance(500);
    world.fill(5);
    assert_eq!((world.state().first, expired()), (9, 0));
    world.clock.advance(501);
    world.maintain();
    assert_eq!((world.state().first, expired()), (9, 6));
    world.clock.advance(500);
    world.maintain();
    assert_eq!((world.state().first, expired()), (11, 11));
}

use std::sync::Arc;

use engine::{Cursor, CursorQuery, Device};
use protocol::{Durability, Epoch, ErrorCode, Seq};

use super::world::{MAIN, Make, OTHER, World, acknowledge, ask, cursor, draft};

pub(super) fn device(user: Option<&str>, name: &str) -> Device {
    Device { user: user.map(Arc::from), name: name.into() }
}

pub(super) fn acknowledged(world: &World, device: &Device, seq: Seq) -> Cursor {
    acknowledge(&**world.broker(), MAIN, device, &world.state().epoch, seq).unwrap()
}

pub(super) fn seq_of(world: &World, device: &Device) -> Option<Seq> {
    cursor(&**world.broker(), MAIN, device).map(|cursor| cursor.seq)
}

pub(super) fn listed(world: &World, query: CursorQuery) -> Vec<(Device, Cursor)> {
    ask(|answer| world.broker().cursors(MAIN, query, answer)).unwrap()
}

/// A device finds what it acknowledged, with epoch and time.
pub fn what_was_acknowledged_is_loaded(make: &Make) {
    let world = World::new(make);
    let phone = device(Some("ann"), "phone");
    assert_eq!(cursor(&**world.broker(), MAIN, &phone), None);
    world.fill(10);
    world.clock.advance(5);
    let epoch = world.state().epoch;
    let expected = Cursor { epoch, seq: 7, at_ms: 1_000_005 };
    assert_eq!(acknowledged(&world, &phone, 7), expected);
    assert_eq!(cursor(&**world.broker(), MAIN, &phone), Some(expected));
    // The place before the first event, too.
    let new = device(None, "new");
    acknowledged(&world, &new, 0);
    assert_eq!(seq_of(&world, &new), Some(0));
}

/// An older acknowledgement changes nothing and is answered with what holds.
pub fn a_cursor_only_grows_within_an_epoch(make: &Make) {
    let world = World::new(make);
    let phone = device(None, "phone");
    world.fill(10);
    for (seq, held) in [(5, 5), (3, 5), (5, 5), (10, 10), (0, 10)] {
        assert_eq!(acknowledged(&world, &phone, seq).seq, held);
        assert_eq!(seq_of(&world, &phone), Some(held));
    }
}

/// Nothing is stored of another epoch, beyond the end, or of a stream that does not exist.
pub fn what_no_reader_can_have_is_refused(make: &Make) {
    let world = World::new(make);
    let phone = device(None, "phone");
    world.fill(10);
    let (broker, epoch) = (&**world.broker(), world.state().epoch);
    let other = Epoch::parse("other").unwrap();
    for (stream, epoch, seq) in [(MAIN, &epoch, 11), (MAIN, &other, 5), (OTHER, &epoch, 0)] {
        let error = acknowledge(broker, stream, &phone, epoch, seq).unwrap_err();
        assert_eq!(error.code, ErrorCode::BadRequest, "{error}");
        assert_eq!(cursor(broker, stream, &phone), None);
    }
    let nowhere = engine::StreamIndex(7);
    let error = acknowledge(broker, nowhere, &phone, &epoch, 0).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound, "{error}");
}

/// What was acknowledged in an epoch that is over holds until the device acknowledges again.
pub fn a_new_epoch_begins_anew(make: &Make) {
    let mut world = World::new(make);
    let phone = device(None, "phone");
    world.fill(10);
    let before = world.state().epoch;
    acknowledged(&world, &phone, 10);
    world.restart();
    if world.state().epoch == before {
        return;
    }
    world.fill(3);
    assert_eq!(acknowledged(&world, &phone, 2).seq, 2);
    assert_eq!(seq_of(&world, &phone), Some(2));
}

/// A broker that keeps events across a restart keeps cursors.
pub fn a_restart_forgets_no_more_than_events(make: &Make) {
    let mut world = World::new(make);
    let phone = device(None, "phone");
    world.fill(10);
    let stored = acknowledged(&world, &phone, 10);
    world.restart();
    let found = cursor(&**world.broker(), MAIN, &phone);
    if world.durability() == Durability::Memory {
        assert!(found.is_none_or(|found| found == stored));
    } else {
        assert_eq!(found, Some(stored));
    }
}

/// The same name is another device of another user, and has a cursor in each stream.
pub fn devices_and_streams_have_cursors_of_their_own(make: &Make) {
    let world = World::new(make);
    world.fill(10);
    world.append(OTHER, vec![draft("other.a", "1")]);
    let devices =
        [device(Some("ann"), "x"), device(Some("bob"), "x"), device(None, "x"), device(None, "y")];
    for (seq, device) in (1..).zip(&devices) {
        acknowledged(&world, device, seq);
    }
    for (seq, device) in (1..).zip(&devices) {
        assert_eq!(seq_of(&world, device), Some(seq));
        assert_eq!(cursor(&**world.broker(), OTHER, device), None);
    }
    let epoch = world.broker().state(OTHER).unwrap().epoch;
    acknowledge(&**world.broker(), OTHER, &devices[0], &epoch, 1).unwrap();
    assert_eq!(seq_of(&world, &devices[0]), Some(1));
    assert_eq!(cursor(&**world.broker(), OTHER, &devices[0]).unwrap().seq, 1);
}

/// A listing goes on behind a device, and can be of one user.
pub fn listings_are_in_pages(make: &Make) {
    let world = World::new(make);
    world.fill(30);
    let mut all = Vec::new();
    for user in [None, Some("ann"), Some("bob")] {
        for name in ["a", "b", "c"] {
            all.push(device(user, name));
        }
    }
    for (seq, device) in (1..).zip(all.iter().rev()) {
        acknowledged(&world, device, seq);
    }
    let query = |user: Option<&str>, after: Option<&Device>, limit| CursorQuery {
        user: user.map(Arc::from),
        after: after.cloned(),
        limit,
    };
    let names = |query| listed(&world, query).into_iter().map(|(d, _)| d).collect::<Vec<_>>();
    for limit in 1..11 {
        let mut found = Vec::new();
        loop {
            let page = names(query(None, found.last(), limit));
            assert!(page.len() <= limit);
            let is_last = page.len() < limit;
            found.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(found, all, "in pages of {limit}");
    }
    assert_eq!(names(query(Some("ann"), None, 10)), all[3..6]);
    assert_eq!(names(query(Some("ann"), Some(&all[3]), 10)), all[4..6]);
    assert_eq!(names(query(Some("ann"), Some(&all[0]), 10)), all[3..6]);
    assert_eq!(names(query(Some("eve"), None, 10)), []);
    assert_eq!(listed(&world, query(Some("bob"), None, 1))[0].1.seq, 3);
}

/// A cursor goes when it was neither stored nor loaded for long, whatever the wall clock says.
pub fn what_nobody_uses_is_forgotten(make: &Make) {
    let world = World::with(make, |setup| setup.cursor_age_ms = 1_000);
    world.fill(10);
    let [lost, stored, loaded] = ["lost", "stored", "loaded"].map(|name| device(None, name));
    for device in [&lost, &stored, &loaded] {
        acknowledged(&world, device, 1);
    }
    world.clock.set_wall(99_000_000);
    world.clock.advance(600);
    world.broker().maintain();
    acknowledged(&world, &stored, 2);
    assert_eq!(seq_of(&world, &loaded), Some(1));
    world.clock.advance(600);
    world.broker().maintain();
    assert_eq!(seq_of(&world, &lost), None);
    assert_eq!(seq_of(&world, &stored), Some(2));
    assert_eq!(seq_of(&world, &loaded), Some(1));
    let query = CursorQuery { limit: 10, ..CursorQuery::default() };
    assert_eq!(listed(&world, query).len(), 2);
}

/// Of too many devices the one that used its cursor last of all is forgotten.
pub fn the_longest_unused_makes_room(make: &Make) {
    let world = World::with(make, |setup| setup.cursor_count = 3);
    world.fill(10);
    let devices = ["a", "b", "c", "d"].map(|name| device(None, name));
    for device in &devices[..3] {
        world.clock.advance(10);
        acknowledged(&world, device, 1);
    }
    world.clock.advance(10);
    acknowledged(&world, &devices[0], 2);
    world.clock.advance(10);
    acknowledged(&world, &devices[3], 3);
    let query = CursorQuery { limit: 10, ..CursorQuery::default() };
    let kept: Vec<_> = listed(&world, query).into_iter().map(|(device, _)| device).collect();
    assert_eq!(kept, [devices[0].clone(), devices[2].clone(), devices[3].clone()]);
}

/// Whoever comes last, the greatest holds.
pub fn concurrent_acknowledgements_agree(make: &Make) {
    let world = World::new(make);
    world.fill(400);
    let (phone, epoch) = (device(Some("ann"), "phone"), world.state().epoch);
    std::thread::scope(|scope| {
        for part in 0..4 {
            let (broker, phone, epoch) = (world.broker().clone(), &phone, &epoch);
            scope.spawn(move || {
                let mut held = 0;
                for seq in (1..=400).filter(|seq| seq % 4 == part) {
                    let cursor = acknowledge(&*broker, MAIN, phone, epoch, seq).unwrap();
                    assert!(cursor.seq >= seq.max(held), "{cursor:?}");
                    held = cursor.seq;
                }
            });
        }
    });
    assert_eq!(seq_of(&world, &phone), Some(400));
}

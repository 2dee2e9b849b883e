use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::Segment;
use protocol::{Audience, Draft, Event, Seq};

use super::world::{MAIN, Make, World, append, ask, data, draft, events_of, read, select};

/// From every position, pages of every size bring exactly what follows.
pub fn pages_have_no_hole_from_any_position(make: &Make) {
    let world = World::with(make, |setup| setup.retention.count = 150);
    world.fill(230);
    let first = world.state().first;
    for after in 0..=230 {
        for bytes_max in [0, 700, 5000, 1 << 20] {
            let events = world.events(after, bytes_max);
            let seqs: Vec<Seq> = events.iter().map(|event| event.seq).collect();
            assert_eq!(seqs, (first.max(after + 1)..=230).collect::<Vec<Seq>>());
            assert!(events.iter().all(|event| data(event) == event.seq.to_string()));
        }
    }
}

/// A page has at least one segment, and more only as far as the budget goes.
pub fn a_page_keeps_its_budget(make: &Make) {
    let world = World::new(make);
    world.fill(300);
    let mut pages = 0;
    for bytes_max in [0, 1, 1000, 10_000, 50_000] {
        let mut after = 0;
        while after < 300 {
            let page = world.page(after, bytes_max);
            let bytes: usize = page.segments.iter().map(|segment| segment.bytes()).sum();
            assert!(page.segments.len() == 1 || bytes <= bytes_max, "{bytes} > {bytes_max}");
            assert_eq!(page.epoch, world.state().epoch);
            after = page.segments.last().expect("an empty page before the end").last();
            pages += 1;
        }
    }
    assert!(pages < 1500, "pages make no use of their budget");
}

/// Reading at or behind the end, or in a stream without events, brings nothing.
pub fn nothing_comes_after_the_end(make: &Make) {
    let world = World::new(make);
    assert!(world.page(0, 1000).segments.is_empty());
    assert_eq!(world.page(0, 1000).first, 1);
    world.fill(5);
    for after in [5, 6, 1 << 53, u64::MAX] {
        let page = world.page(after, 1000);
        assert!(page.segments.is_empty(), "after {after}");
        assert_eq!(page.first, 1);
    }
}

/// Who reads pages and who pulls the tail see the same events in the same order.
pub fn pages_and_tail_agree(make: &Make) {
    let world = World::new(make);
    world.fill(200);
    let pull = world.tail().pull(0, None, 0);
    let state = world.state();
    assert_eq!((pull.first, pull.head, &pull.epoch), (1, 200, &state.epoch));
    let events = world.events(0, 4000);
    assert_eq!(events_of(&pull.segments, 1), events);
    let bytes: usize = events.iter().map(|event| event.draft.bytes()).sum();
    assert_eq!(state.bytes, bytes as u64);
}

/// Someone reads while someone else appends and retention takes: what comes is contiguous, and
/// starts late only where retention has been.
pub fn pages_have_no_hole_while_retention_works(make: &Make) {
    const EVENTS: u64 = 20_000;
    let world = World::with(make, |setup| setup.retention.count = 1000);
    let (is_done, broker) = (AtomicBool::new(false), world.broker());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for seq in 1..=EVENTS {
                append(&**broker, MAIN, vec![draft("a", seq.to_string())]);
            }
            is_done.store(true, Ordering::SeqCst);
        });
        let mut after = 0;
        while after < EVENTS {
            let was_done = is_done.load(Ordering::SeqCst);
            let page = read(&**broker, MAIN, after, 100_000);
            let expected = page.first.max(after + 1);
            let events = events_of(&page.segments, expected);
            let Some(last) = events.last() else {
                assert!(!was_done, "an empty page before the end");
                continue;
            };
            assert_eq!(events[0].seq, expected, "a page begins late");
            assert!(events.iter().all(|event| data(event) == event.seq.to_string()));
            after = last.seq;
        }
    });
}

/// A read of what is selected may leave the rest out, and says how far it came.
pub fn selected_reads_bring_all_that_matches(make: &Make) {
    let world = World::with(make, |setup| setup.retention.count = 4000);
    for round in 0..60 {
        let topic = if round % 25 == 3 { "rare" } else { "often" };
        world.publish(vec![draft(topic, format!("{round:>700}")); 80]);
    }
    for topic in ["rare", "often", "none", ">"] {
        let selector = select(&[topic], &[]);
        let all = world.events(0, 1 << 20).into_iter().filter(|event| selector.selects(event));
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let page = ask(|to| {
                let broker = world.broker();
                broker.read_selected(MAIN, after, selector.clone(), 50_000, to);
            })
            .unwrap();
            assert!(page.scanned_to > after || page.segments.is_empty());
            for segment in &page.segments {
                let Segment::Batch(batch) = segment else { panic!("a hole") };
                let events = batch.after(after.max(page.first - 1)).iter();
                found.extend(events.filter(|event| selector.selects(event)).cloned());
                assert!(batch.last() <= page.scanned_to);
            }
            if page.scanned_to <= after {
                break;
            }
            after = page.scanned_to;
        }
        assert_eq!((found, after), (all.collect::<Vec<_>>(), 4800), "{topic}");
    }
}

/// A read of what is newest may leave older events out, and says how far it came.
pub fn newest_reads_bring_the_newest_of_each_topic_and_audience(make: &Make) {
    let world = World::with(make, |setup| setup.retention.count = 900);
    publish_in_rounds(&world);
    assert_newest(&world);
}

/// Some topics often, some once, some for one user only.
pub fn publish_in_rounds(world: &World) {
    for round in 0..60 {
        let once = format!("once.{round}");
        let user = Audience::User(format!("u{}", round % 7).into());
        let of_user = Draft { audience: user, ..draft("often.0", "1") };
        let often = (0..20).map(|n| draft(&format!("often.{}", n % 5), format!("{round:>300}")));
        world.publish(often.chain([draft(&once, "1"), of_user]).collect());
    }
}

/// From anywhere, a view that is made of pages of newest events is the one that the log has.
pub fn assert_newest(world: &World) {
    for from in [0, 400, world.state().last - 30, world.state().last] {
        let mut newest = HashMap::new();
        for event in world.events(from, 1 << 20) {
            newest.insert((event.topic().clone(), event.draft.audience.clone()), event);
        }
        let mut found = HashMap::new();
        let mut after = from;
        loop {
            let page = ask(|to| world.broker().read_newest(MAIN, after, 5_000, to)).unwrap();
            let kept = after.max(page.first - 1);
            for segment in &page.segments {
                let Segment::Batch(batch) = segment else { panic!("a hole") };
                assert!(batch.last() <= page.scanned_to);
                for event in batch.after(kept) {
                    let key = (event.topic().clone(), event.draft.audience.clone());
                    let before = found.insert(key, event.clone());
                    assert!(before.is_none_or(|before: Event| before.seq < event.seq));
                }
            }
            if page.scanned_to <= after {
                break;
            }
            after = page.scanned_to;
        }
        assert_eq!(found, newest, "after {from}");
        assert_eq!(after.max(from), world.state().last);
    }
}

use allocation_counter::measure;
use engine::Request;
use protocol::{CloseReason, Error, ErrorCode, Mode, Seq, Start};

use crate::world::{Said, World, after, epoch};

/// A reader that keeps the client busy while another one waits.
const BATCHES: Mode = Mode { batch: true, ..Mode::EVERY };

#[test]
fn a_reader_that_waits_for_its_time_sets_one_timer() {
    let mut world = World::new();
    let client = world.connect(10);
    let hourly = Mode { latest: true, interval_ms: 3_600_000, batch: false };
    world.subscribe(client, &["a.>"], hourly, Start::Now);
    world.publish(1);
    world.answer_pages(1);
    world.publish(1);
    world.subscribe(client, &["a.b"], BATCHES, Start::Now);
    let mut publish = |events| {
        for _ in 0..events {
            world.publish(1);
            drop(world.said(0));
        }
    };
    publish(1_000);
    let held = measure(|| publish(10_000)).bytes_current;
    assert!(held < 50_000, "{held} bytes");
    // The timer comes before the time, and the reader goes on to wait.
    world.pass(60_000);
    assert_eq!(world.worker.view(client).unwrap().lag_events, 11_001);
    for _ in 1..60 {
        world.pass(60_000);
    }
    assert_eq!(world.worker.view(client).unwrap().lag_events, 0);
    // Nothing of it stays for long when it is gone.
    world.worker.disconnect(world.now, client);
    world.pass(60_000);
    let next_ms = world.worker.next_timer().unwrap();
    assert!(next_ms <= world.now.ms + 1_000, "{next_ms}");
}

/// The ranges of the gaps that a client was told.
fn ranges(world: &mut World) -> Vec<(Seq, Seq)> {
    world.gaps(0).into_iter().map(|gap| (gap.from, gap.to)).collect()
}

#[test]
fn a_hole_that_two_readers_meet_is_told_once() {
    let mut world = World::new();
    let client = world.connect(10);
    world.subscribe(client, &["a.>"], Mode::EVERY, Start::Now);
    world.subscribe(client, &["a.b"], BATCHES, Start::Now);
    world.publish(2);
    world.lose(3);
    assert_eq!(ranges(&mut world), [(3, 5)]);
    world.lose(1);
    assert_eq!(ranges(&mut world), [(6, 6)]);
}

#[test]
fn what_two_readers_lost_is_told_once() {
    let mut world = World::new();
    let client = world.connect(10);
    let slow = Mode { interval_ms: 1_000, ..BATCHES };
    world.subscribe(client, &["x.y"], Mode::EVERY, Start::Now);
    world.subscribe(client, &["a.>"], slow, Start::Now);
    for _ in 0..20 {
        world.publish(1);
    }
    world.worker.blocked(client);
    world.publish(2_000);
    world.tail.trim(1_501);
    world.publish(1);
    world.pass(1_000);
    drop(world.said(0));
    world.worker.handle_writable(world.now, client);
    world.write_all();
    world.answer_pages(1_501);
    let mut told = ranges(&mut world);
    told.sort_unstable();
    assert_eq!(told, [(2, 20), (21, 1_500)]);
}

#[test]
fn a_session_that_is_closing_stays_so_when_it_moves() {
    let mut world = World::new();
    let client = world.connect(10);
    world.subscribe(client, &["a.b"], Mode::EVERY, Start::Now);
    world.publish(1);
    world.worker.close(world.now, client, CloseReason::Draining, None);
    let snapshot = world.worker.snapshot(world.now, client).unwrap();
    let client = world.worker.restore(world.now, snapshot);
    drop(world.said(0));
    world.publish(3);
    world.worker.close(world.now, client, CloseReason::Draining, None);
    assert_eq!(world.worker.view(client).unwrap().counts.events_out, 1);
    assert!(!world.said(0).iter().any(|said| matches!(said, Said::Message(_))));
}

#[test]
fn a_view_whose_page_failed_is_asked_for_again_after_a_while() {
    let mut world = World::new();
    let client = world.connect(10);
    let latest = Mode { latest: true, ..Mode::EVERY };
    world.subscribe(client, &["a.b"], latest, Start::Now);
    world.publish(2);
    for _ in 0..3 {
        let requests = world.requests();
        let [Request::ReadNewest { stream, after, .. }] = requests[..] else {
            panic!("{requests:?}")
        };
        let error = Error::new(ErrorCode::BrokerUnavailable, "away");
        world.worker.handle_newest(world.now, stream, after, Err(error));
        world.write_all();
        assert!(world.requests().is_empty());
        world.pass(500);
    }
    world.answer_pages(1);
    assert_eq!(world.said(0).last(), Some(&Said::Event(2)));
}

#[test]
fn a_gap_is_told_again_to_who_subscribes_anew() {
    let mut world = World::new();
    let client = world.connect(10);
    let slowly = Mode { interval_ms: 100, ..BATCHES };
    world.subscribe(client, &["a.c"], Mode::EVERY, Start::Now);
    world.subscribe(client, &["a.b"], slowly, Start::Now);
    world.publish(2);
    world.lose(3);
    assert_eq!(ranges(&mut world), [(3, 5)]);
    // The slow one has not come to it when both end, and another one begins before it at once.
    world.unsubscribe(client, &["a.c", "a.b"]);
    world.subscribe(client, &["a.*"], Mode::EVERY, after(epoch(), 0));
    world.write_all();
    assert_eq!(ranges(&mut world), [(3, 5)]);
}

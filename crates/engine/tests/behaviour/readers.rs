use allocation_counter::measure;
use protocol::{Mode, Start};

use crate::world::World;

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

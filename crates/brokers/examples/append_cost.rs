//! Prints what appending, reading and finding cost in a memory stream.
//!
//! `cargo run --release -p tidings-brokers --example append_cost`
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use brokers::{Embedded, Options};
use bytes::Bytes;
use engine::{Broker, Locate, Retention, Selector, StreamIndex, StreamSpec, StreamTable, Wake};
use protocol::{Draft, Durability, Error, Mode, Pattern, Payload, StreamName, Topic};

const STREAM: StreamIndex = StreamIndex(0);
const EVENTS: usize = 2_000_000;

fn main() -> Result<(), Error> {
    println!("an event takes {} bytes besides its texts", size_of::<protocol::Event>());
    for batch in [1, 64] {
        measure_append(batch, 1, false)?;
        measure_append(batch, 1, true)?;
        measure_append(batch, 2, false)?;
    }
    measure_reading()
}

fn broker() -> Result<Arc<Embedded>, Error> {
    let spec = StreamSpec {
        name: StreamName::parse("default")?,
        topics: vec![Pattern::parse(">")?],
        retention: Retention { count: 100_000, ..Retention::default() },
        durability: Durability::Memory,
        priority: 0,
        mode: Mode::EVERY,
    };
    Ok(Arc::new(Embedded::new(&StreamTable::new(vec![spec]), &Options::default())))
}

fn draft(topic: &Topic, payload: &Bytes, id: Option<String>) -> Draft {
    let payload = Payload::Json(payload.clone());
    Draft { id: id.map(Into::into), ..Draft::new(topic.clone(), payload) }
}

struct Idle;

impl Wake for Idle {
    fn wake(&self, _: StreamIndex) {}
}

/// Drafts are made before the clock runs; 128 bytes each.
fn measure_append(batch: usize, threads: usize, with_ids: bool) -> Result<(), Error> {
    let broker = broker()?;
    if let Some(tail) = broker.tail(STREAM) {
        tail.watch(1, Arc::new(Idle));
    }
    let busy_ns = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (broker, busy_ns) = (&broker, &busy_ns);
            scope.spawn(move || {
                let Ok(topic) = Topic::parse("trainer.run-42.training_progress") else { return };
                let payload = Bytes::from(vec![b'1'; 128]);
                for round in 0..EVENTS / threads / 6400 {
                    let drafts = |at: usize| -> Vec<Draft> {
                        let id = |n| with_ids.then(|| format!("{thread} {round} {at} {n}"));
                        (0..batch).map(|n| draft(&topic, &payload, id(n))).collect()
                    };
                    let arrays: Vec<_> = (0..6400 / batch).map(drafts).collect();
                    let start = Instant::now();
                    for drafts in arrays {
                        broker.append(STREAM, drafts, Box::new(|answer| drop(black_box(answer))));
                    }
                    busy_ns.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
                }
            });
        }
    });
    let ns = busy_ns.into_inner() as f64 / (EVENTS / 6400 * 6400) as f64;
    let ids = if with_ids { ", each with an id" } else { "" };
    println!("append {batch} at a time, {threads} thread(s){ids}: {ns:.0} ns an event");
    Ok(())
}

fn measure_reading() -> Result<(), Error> {
    let broker = broker()?;
    let (topic, payload) = (Topic::parse("a.b.c")?, Bytes::from_static(b"1"));
    for _ in 0..100_000 {
        broker.append(STREAM, vec![draft(&topic, &payload, None)], Box::new(drop));
    }
    let start = Instant::now();
    for after in 0..1000 {
        broker.read(STREAM, after * 90, 64 << 10, Box::new(|page| drop(black_box(page))));
    }
    println!("a page of 64 KiB (single appends): {:.1} µs", start.elapsed().as_secs_f64() * 1e3);

    let (topics, except) = (vec![Pattern::parse("a.*.d")?], Vec::new());
    let selector = Selector { topics, except, filter: None, viewer: None };
    let start = Instant::now();
    for _ in 0..10 {
        let what = Locate::Last(1);
        broker.locate(STREAM, selector.clone(), what, Box::new(|at| drop(black_box(at))));
    }
    let ns = start.elapsed().as_nanos() as f64 / 1e6;
    println!("looking at an event for the last N: {ns:.0} ns");
    Ok(())
}

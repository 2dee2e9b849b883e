//! How long a durable stream of many events takes to open, and to find one rare event:
//! `cargo run --release -p tidings-brokers --example restart_cost -- DIRECTORY [EVENTS]`
// An example may panic, and prints what it found.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Instant;

use brokers::{Embedded, Options};
use bytes::Bytes;
use engine::{Broker, Locate, Retention, Selector, StreamIndex, StreamSpec, StreamTable};
use protocol::{Draft, Durability, Mode, Pattern, Payload, StreamName, Topic};

const STREAM: StreamIndex = StreamIndex(0);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| "build/restart-cost".to_owned());
    let events: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10_000_000);
    let everything = Pattern::parse(">").unwrap();
    let table = StreamTable::new(vec![StreamSpec {
        name: StreamName::parse("s").unwrap(),
        topics: vec![everything],
        retention: Retention { count: u64::MAX, age_ms: u64::MAX, bytes: u64::MAX },
        durability: Durability::Buffered,
        priority: 0,
        mode: Mode::EVERY,
    }]);
    let open = || {
        let begun = Instant::now();
        let broker = Embedded::open(&table, Path::new(&directory), &Options::default()).unwrap();
        println!("open with {} events: {:?}", broker.state(STREAM).unwrap().last, begun.elapsed());
        broker
    };
    let broker = open();
    append(&broker, "rare", 1);
    let begun = Instant::now();
    for _ in 0..events / 500 {
        append(&broker, "often", 500);
    }
    println!("append {events} events in arrays of 500: {:?}", begun.elapsed());
    let begun = Instant::now();
    drop(broker);
    println!("close: {:?}", begun.elapsed());

    let broker = open();
    for (topic, what) in [("rare", Locate::Last(1)), ("none", Locate::Last(1))] {
        let topics = vec![Pattern::parse(topic).unwrap()];
        let selector = Selector { filter: None, topics, except: Vec::new(), viewer: None };
        let (begun, (answer, answered)) = (Instant::now(), channel());
        broker.locate(STREAM, selector, what, Box::new(move |found| drop(answer.send(found))));
        let found = answered.recv().unwrap().unwrap();
        println!("find `{topic}`: {:?}, after {}", begun.elapsed(), found.after);
    }
}

fn append(broker: &Embedded, topic: &str, count: usize) {
    let payload = Payload::Json(Bytes::from_static(&[b'1'; 100]));
    let draft = Draft::new(Topic::parse(topic).unwrap(), payload);
    let (answer, answered) = channel();
    broker.append(STREAM, vec![draft; count], Box::new(move |done| drop(answer.send(done))));
    answered.recv().unwrap().into_iter().for_each(|one| drop(one.unwrap()));
}

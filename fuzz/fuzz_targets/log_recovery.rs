//! Whatever bytes stand in the files of a log, it opens, accounts for every seq, and can be written.
#![no_main]

use std::sync::Arc;
use std::sync::mpsc::channel;

use brokers::embedded::durable::MemoryDisk;
use brokers::{Embedded, Options};
use engine::{Broker, Retention, Segment, StreamIndex, StreamSpec, StreamTable};
use libfuzzer_sys::fuzz_target;
use protocol::{Draft, Durability, Mode, Pattern, Payload, StreamName, Topic};

const STREAM: StreamIndex = StreamIndex(0);
const LOG: &str = "streams/s/00000000000000000001.log";

fn table() -> StreamTable {
    StreamTable::new(vec![StreamSpec {
        name: StreamName::parse("s").expect("a name"),
        topics: Pattern::parse(">").into_iter().collect(),
        retention: Retention { age_ms: u64::MAX, ..Retention::default() },
        durability: Durability::Fsync,
        priority: 0,
        mode: Mode::EVERY,
    }])
}

fn open(disk: &MemoryDisk) -> Embedded {
    // Checksums begin with what is random: the same each time.
    let options = Options { random: Arc::new(|| 7), ..Options::default() };
    Embedded::on_disk(&table(), Arc::new(disk.clone()), &options).expect("it opens")
}

fn append(broker: &Embedded, count: usize) -> u64 {
    let draft = |n: usize| {
        let topic = Topic::parse(["a", "b.c"][n % 2]).expect("a topic");
        Draft::new(topic, Payload::Json(n.to_string().into()))
    };
    let (answer, answered) = channel();
    let drafts = (0..count).map(draft).collect();
    broker.append(STREAM, drafts, Box::new(move |results| drop(answer.send(results))));
    let last = answered.recv().expect("an answer").pop().expect("one answer each");
    last.expect("it is taken").seq
}

fuzz_target!(|bytes: &[u8]| {
    let disk = MemoryDisk::default();
    append(&open(&disk), 20);
    // The first two bytes say where the others go, over what is there.
    let Some((place, rest)) = bytes.split_at_checked(2) else { return };
    disk.damage(LOG, |file| {
        let at = usize::from(place[0]) * 256 + usize::from(place[1]);
        let at = at % (file.len() + 1);
        file.truncate(file.len().max(at));
        let end = (at + rest.len()).min(file.len());
        file.splice(at..end, rest.iter().copied());
    });
    let broker = open(&disk);
    let state = broker.state(STREAM).expect("the stream");
    let mut next = state.first;
    while next <= state.last {
        let (answer, answered) = channel();
        broker.read(STREAM, next - 1, 4096, Box::new(move |page| drop(answer.send(page))));
        let page = answered.recv().expect("an answer").expect("a page");
        assert_eq!(page.segments.first().map(Segment::first), Some(next));
        for segment in &page.segments {
            assert_eq!(segment.first(), next);
            next = segment.last() + 1;
        }
    }
    assert_eq!(append(&broker, 1), state.last + 1);
});

use std::sync::Arc;

use engine::{Limits, Retention, StreamSpec, StreamTable};
use protocol::dialects::native::read_filter;
use protocol::{
    Audience, ClientId, Draft, Durability, Filter, Mode, Pattern, Payload, StreamName, Topic,
};

use super::random::Random;

/// What a world is made of; small seeds modulo 8 make small worlds.
pub struct Topology {
    /// The streams.
    pub table: Arc<StreamTable>,
    /// Whether they are kept on a disk.
    pub is_on_disk: bool,
    /// Whether some people are remembered.
    pub remembers: bool,
    /// How many workers there are.
    pub workers: usize,
    /// How many people come and go.
    pub people: usize,
    /// How long things happen, in ms.
    pub duration_ms: u64,
    /// How long nobody is there in the middle of it, in ms: workers give up streams meanwhile.
    pub silence_ms: u64,
    /// Most bytes that a tail holds.
    pub tail_bytes_max: usize,
    /// Bounds of the workers.
    pub limits: Limits,
    /// Mean time between two bursts of the publishers, in ms.
    pub burst_every_ms: u64,
    /// Most events in a burst.
    pub burst_max: u64,
    /// Mean time between two faults, in ms; 0 has none.
    pub fault_every_ms: u64,
    /// Whether people do more than subscribe to every event.
    pub is_varied: bool,
}

/// First tokens of topics, each captured by a stream of its own kind.
pub const ROOTS: [&str; 5] = ["a", "b", "latest", "rate", "alert"];
/// Second tokens.
const LEAVES: [&str; 4] = ["k", "l", "m", "n"];
/// Users there are.
pub const USERS: [&str; 3] = ["ann", "ben", "cem"];
/// Groups there are.
pub const GROUPS: [&str; 3] = ["red", "green", "blue"];

impl Topology {
    /// The topology of a seed.
    pub fn of(seed: u64, random: &mut Random) -> Self {
        let size = seed % 8;
        let streams = match size {
            0 => 1,
            1..=3 => random.between(1, 2),
            _ => random.between(2, 5),
        };
        let tail_bytes_max = *random.pick(&[600, 4_000, 40_000, 400_000]);
        let limits = Limits {
            recent_bytes_max: *random.pick(&[500, 5_000, 50_000, 500_000]),
            page_bytes: *random.pick(&[1_500, 5_000, 30_000, 256 << 10]),
            unanswered_max: 16,
            append_bytes_max: 32 << 10,
            ..Limits::default()
        };
        let is_on_disk = (super::ON_DISK..super::REMEMBERING).contains(&seed);
        let mut specs: Vec<_> = (0..streams).map(|at| stream(at, random)).collect();
        if is_on_disk {
            for spec in &mut specs {
                spec.durability = *random.pick(&[Durability::Buffered, Durability::Fsync]);
            }
        }
        Self {
            table: Arc::new(StreamTable::new(specs)),
            is_on_disk,
            remembers: seed >= super::REMEMBERING,
            workers: random.between(2, 3) as usize,
            people: match size {
                0 | 1 => random.between(1, 2),
                7 => random.between(10, 30),
                _ => random.between(2, 8),
            } as usize,
            duration_ms: random.between(500, 1_500 * (size + 1)),
            silence_ms: if random.one_in(12) { 40_000 } else { 0 },
            tail_bytes_max,
            limits,
            burst_every_ms: random.between(5, 120),
            burst_max: *random.pick(&[1, 5, 40, 200]),
            fault_every_ms: if size == 0 { 400 } else { random.between(50, 800) },
            is_varied: size > 1,
        }
    }
}

fn stream(at: u64, random: &mut Random) -> StreamSpec {
    let mode = match at {
        2 => Mode { latest: true, ..Mode::EVERY },
        3 => Mode { latest: true, interval_ms: random.between(5, 200) as u32, batch: false },
        _ => Mode::EVERY,
    };
    StreamSpec {
        name: StreamName::parse(&format!("s{at}")).unwrap(),
        topics: vec![pattern(&format!("{}.>", ROOTS[at as usize]))],
        retention: Retention { count: *random.pick(&[5, 30, 300, 5_000]), ..Retention::default() },
        durability: Durability::Memory,
        priority: if at == 4 { 10 } else { random.between(0, 2) as i32 },
        mode,
    }
}

/// A pattern that is well spelled.
pub fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

/// Any pattern that people may think of.
pub fn any_pattern(random: &mut Random, roots: usize) -> Pattern {
    let root = ROOTS[random.below(roots as u64) as usize];
    let leaf = *random.pick(&LEAVES);
    match random.below(6) {
        0 => pattern(">"),
        1 => pattern(&format!("{root}.>")),
        2 => pattern(&format!("{root}.{leaf}")),
        3 => pattern(&format!("*.{leaf}")),
        4 => pattern(&format!("{root}.*")),
        _ => pattern(&format!("*.{leaf}.>")),
    }
}

/// Any filter that people may think of: few, so that several have the same.
pub fn any_filter(random: &mut Random) -> Arc<Filter> {
    let kind = |op: &str, value: u64| format!(r#"{{"field":"/kind","op":"{op}","value":{value}}}"#);
    let text = match random.below(5) {
        0 => kind("ge", 3),
        1 => kind("lt", random.between(2, 5)),
        2 => format!(r#"{{"not":{}}}"#, kind("eq", 0)),
        3 => format!(r#"{{"any":[{},{}]}}"#, kind("eq", 1), kind("gt", 4)),
        _ => {
            r#"{"all":[{"field":"/number","op":"exists"},{"field":"/none","op":"exists"}]}"#.into()
        }
    };
    Arc::new(read_filter(&text).unwrap())
}

/// Any topic that some stream captures.
pub fn any_topic(random: &mut Random, roots: usize) -> Topic {
    let root = ROOTS[random.below(roots as u64) as usize];
    let leaf = *random.pick(&LEAVES);
    let text =
        if random.one_in(5) { format!("{root}.{leaf}.deep") } else { format!("{root}.{leaf}") };
    Topic::parse(&text).unwrap()
}

/// Whom an event is for.
pub fn any_audience(random: &mut Random, clients: &[ClientId]) -> Audience {
    match random.below(10) {
        0 => Audience::User((*random.pick(&USERS)).into()),
        1 => Audience::Group((*random.pick(&GROUPS)).into()),
        2 if !clients.is_empty() => Audience::Client(*random.pick(clients)),
        _ => Audience::Everyone,
    }
}

/// An event like no other: its data name its number.
pub fn draft(random: &mut Random, number: u64, topic: Topic, audience: Audience) -> Draft {
    let length = match random.below(60) {
        0 => random.between(5_000, 40_000),
        1..=9 => random.between(100, 2_000),
        _ => random.between(0, 40),
    } as usize;
    let (kind, rest) = (number % 7, ".".repeat(length));
    let bytes = format!(r#"{{"number":{number},"kind":{kind},"rest":"{rest}"}}"#).into();
    let payload = if random.one_in(8) {
        Payload::Binary { content_type: "text/plain".into(), bytes }
    } else {
        Payload::Json(bytes)
    };
    Draft { audience, ..Draft::new(topic, payload) }
}

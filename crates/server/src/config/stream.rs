use engine::{Retention, StreamSpec};
use protocol::{Mode, Pattern, StreamName};

use super::setting::settings;
use super::units::{ByteSize, Timespan};
use super::words::words;

settings! {
    /// A log: which topics it captures, what it keeps, how it is delivered.
    item Stream by name {
        /// Its name: up to 64 of `a-z`, `0-9`, `_` and `-`.
        name: StreamName => Restart;
        /// Patterns of the topics that it captures. Of all streams, the most specific pattern wins.
        topics: Vec<Pattern> = Vec::new() => Restart;
        /// How much is kept: the oldest events go when any bound is passed.
        retain: Retain = Retain::of_default() => Restart;
        /// What an acknowledged event has survived.
        durability: Option<Durability>,
            unset "`buffered` where `broker.dir` is set, else `memory`; `memory` in the stream `default`" => Restart;
        /// Streams of a higher priority are served first.
        priority: i32 = 0, within -100..=100 => Restart;
        /// Whether clients get every event, or only the newest of each topic.
        deliver: Option<Deliver>, unset "`every`, or `latest` where `max_rate` is set" => Restart;
        /// How often per second a client reads the newest event of each topic.
        max_rate: Option<f64>, unset "as fast as the client can take it", within Mode::RATE_MIN..=Mode::RATE_MAX
            => Restart;
        /// Whether its events may be compressed where an endpoint compresses.
        compression: StreamCompression = StreamCompression::Allowed => Restart;
        /// The device whose acknowledgements publishers wait for.
        wait_for: Option<WaitFor>, unset "publishers wait for nobody" => Restart;
    }

    /// How much a stream keeps. Where it is given, a bound that it doesn't name doesn't hold,
    /// except `bytes`, which always does.
    section Retain {
        /// Most events.
        count: Option<u64>, unset "no bound", within 1..=1_000_000_000_000_u64 => Restart;
        /// Oldest event.
        age: Option<Timespan>, unset "no bound", within Timespan::from_ms(1)..=Timespan::from_hours(240_000) => Restart;
        /// Most bytes.
        bytes: ByteSize = ByteSize::from_mib(64),
            within ByteSize::from_bytes(1)..=ByteSize::from_mib(1 << 30) => Restart;
    }

    /// Back-pressure from a consumer: publishers wait while more of the stream than this is before
    /// a connected device of that name, whoever's it is, that it has not acknowledged.
    item WaitFor {
        /// The device's name.
        device: String => Restart;
        /// Most bytes that it may not have acknowledged while others publish.
        bytes: ByteSize = ByteSize::from_mib(1),
            within ByteSize::from_bytes(1)..=ByteSize::from_mib(1024) => Restart;
    }
}

words! {
    /// Whether a stream's events may be compressed.
    StreamCompression, "whether events may be compressed" {
        /// They may.
        Allowed "allowed",
        /// They may not: where what others write or guess stands beside a secret in one event, its
        /// compressed length tells of the secret.
        Never "never",
    }

    /// What an acknowledged event has survived.
    Durability, "a durability" {
        /// Nothing: it is in the memory of this process.
        Memory "memory",
        /// The end of the process.
        Buffered "buffered",
        /// Loss of power.
        Fsync "fsync",
    }

    /// What a client gets of a stream.
    Deliver, "a way to deliver" {
        /// Every event.
        Every "every",
        /// The newest event of each topic and audience.
        Latest "latest",
    }
}

impl Retain {
    /// What the stream `default` keeps, and every stream that doesn't say: the last 10,000 events
    /// or 64 MiB, for an hour.
    pub fn of_default() -> Self {
        Self {
            count: Some(10_000),
            age: Some(Timespan::from_hours(1)),
            bytes: ByteSize::from_mib(64),
        }
    }
}

impl Stream {
    /// How its events are delivered, before a subscription narrows it.
    pub fn mode(&self) -> Mode {
        let latest = match self.deliver {
            Some(deliver) => deliver == Deliver::Latest,
            None => self.max_rate.is_some(),
        };
        let interval_ms = self.max_rate.map_or(0, Mode::interval_of_rate);
        Mode { latest, interval_ms, batch: false }
    }

    /// Whether it is the built-in stream for topics that no other captures.
    pub fn is_default(&self) -> bool {
        self.name.as_str() == DEFAULT
    }
}

impl From<&Stream> for StreamSpec {
    fn from(stream: &Stream) -> Self {
        let Retain { count, age, bytes } = stream.retain;
        Self {
            name: stream.name.clone(),
            topics: stream.topics.clone(),
            retention: Retention {
                count: count.unwrap_or(u64::MAX),
                age_ms: age.map_or(u64::MAX, Timespan::as_ms),
                bytes: bytes.as_bytes(),
            },
            durability: match stream.durability {
                None | Some(Durability::Memory) => protocol::Durability::Memory,
                Some(Durability::Buffered) => protocol::Durability::Buffered,
                Some(Durability::Fsync) => protocol::Durability::Fsync,
            },
            priority: stream.priority,
            mode: stream.mode(),
        }
    }
}

/// The name of the stream for topics that no other captures.
pub const DEFAULT: &str = "default";

use std::fmt;
use std::str::FromStr;

use protocol::{Pattern, Topic};

use super::schema_file::SchemaFile;
use super::setting::settings;
use super::template::Template;
use super::units::{ByteSize, ParseError, Timespan, Url};
use super::words::words;

settings! {
    /// Where a client's command goes, and for how long it is tried.
    item CommandRoute by name {
        /// The command, such as `studio.create_blob`, or a pattern of commands, such as `studio.*`; the
        /// most specific one counts.
        name: Pattern => Live;
        /// `nats:SUBJECT`, an `http://` or `https://` URL, or `handler` for a connected client.
        to: Backend => Live;
        /// The JSON that is posted to a URL instead of the call, for a service that has its own form:
        /// `"${/name}"` stands for what this JSON pointer finds in the command's data.
        body: Option<Template>, unset "the call: command, data, user, client and id" => Live;
        /// How long the client waits; covers all tries.
        timeout: Timespan = Timespan::from_secs(5),
            within Timespan::from_ms(1)..=Timespan::from_hours(1) => Live;
        /// Largest answer that is taken from a backend over HTTP or NATS.
        answer_bytes: ByteSize = ByteSize::from_mib(1),
            within ByteSize::from_kib(1)..=ByteSize::from_mib(64) => Live;
        /// How often it is tried, where another try is safe.
        retry: Retry = Retry::default() => Live;
        /// When a backend that fails is left alone.
        breaker: Breaker = Breaker::default() => Live;
    }

    /// How often a command is tried.
    section Retry {
        /// Tries in all.
        attempts: u32 = 3, within 1..=100 => Live;
    }

    /// When a backend that fails is left alone, and for how long.
    section Breaker {
        /// Failures in a row that open the breaker.
        failures: u32 = 10, within 1..=1_000_000 => Live;
        /// How long it stays open.
        open: Timespan = Timespan::from_secs(30),
            within Timespan::from_ms(1)..=Timespan::from_hours(24) => Live;
    }

    /// Where events come in from besides publishing.
    item Source {
        /// What brings events: NATS subjects, Redis channels and streams, the figures of this host
        /// (CPU, memory, GPU), or what happens to this server and beside it.
        kind: SourceKind => Restart;
        /// `nats`: the subjects. One that several of them match comes once.
        subjects: Vec<Pattern> = Vec::new() => Restart;
        /// `redis`: the channels, in which `*`, `?` and `[…]` stand for what they do in Redis.
        channels: Vec<String> = Vec::new() => Restart;
        /// `redis`: the keys of streams. They are read from now on, after a lost connection from where
        /// it was lost, and after a restart behind the newest of their events that is kept.
        streams: Vec<String> = Vec::new() => Restart;
        /// The prefix of its topics: with `studio`, subject `blob.created` becomes topic
        /// `studio.blob.created`; with `trainer`, host figures are `trainer.system_stats`.
        root: Option<Topic>, unset "topics are as the source names them" => Restart;
        /// `nats`, `redis`: JSON pointer to the user in the data; events without it go to nobody.
        user: Option<String>, unset "events are for everyone" => Restart;
        /// `host`: how often.
        interval: Timespan = Timespan::from_secs(2),
            within Timespan::from_ms(100)..=Timespan::from_hours(1) => Restart;
    }

    /// What data must look like, checked at publish.
    item Schema {
        /// Patterns of the topics whose data is checked.
        topics: Vec<Pattern> => Live;
        /// The file with the JSON Schema, beside the configuration file or in the working
        /// directory. References lead nowhere but into it.
        file: SchemaFile => Live;
    }
}

words! {
    /// What kind of source brings events.
    SourceKind, "a kind of source" {
        /// NATS subjects.
        Nats "nats",
        /// Redis channels or streams.
        Redis "redis",
        /// Figures of this host.
        Host "host",
        /// Connections and services that come and go.
        System "system",
    }
}

/// What answers a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A request to this NATS subject.
    Nats(String),
    /// A POST to this URL.
    Http(Url),
    /// A connected handler client.
    Handler,
}

impl FromStr for Backend {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let form =
            || ParseError::new("write `nats:SUBJECT`, a URL such as `https://…`, or `handler`");
        match text.split_once(':') {
            None if text == "handler" => Ok(Self::Handler),
            Some(("nats", subject)) if is_subject(subject) => Ok(Self::Nats(subject.to_owned())),
            Some(("http" | "https", _)) => text.parse().map(Self::Http),
            _ => Err(form()),
        }
    }
}

/// Whether something can be sent there: no wildcards, no empty tokens.
fn is_subject(text: &str) -> bool {
    let is_token = |token: &str| {
        !token.is_empty()
            && !matches!(token, "*" | ">")
            && !token.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
    };
    text.split('.').all(is_token)
}

impl Backend {
    /// What kind it is, without its address.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nats(_) => "nats",
            Self::Http(_) => "http",
            Self::Handler => "handler",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nats(subject) => write!(f, "nats:{subject}"),
            Self::Http(url) => url.fmt(f),
            Self::Handler => f.write_str("handler"),
        }
    }
}

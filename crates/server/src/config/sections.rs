use std::net::SocketAddr;
use std::path::PathBuf;

use super::secret::SecretVariable;
use super::setting::settings;
use super::units::{ByteSize, HostName, Timespan, Url};
use super::words::words;

settings! {
    /// Where the server listens.
    section Listen {
        /// The address for clients: endpoints, SSE, history, `/healthz`.
        public: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)) => Restart;
        /// The address for publishing, the admin API and metrics.
        /// Must be loopback unless `admin.token_env` is set.
        admin: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8081)) => Restart;
        /// Host names that requests may carry besides the listener's own address and `localhost`.
        /// Others are refused with 421 on loopback listeners, and everywhere once a name is given.
        hosts: Vec<HostName> = Vec::new() => Live;
        /// Certificate and key of the public listener.
        tls: Option<Tls>, unset "no TLS" => Live;
    }

    /// Certificate and key, as PEM files.
    item Tls {
        /// The file with the certificate chain.
        cert: PathBuf => Live;
        /// The file with the private key.
        key: PathBuf => Live;
    }

    /// Who may use the admin listener.
    section Admin {
        /// The environment variable that holds the admin token.
        token_env: Option<SecretVariable>, unset "no token; the admin listener must be loopback"
            => Live;
    }

    /// What is logged, on standard error.
    section Log {
        /// The least important level that is logged.
        level: LogLevel = LogLevel::Info => Live;
        /// Lines for people, or one JSON object per line.
        format: LogFormat = LogFormat::Text => Restart;
    }

    /// How the server process runs.
    section Server {
        /// Worker threads; each owns its share of the clients.
        workers: Option<u32>, unset "one per core", within 1..=1_024 => Restart;
        /// How long a new connection may take until its request is complete.
        handshake_deadline: Timespan = Timespan::from_secs(5),
            within Timespan::from_ms(100)..=Timespan::from_mins(5) => Live;
        /// Most bytes of a request's line and headers.
        handshake_bytes: ByteSize = ByteSize::from_kib(16),
            within ByteSize::from_kib(1)..=ByteSize::from_mib(1) => Live;
        /// How long a client may take nothing of an answer over HTTP that waits for it.
        answer_deadline: Timespan = Timespan::from_secs(30),
            within Timespan::from_ms(100)..=Timespan::from_mins(10) => Live;
        /// How long a client is kept that takes nothing, while its TCP still answers.
        slow_timeout: Timespan = Timespan::from_mins(10),
            within Timespan::from_secs(1)..=Timespan::from_hours(24) => Live;
        /// How long a shutdown waits for clients to leave.
        drain_deadline: Timespan = Timespan::from_secs(30),
            within Timespan::from_ms(0)..=Timespan::from_hours(1) => Live;
    }

    /// Bounds of this server as a whole. Endpoints set those of their clients.
    section Limits {
        /// Most connected clients; more are refused with 503 before the upgrade.
        connections: u32 = 100_000, within 1..=10_000_000 => Live;
        /// Most connections that have not finished their handshake or leave an answer unread; with
        /// more, the oldest is ended.
        handshakes: u32 = 10_000, within 1..=1_000_000 => Live;
        /// Largest message from a client, where its endpoint doesn't say; a larger one closes 1009.
        message_bytes: ByteSize = ByteSize::from_mib(1),
            within ByteSize::from_kib(1)..=ByteSize::from_mib(64) => Live;
        /// Most patterns that a client subscribes to, where its endpoint doesn't say.
        subscriptions: u32 = 1_000, within 1..=100_000 => Live;
        /// Most different filters that a client subscribes with: each judges every event of its
        /// topics.
        filters: u32 = 100, within 1..=10_000 => Restart;
        /// Largest data of an event; a larger one is refused with `too_large`.
        event_bytes: ByteSize = ByteSize::from_mib(1),
            within ByteSize::from_kib(1)..=ByteSize::from_mib(64) => Live;
        /// Largest body of a request to the admin listener.
        body_bytes: ByteSize = ByteSize::from_mib(8),
            within ByteSize::from_kib(1)..=ByteSize::from_mib(256) => Live;
        /// Most events in one publish request.
        publish_events: u32 = 1_000, within 1..=100_000 => Live;
        /// Most clients that are remembered after they dropped, where an endpoint sets `remember`;
        /// with more, the one whose time is over first begins anew.
        remembered: u32 = 100_000, within 1..=10_000_000 => Live;
        /// Most memory for what remembered clients subscribe to; beyond it likewise.
        remembered_bytes: ByteSize = ByteSize::from_mib(64),
            within ByteSize::from_kib(1)..=ByteSize::from_mib(4_096) => Live;
        /// Most devices of which a stream keeps how far they have acknowledged; with more, the one
        /// that did not use it for longest is forgotten and begins with the first kept event.
        cursors: u32 = 100_000, within 1..=10_000_000 => Restart;
        /// How long a stream keeps how far a device has acknowledged that does not come back.
        cursor_age: Timespan = Timespan::from_hours(24 * 30),
            within Timespan::from_secs(1)..=Timespan::from_hours(24 * 366) => Restart;
        /// Memory per stream for its newest events, which clients that keep up are served from.
        tail_bytes: ByteSize = ByteSize::from_mib(16),
            within ByteSize::from_kib(64)..=ByteSize::from_mib(4_096) => Restart;
    }

    /// Where events are appended, ordered and kept.
    section Broker {
        /// Within this server, or a remote part that several servers share.
        kind: BrokerKind = BrokerKind::Embedded => Restart;
        /// The directory in which the embedded broker keeps events.
        dir: Option<PathBuf>, unset "events are kept in memory" => Restart;
    }

    /// The NATS server for the broker, sources and commands.
    section Nats {
        /// Its URL, such as `nats://127.0.0.1:4222`.
        url: Option<Url>, unset "no NATS server" => Restart;
    }

    /// The Redis server for the broker and sources.
    section Redis {
        /// Its URL, such as `redis://127.0.0.1:6379`.
        url: Option<Url>, unset "no Redis server" => Restart;
    }
}

words! {
    /// How important a log line is.
    LogLevel, "a log level" {
        /// What needs someone to act.
        Error "error",
        /// What is odd, and what happens about it.
        Warn "warn",
        /// The story of the server: start, reload, drain.
        Info "info",
        /// The story of each connection.
        Debug "debug",
        /// Every step.
        Trace "trace",
    }

    /// How log lines are written.
    LogFormat, "a log format" {
        /// For people.
        Text "text",
        /// For machines: one object per line.
        Json "json",
    }

    /// Which broker keeps events.
    BrokerKind, "a broker" {
        /// Within this server: in memory, or durable in a directory.
        Embedded "embedded",
        /// NATS JetStream.
        Nats "nats",
        /// Redis streams.
        Redis "redis",
    }
}

impl Server {
    /// Worker threads to start: as configured, or one per core.
    pub fn worker_count(&self) -> usize {
        let configured = self.workers.and_then(|workers| usize::try_from(workers).ok());
        configured
            .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
            .unwrap_or(1)
    }
}

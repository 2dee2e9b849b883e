use std::sync::atomic::{AtomicU64, Ordering};

use engine::Counters;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use serde_json::{Map, Value};

use crate::commands::{CommandFigures, Commands};
use crate::nats::Nats;
use crate::node::Node;

/// What is counted beside the workers: never on the way of a delivery.
#[derive(Default)]
pub struct Metrics {
    published: AtomicU64,
    closed: AtomicU64,
    connected_ms: AtomicU64,
    accept_failures: AtomicU64,
    /// What sources brought.
    pub(crate) sources: OfSources,
}

/// What is counted of sources.
#[derive(Default)]
pub(crate) struct OfSources {
    /// Events that were taken.
    pub(crate) events: AtomicU64,
    /// Messages without the user that they should be for.
    pub(crate) without_user: AtomicU64,
    /// Messages that cannot be events.
    pub(crate) refused: AtomicU64,
    /// Messages for which there was no room.
    pub(crate) dropped: AtomicU64,
    /// Times that a connection to Redis was lost.
    pub(crate) redis_disconnects: AtomicU64,
}

impl Metrics {
    pub(crate) fn published(&self, events: u64) {
        self.published.fetch_add(events, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self, connected_ms: u64) {
        self.closed.fetch_add(1, Ordering::Relaxed);
        self.connected_ms.fetch_add(connected_ms, Ordering::Relaxed);
    }

    pub(crate) fn accept_failed(&self) {
        self.accept_failures.fetch_add(1, Ordering::Relaxed);
    }
}

/// Every figure at one moment.
pub(crate) struct Figures {
    workers: Counters,
    socket_writes: u64,
    connections: u64,
    published: u64,
    closed: u64,
    connected_ms: u64,
    accept_failures: u64,
    source_events: u64,
    source_without_user: u64,
    source_refused: u64,
    source_dropped: u64,
    nats_connected: u64,
    nats_disconnects: u64,
    redis_connected: u64,
    redis_disconnects: u64,
    uptime_ms: u64,
    resident_bytes: u64,
    kept_events: u64,
    kept_bytes: u64,
    lag_events: u64,
    outbox_bytes: u64,
    slow_clients: u64,
    waiting_publishers: u64,
    remembered: u64,
    remembered_crowded_out: u64,
    commands: CommandFigures,
}

impl Figures {
    /// Asks everyone for theirs.
    pub(crate) async fn gather(node: &Node) -> Self {
        let answers = node
            .ask_all(|shell| {
                let mut of_clients = (0, 0, 0);
                let views = shell.engine.clients().filter_map(|key| shell.engine.view(key));
                for view in views {
                    of_clients.0 = view.lag_events.max(of_clients.0);
                    of_clients.1 += view.outbox_bytes as u64;
                    of_clients.2 += u64::from(view.outbox_bytes > 0);
                }
                let waiting = shell.waiting_publishers();
                (*shell.engine.counters(), shell.writes, of_clients, waiting)
            })
            .await;
        let mut figures = Self::of_node(node);
        for (counters, writes, (lag_events, outbox_bytes, slow_clients), waiting) in answers {
            figures.add(&counters);
            figures.socket_writes += writes;
            figures.lag_events = figures.lag_events.max(lag_events);
            figures.outbox_bytes += outbox_bytes;
            figures.slow_clients += slow_clients;
            figures.waiting_publishers += waiting;
        }
        figures
    }

    fn of_node(node: &Node) -> Self {
        let metrics = &node.metrics;
        let sources = &metrics.sources;
        let states = node.table.indexes().filter_map(|at| node.broker.state(at));
        let (remembered, remembered_crowded_out) = node.absent.counts();
        let (mut kept_events, mut kept_bytes) = (0, 0);
        for state in states {
            kept_events += (state.last + 1).saturating_sub(state.first);
            kept_bytes += state.bytes;
        }
        Self {
            socket_writes: 0,
            workers: Counters::default(),
            connections: node.registry.len() as u64,
            published: metrics.published.load(Ordering::Relaxed),
            closed: metrics.closed.load(Ordering::Relaxed),
            connected_ms: metrics.connected_ms.load(Ordering::Relaxed),
            accept_failures: metrics.accept_failures.load(Ordering::Relaxed),
            source_events: sources.events.load(Ordering::Relaxed),
            source_without_user: sources.without_user.load(Ordering::Relaxed),
            source_refused: sources.refused.load(Ordering::Relaxed),
            source_dropped: sources.dropped.load(Ordering::Relaxed)
                + node.nats.as_ref().map_or(0, Nats::lost),
            nats_connected: node.nats.as_ref().is_some_and(Nats::is_connected).into(),
            nats_disconnects: node.nats.as_ref().map_or(0, Nats::disconnects),
            redis_connected: node.services.is_running("redis").into(),
            redis_disconnects: sources.redis_disconnects.load(Ordering::Relaxed),
            uptime_ms: node.uptime_ms(),
            resident_bytes: resident_bytes(),
            kept_events,
            kept_bytes,
            lag_events: 0,
            outbox_bytes: 0,
            slow_clients: 0,
            waiting_publishers: 0,
            remembered,
            remembered_crowded_out,
            commands: Commands::figures(node),
        }
    }

    fn add(&mut self, other: &Counters) {
        let sum = &mut self.workers;
        sum.deliveries += other.deliveries;
        sum.bytes_out += other.bytes_out;
        sum.bursts += other.bursts;
        sum.events_read += other.events_read;
        sum.renderings += other.renderings;
        sum.commands += other.commands;
        sum.gaps += other.gaps;
        sum.stalls += other.stalls;
        sum.pages += other.pages;
        sum.errors += other.errors;
    }
}

/// Resident memory of the process, in bytes; 0 where the system does not say (proc(5)).
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Whether a figure only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// A row of the one table of metrics.
struct Row {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    value: fn(&Figures) -> u64,
}

macro_rules! rows {
    ($($kind:ident $name:literal $help:literal $value:expr;)*) => {
        const ROWS: &[Row] = &[$(Row {
            name: $name, help: $help, kind: Kind::$kind, value: $value,
        },)*];
    };
}

rows! {
    Gauge "connections" "Clients that are connected" |f| f.connections;
    Counter "connections_closed" "Clients that have left" |f| f.closed;
    Counter "connected_milliseconds" "Time that clients who have left were connected" |f| f.connected_ms;
    Counter "accept_failures" "Times that connections could not be accepted" |f| f.accept_failures;
    Counter "events_published" "Events published over HTTP and by sources" |f| f.published;
    Counter "source_events" "Events that came from NATS and Redis" |f| f.source_events;
    Counter "source_without_user" "Messages of sources that went to nobody, as they name no user where the source has `user`" |f| f.source_without_user;
    Counter "source_refused" "Messages of sources that cannot be events: a topic that breaks a rule, data that are too large or not what a schema wants" |f| f.source_refused;
    Counter "source_dropped" "Messages of sources that were lost because the broker was behind" |f| f.source_dropped;
    Gauge "nats_connected" "Whether NATS answers: 1 or 0" |f| f.nats_connected;
    Counter "nats_disconnects" "Times that the connection to NATS was lost" |f| f.nats_disconnects;
    Gauge "redis_connected" "Whether Redis answers: 1 or 0" |f| f.redis_connected;
    Counter "redis_disconnects" "Times that a connection to Redis was lost" |f| f.redis_disconnects;
    Counter "events_read" "Events that workers read from streams, each worker counted" |f| f.workers.events_read;
    Counter "bursts" "Bursts of events that workers read" |f| f.workers.bursts;
    Counter "socket_writes" "Writes to clients' sockets, each with all that was due" |f| f.socket_writes;
    Counter "renderings" "Events that were made into bytes" |f| f.workers.renderings;
    Counter "deliveries" "Events that were put into clients' writes" |f| f.workers.deliveries;
    Counter "bytes_out" "Bytes that clients' connections took" |f| f.workers.bytes_out;
    Counter "messages_in" "Commands of clients" |f| f.workers.commands;
    Counter "errors" "Errors that clients were told" |f| f.workers.errors;
    Counter "gaps" "Gaps that clients were told" |f| f.workers.gaps;
    Counter "stalls" "Times that a client fell behind because its write was full" |f| f.workers.stalls;
    Counter "pages_read" "Pages read from the broker" |f| f.workers.pages;
    Gauge "slow_clients" "Clients with a write that is not taken yet" |f| f.slow_clients;
    Gauge "waiting_publishers" "Clients that are not read because what they published or called waits: for the broker, for an answer, or for the consumers of a stream with `wait_for`" |f| f.waiting_publishers;
    Gauge "outbox_bytes" "Bytes in clients' writes" |f| f.outbox_bytes;
    Gauge "lag_events" "Events that the client that is furthest behind has still to catch up with" |f| f.lag_events;
    Gauge "remembered_clients" "Clients that dropped and get back what they had when they return" |f| f.remembered;
    Counter "remembered_crowded_out" "Clients that dropped and were forgotten before their time, as there were too many" |f| f.remembered_crowded_out;
    Counter "command_calls_succeeded" "Commands that were answered with a result" |f| f.commands.succeeded;
    Counter "command_calls_failed" "Commands that were answered with an error of their backend" |f| f.commands.failed;
    Counter "command_calls_timed_out" "Commands that were not answered in time" |f| f.commands.timed_out;
    Counter "command_calls_unhandled" "Commands whose backend was not there, went away or was left alone" |f| f.commands.unhandled;
    Counter "command_calls_refused" "Commands for which there was no room, here or in their backend" |f| f.commands.refused;
    Counter "command_call_milliseconds" "Time that commands took until they were answered, all tries together" |f| f.commands.milliseconds;
    Counter "command_retries" "Times that a command was tried again" |f| f.commands.retries;
    Gauge "command_calls_in_flight" "Commands that are being carried out" |f| f.commands.in_flight;
    Gauge "command_breakers_open" "Routes of commands whose backend is left alone, or being probed" |f| f.commands.breakers_open;
    Gauge "command_handlers" "Connected clients that handle commands" |f| f.commands.handlers;
    Gauge "kept_events" "Events that streams keep" |f| f.kept_events;
    Gauge "kept_bytes" "Bytes of the events that streams keep" |f| f.kept_bytes;
    Gauge "resident_bytes" "Resident memory of the process" |f| f.resident_bytes;
    Gauge "uptime_milliseconds" "Time since the start" |f| f.uptime_ms;
}

/// The figures as a JSON object.
pub(crate) fn push_json(figures: &Figures) -> Vec<u8> {
    let values: Map<String, Value> =
        ROWS.iter().map(|row| (row.name.to_owned(), (row.value)(figures).into())).collect();
    Value::Object(values).to_string().into_bytes()
}

/// The figures in the OpenMetrics text format, with the prefix `tidings_`.
pub(crate) fn push_prometheus(figures: &Figures) -> String {
    let mut registry = Registry::with_prefix("tidings");
    for row in ROWS {
        let value = (row.value)(figures);
        match row.kind {
            Kind::Counter => registry.register(row.name, row.help, ConstCounter::new(value)),
            Kind::Gauge => {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                registry.register(row.name, row.help, ConstGauge::new(value));
            }
        }
    }
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

const INTRODUCTION: &str = "\
# Metrics

<!-- Derived from the table of metrics in `crates/server/src/metrics.rs`. To write it again:
     UPDATE_DOCS=1 cargo test -p tidings-server metrics_page -->

The admin listener serves them as OpenMetrics text at `/metrics`, under the names below, and as one
JSON object at `/v1/metrics`, without `tidings_` and `_total`. Counters begin at 0 with the process;
none has labels. What to watch is said in [operating](operating.md#what-to-watch).

";

/// `docs/metrics.md`: every metric with kind and meaning.
pub fn reference_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    page += "| metric | kind | meaning |\n| --- | --- | --- |\n";
    for row in ROWS {
        let (kind, total) = match row.kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
        };
        page += &format!("| `tidings_{}{total}` | {kind} | {}. |\n", row.name, row.help);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `UPDATE_DOCS` set, writes the page instead.
    #[test]
    fn metrics_page_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let page = reference_markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == page,
            "docs/metrics.md differs from the table of metrics; to write it again: \
             UPDATE_DOCS=1 cargo test -p tidings-server metrics_page"
        );
    }
}

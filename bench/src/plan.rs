use std::time::Duration;

use anyhow::Result;

use crate::targets::{Running, Target, Wishes};
use crate::workloads::Figures;
use crate::workloads::fanout::Fanout;
use crate::workloads::idle::Idle;
use crate::workloads::reconnect::Reconnect;
use crate::workloads::routing::{OTHERS_PER_CLIENT, Routing};
use crate::workloads::saturate::Saturate;
use crate::workloads::stalled::Stalled;

/// One workload of a comparison.
pub(crate) struct Plan {
    /// Its name on the command line and in results.
    pub(crate) name: &'static str,
    /// What it does, for people.
    pub(crate) title: &'static str,
    /// The figures that its table shows, the one that ratios are made of first.
    pub(crate) columns: &'static [&'static str],
    /// Whether the first figure is better the higher it is.
    pub(crate) more_is_better: bool,
    /// Who takes part.
    pub(crate) takes: fn(&dyn Target) -> bool,
    /// Compress.
    pub(crate) deflate: bool,
    /// Subscriptions of one client, where more than usual.
    pub(crate) subscriptions: Option<usize>,
    /// Whether a server that is pinned to one core shows anything.
    pub(crate) is_pinned_too: bool,
    load: Load,
}

#[derive(Clone, Copy)]
enum Load {
    Fanout { clients: usize, rate: u32, bytes: usize, words: bool },
    Saturate { outstanding: u64 },
    Idle,
    Reconnect,
    Routing { others: usize },
    Stalled { stalls: bool },
}

impl Plan {
    /// Runs it for about `time`.
    pub(crate) fn run(&self, server: &Running<'_>, time: Duration) -> Result<Figures> {
        match self.load {
            Load::Fanout { clients, rate, bytes, words } => {
                Fanout { clients, rate, bytes, time, words }.run(server)
            }
            Load::Saturate { outstanding } => {
                Saturate { clients: 200, outstanding, time }.run(server)
            }
            Load::Idle => Idle { clients: 5_000 }.run(server),
            Load::Reconnect => Reconnect { clients: 2_000, missed: 100 }.run(server),
            Load::Routing { others } => {
                let (clients, topics, rate) = (2_000, 500, 2_000);
                Routing { clients, topics, rate, others, time }.run(server)
            }
            Load::Stalled { stalls } => {
                Stalled { clients: 200, rate: 200, time, stalls }.run(server)
            }
        }
    }

    pub(crate) fn wishes(&self, core: Option<usize>) -> Wishes {
        Wishes { core, deflate: self.deflate, subscriptions: self.subscriptions }
    }
}

const DELIVERY: &[&str] =
    &["cpu_us_per_delivery", "p50_ms", "p99_ms", "deliveries_per_s", "load_busy_cores"];

const fn fanout(name: &'static str, title: &'static str, clients: usize, rate: u32) -> Plan {
    Plan {
        name,
        title,
        columns: DELIVERY,
        more_is_better: false,
        takes: |_| true,
        deflate: false,
        subscriptions: None,
        is_pinned_too: true,
        load: Load::Fanout { clients, rate, bytes: 128, words: false },
    }
}

/// Every workload, in the order in which they run.
pub(crate) fn all() -> Vec<Plan> {
    let kibibyte = Load::Fanout { clients: 1_000, rate: 50, bytes: 1_024, words: true };
    let usual = || fanout("", "", 0, 0);
    vec![
        fanout("fanout-50", "P1: 1,000 clients, 50 events/s of 128 bytes to each", 1_000, 50),
        fanout("fanout-200", "P1: 1,000 clients, 200 events/s of 128 bytes to each", 1_000, 200),
        Plan {
            name: "saturate",
            title: "P2: 200 clients, 32 events outstanding",
            columns: &["deliveries_per_s", "cpu_us_per_delivery", "p50_ms", "load_busy_cores"],
            more_is_better: true,
            load: Load::Saturate { outstanding: 32 },
            ..usual()
        },
        Plan {
            name: "single",
            title: "P3: 200 clients, one event outstanding",
            columns: &["cpu_us_per_delivery", "p50_ms", "p99_ms", "deliveries_per_s"],
            load: Load::Saturate { outstanding: 1 },
            ..usual()
        },
        Plan {
            name: "idle",
            title: "P4: 5,000 clients that are subscribed and hear nothing",
            columns: &[
                "bytes_per_client",
                "connects_per_s",
                "cpu_us_per_connect",
                "idle_cpu_cores",
            ],
            takes: |target| !target.is_floor(),
            load: Load::Idle,
            ..usual()
        },
        Plan {
            name: "reconnect",
            title: "P5: 2,000 clients drop at once and come back (with 100 missed events each, \
                    where they can)",
            columns: &["back_ms", "cpu_ms", "missed_events"],
            load: Load::Reconnect,
            ..usual()
        },
        Plan {
            name: "routing",
            title: "P6: 2,000 clients on 500 topics, 2,000 events/s",
            load: Load::Routing { others: 0 },
            ..usual()
        },
        Plan {
            name: "routing-1m",
            title: "P6: the same with 1,000,000 other subscriptions",
            takes: |target| target.resumes(),
            subscriptions: Some(OTHERS_PER_CLIENT),
            load: Load::Routing { others: 1_000_000 },
            ..usual()
        },
        Plan {
            name: "kibibyte",
            title: "P8: 1,000 clients, 50 events/s of 1 KiB, uncompressed",
            takes: |target| target.deflates(),
            load: kibibyte,
            ..usual()
        },
        Plan {
            name: "deflate",
            title: "P8: the same, compressed",
            columns: &["cpu_us_per_delivery", "wire_bytes_per_delivery", "load_busy_cores"],
            takes: |target| target.deflates(),
            deflate: true,
            load: kibibyte,
            ..usual()
        },
        Plan {
            name: "all-read",
            title: "P9: 200 clients, 200 events/s of 8 KiB, all read",
            columns: &["p99_ms", "p50_ms", "memory_mib", "lost_by_slow"],
            takes: |target| !target.is_floor(),
            load: Load::Stalled { stalls: false },
            ..usual()
        },
        Plan {
            name: "some-stall",
            title: "P9: the same, one client in ten stops reading and comes back to it",
            columns: &["p99_ms", "p50_ms", "memory_mib", "lost_by_slow"],
            takes: |target| !target.is_floor(),
            load: Load::Stalled { stalls: true },
            ..usual()
        },
        Plan {
            is_pinned_too: false,
            ..fanout("fanout-1k", "P10: 1,000 clients, 10 events/s to each", 1_000, 10)
        },
        Plan {
            columns: &["cpu_us_per_delivery", "p50_ms", "p99_ms", "busiest_thread_share"],
            is_pinned_too: false,
            ..fanout("fanout-10k", "P10: 10,000 clients, 10 events/s to each", 10_000, 10)
        },
    ]
}

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::machine;
use crate::plot::{self, Curve};
use crate::targets::{self, Running, Tools, Wishes};
use crate::workloads::Figures;
use crate::workloads::fanout::Fanout;
use crate::workloads::routing::{OTHERS_PER_CLIENT, Routing};

/// How the cost of a delivery grows with clients, topics, other subscriptions and sizes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How often each point is measured; points are medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long a stretch of load takes.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Where results go: `growth.json` and `growth.svg`.
    #[arg(long, default_value = "build/bench")]
    output: PathBuf,
    /// The binary to measure.
    #[arg(long, default_value = "target/release/tidings")]
    binary: PathBuf,
}

/// What grows: its name, its values, and the load at each.
struct Axis {
    title: &'static str,
    label: &'static str,
    values: &'static [usize],
    load: fn(usize, Duration) -> Load,
}

enum Load {
    Fanout(Fanout),
    Routing(Routing),
}

const AXES: &[Axis] = &[
    Axis {
        title: "clients on one topic, 10 events/s to each",
        label: "clients",
        values: &[100, 300, 1_000, 3_000, 10_000],
        load: |clients, time| {
            Load::Fanout(Fanout { clients, rate: 10, bytes: 128, time, words: false })
        },
    },
    Axis {
        title: "topics, up to 1,000 clients share them, 2,000 events/s",
        label: "topics",
        values: &[1, 10, 100, 1_000, 10_000, 100_000],
        load: |topics, time| {
            let clients = topics.min(1_000);
            Load::Routing(Routing { clients, topics, rate: 2_000, others: 0, time })
        },
    },
    Axis {
        title: "other subscriptions, 500 clients on 500 topics, 2,000 events/s",
        label: "other subscriptions",
        values: &[0, 10_000, 30_000, 100_000, 300_000, 1_000_000],
        load: |others, time| {
            Load::Routing(Routing { clients: 500, topics: 500, rate: 2_000, others, time })
        },
    },
    Axis {
        title: "bytes of data, 200 clients, 50 events/s to each",
        label: "bytes",
        values: &[32, 128, 512, 2_048, 8_192, 32_768, 65_536],
        load: |bytes, time| {
            Load::Fanout(Fanout { clients: 200, rate: 50, bytes, time, words: false })
        },
    },
];

#[expect(clippy::print_stderr, reason = "progress")]
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let tools = Tools {
        tidings: std::path::absolute(&arguments.binary)?,
        peers: PathBuf::new(),
        scripts: PathBuf::new(),
    };
    let time = Duration::from_secs(arguments.seconds);
    let (mut curves, mut results) = (Vec::new(), Vec::new());
    for axis in AXES {
        eprintln!("{}", axis.title);
        let mut points = Vec::new();
        for &value in axis.values {
            let figures = point(&tools, axis, value, time, arguments.rounds)?;
            let of = |name: &str| figures.get(name).copied().unwrap_or_default();
            let (cost, p99) = (of("cpu_us_per_delivery"), of("p99_ms"));
            eprintln!("  {value} {}: {cost:.2} µs, p99 {p99:.2} ms", axis.label);
            points.push((value, cost, p99));
        }
        let shown: Vec<Value> = points
            .iter()
            .map(|(value, cost, p99)| json!({ "at": value, "cpu_us_per_delivery": cost, "p99_ms": p99 }))
            .collect();
        results.push(json!({ "title": axis.title, "points": shown }));
        curves.push(Curve { title: axis.title, label: axis.label, points });
    }
    std::fs::create_dir_all(&arguments.output)?;
    let results = json!({ "machine": machine::describe(), "curves": results });
    std::fs::write(arguments.output.join("growth.json"), format!("{results:#}\n"))?;
    plot::draw(&arguments.output.join("growth.svg"), &curves)
}

fn point(
    tools: &Tools,
    axis: &Axis,
    value: usize,
    time: Duration,
    rounds: usize,
) -> Result<Figures> {
    let target = targets::tidings();
    let mut found = Vec::new();
    for _ in 0..rounds {
        let directory = tempfile::tempdir()?;
        let wishes = Wishes { subscriptions: Some(OTHERS_PER_CLIENT), ..Wishes::default() };
        let server = Running::start(&target, tools, directory.path(), wishes)?;
        found.push(match (axis.load)(value, time) {
            Load::Fanout(load) => load.run(&server)?,
            Load::Routing(load) => load.run(&server)?,
        });
    }
    Ok(crate::compare::medians(&found))
}

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::machine;
use crate::plan::{self, Plan};
use crate::targets::{self, Running, Target, Tools};
use crate::workloads::Figures;

/// The core of a server that is pinned, and that of the load then.
const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;
/// The load was the limit where it used more than so much of a core.
const LOAD_BUSY_MAX: f64 = 0.95;

/// Every server under every workload, in turn, several times.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these workloads, by name.
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<String>,
    /// Only these servers, by a part of their names.
    #[arg(long, value_delimiter = ',')]
    targets: Vec<String>,
    /// How often each is measured; results are medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long a stretch of load takes.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Only with the server on one core and the load on another (yes), or only left to the
    /// scheduler (no).
    #[arg(long)]
    pinned: Option<Pinned>,
    /// Where results go: `results.json` and `results.md`.
    #[arg(long, default_value = "build/bench")]
    output: PathBuf,
    /// The binary to measure.
    #[arg(long, default_value = "target/release/tidings")]
    binary: PathBuf,
    /// Where the other servers were installed.
    #[arg(long, default_value = "build/peers")]
    peers: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Pinned {
    Yes,
    No,
}

/// What one server came to under one workload.
pub(crate) struct Row {
    pub(crate) target: &'static str,
    pub(crate) figures: Figures,
    /// Why there are none, in some round.
    pub(crate) failure: Option<String>,
    /// The load was what held it up.
    pub(crate) is_bound_by_load: bool,
}

/// A workload's rows.
pub(crate) struct Table<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) is_pinned: bool,
    pub(crate) rows: Vec<Row>,
}

/// All results of a run.
pub(crate) struct Results<'a> {
    pub(crate) machine: Value,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) versions: Vec<(&'static str, String)>,
    pub(crate) missing: Vec<(&'static str, String)>,
    pub(crate) tables: Vec<Table<'a>>,
}

#[expect(clippy::print_stderr, reason = "progress")]
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let absolute = |path: &PathBuf| std::path::absolute(path);
    let tools = Tools {
        tidings: absolute(&arguments.binary)?,
        peers: absolute(&arguments.peers)?,
        scripts,
    };
    let (mut versions, mut missing, mut present) = (Vec::new(), Vec::new(), Vec::new());
    let wanted = |name: &str| {
        arguments.targets.is_empty()
            || arguments.targets.iter().any(|t| name.to_lowercase().contains(&t.to_lowercase()))
    };
    for target in targets::all().into_iter().filter(|target| wanted(target.name())) {
        match target.version(&tools) {
            Ok(version) => {
                versions.push((target.name(), version));
                present.push(target);
            }
            Err(error) => missing.push((target.name(), format!("{error:#}"))),
        }
    }
    if present.is_empty() {
        bail!("nothing to measure: {missing:?}");
    }
    let plans = plan::all();
    let chosen = chosen(&plans, &arguments.workloads)?;
    let mut results = Results {
        machine: machine::describe(),
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        versions,
        missing,
        tables: Vec::new(),
    };
    let time = Duration::from_secs(arguments.seconds);
    for plan in chosen {
        for is_pinned in [true, false] {
            let is_wanted = match arguments.pinned {
                Some(pinned) => (pinned == Pinned::Yes) == is_pinned,
                None => plan.is_pinned_too || !is_pinned,
            };
            if !is_wanted {
                continue;
            }
            eprintln!("{} ({})", plan.title, if is_pinned { "pinned" } else { "unpinned" });
            machine::pin(is_pinned.then_some(LOAD_CORE))?;
            let table = measure(plan, is_pinned, &present, &tools, arguments.rounds, time)?;
            results.tables.push(table);
            crate::report::write(&arguments.output, &results)?;
        }
    }
    eprintln!("results are in {}", arguments.output.display());
    Ok(())
}

fn chosen<'a>(plans: &'a [Plan], names: &[String]) -> Result<Vec<&'a Plan>> {
    if names.is_empty() {
        return Ok(plans.iter().collect());
    }
    let find = |name: &String| {
        let known = || plans.iter().map(|plan| plan.name).collect::<Vec<_>>().join(", ");
        plans
            .iter()
            .find(|plan| plan.name == name)
            .with_context(|| format!("there is no workload {name}; there are {}", known()))
    };
    names.iter().map(find).collect()
}

/// Servers in turn, several times, so that what the machine does meanwhile meets all of them.
#[expect(clippy::print_stderr, reason = "progress")]
fn measure<'a>(
    plan: &'a Plan,
    is_pinned: bool,
    present: &[Box<dyn Target>],
    tools: &Tools,
    rounds: usize,
    time: Duration,
) -> Result<Table<'a>> {
    let takes_part: Vec<&dyn Target> =
        present.iter().map(|target| &**target).filter(|target| (plan.takes)(*target)).collect();
    let mut found: Vec<(Vec<Figures>, Option<String>)> =
        takes_part.iter().map(|_| Default::default()).collect();
    for round in 0..rounds {
        for (target, (figures, failure)) in takes_part.iter().zip(&mut found) {
            // Who could not do it once is spared the wait for another failure.
            if failure.is_some() {
                continue;
            }
            let directory = tempfile::tempdir()?;
            let wishes = plan.wishes(is_pinned.then_some(SERVER_CORE));
            let outcome = Running::start(*target, tools, directory.path(), wishes)
                .and_then(|server| plan.run(&server, time));
            match outcome {
                Ok(found) => {
                    let first = plan.columns.first().copied().unwrap_or_default();
                    let value = found.get(first).copied().unwrap_or_default();
                    eprintln!("  {}. {}: {first} {value:.3}", round + 1, target.name());
                    figures.push(found);
                }
                Err(error) => {
                    eprintln!("  {}. {}: {error:#}", round + 1, target.name());
                    *failure = Some(format!("{error:#}"));
                }
            }
        }
    }
    let rows = takes_part.iter().zip(found).map(|(target, (figures, failure))| {
        let figures = medians(&figures);
        let busy = figures.get("load_busy_cores").copied().unwrap_or_default();
        Row { target: target.name(), is_bound_by_load: busy > LOAD_BUSY_MAX, figures, failure }
    });
    Ok(Table { plan, is_pinned, rows: rows.collect() })
}

/// The median of each figure over several rounds.
pub(crate) fn medians(rounds: &[Figures]) -> Figures {
    let mut all: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for (name, value) in rounds.iter().flatten() {
        all.entry(name).or_default().push(*value);
    }
    let median = |(name, mut values): (&'static str, Vec<f64>)| {
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.get(values.len() / 2).copied().unwrap_or_default();
        (name, middle)
    };
    all.into_iter().map(median).collect()
}

impl Results<'_> {
    /// Everything, for programs.
    pub(crate) fn to_json(&self) -> Value {
        let pairs = |pairs: &[(&str, String)]| -> Value {
            pairs.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect()
        };
        let tables: Vec<Value> = self
            .tables
            .iter()
            .map(|table| {
                let rows: Vec<Value> = table.rows.iter().map(Row::to_json).collect();
                json!({
                    "workload": table.plan.name,
                    "title": table.plan.title,
                    "pinned": table.is_pinned,
                    "rows": rows,
                })
            })
            .collect();
        json!({
            "machine": self.machine,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "versions": pairs(&self.versions),
            "missing": pairs(&self.missing),
            "tables": tables,
        })
    }
}

impl Row {
    fn to_json(&self) -> Value {
        json!({
            "target": self.target,
            "figures": self.figures,
            "failure": self.failure,
            "bound_by_load": self.is_bound_by_load,
        })
    }
}

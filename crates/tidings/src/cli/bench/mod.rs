/// Percentiles.
mod latency;
/// Those who publish and those who receive.
mod load;

use std::time::Duration;

use serde_json::json;

use super::failure::{Failure, Result};
use super::output::Output;
use super::remote::{Globals, block_on};
use load::{Found, Load};

const EXAMPLES: &str = "\
Examples:
  tidings bench
  tidings bench --connections 1000 --rate 50 --size 128 --duration 10s
  tidings bench --url https://events.example.org --publish-at endpoint --token \"$TOKEN\"

Every connection subscribes to one topic, and every event goes to all of them. Latency counts from
the time at which an event was to be published, so that a server that holds up its publishers is
not flattered. The figures contain what this program itself costs: it is one process on this
machine, and says when it was the limit.";

/// The load is the limit where it uses more than so much of its one core.
const BUSY_MAX: f64 = 0.9;

/// Put a load on a server and measure how it does
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Clients that receive
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    connections: u32,
    /// Events per second
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Bytes of each event's data
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = clap::value_parser!(u32).range(32..=1_048_576))]
    size: u32,
    /// How long events are published
    #[arg(long, value_name = "10s", default_value = "10s", value_parser = duration)]
    duration: Duration,
    /// The topic; one of its own where it is not given
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Publish at the admin listener, or over the endpoint as clients do
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = PublishAt::Admin)]
    publish_at: PublishAt,
}

/// Where events are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PublishAt {
    /// The admin listener.
    Admin,
    /// The endpoint that the clients use.
    Endpoint,
}

fn duration(text: &str) -> std::result::Result<Duration, String> {
    let span: server::config::Timespan = text.parse().map_err(|_| "such as 10s or 2m")?;
    let duration = Duration::from_millis(span.as_ms());
    let is_sane = (Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&duration);
    is_sane.then_some(duration).ok_or_else(|| "between 1s and 1h".to_owned())
}

/// Measures.
pub(crate) fn run(args: Args, globals: &Globals, out: &mut Output) -> Result {
    let topic = args.topic.clone().unwrap_or_else(|| format!("bench.p{}", std::process::id()));
    let load = Load {
        connections: args.connections,
        rate: args.rate,
        bytes: args.size as usize,
        duration: args.duration,
        publish_at: args.publish_at,
        topic,
    };
    let found = block_on(load.run(globals))?;
    print(&args, &found, out)?;
    if found.delivered < found.expected {
        let message = format!("{} deliveries did not come", found.expected - found.delivered);
        return Err(Failure::failed(message));
    }
    Ok(())
}

fn print(args: &Args, found: &Found, out: &mut Output) -> Result {
    let percentile = |part| found.latencies.percentile_ms(part);
    let (p50, p90) = (percentile(0.5), percentile(0.9));
    let (p99, p999, most) = (percentile(0.99), percentile(0.999), percentile(1.0));
    let per_second = found.delivered as f64 / found.took.as_secs_f64();
    if out.is_json() {
        let report = json!({
            "connections": args.connections,
            "connect_ms": found.connect.as_secs_f64() * 1e3,
            "published": found.published,
            "refused": found.refused,
            "delivered": found.delivered,
            "expected": found.expected,
            "gaps": found.gaps,
            "deliveries_per_second": per_second,
            "latency_ms": { "p50": p50, "p90": p90, "p99": p99, "p99.9": p999, "max": most },
            "load_busy_cores": found.busy_cores,
        });
        out.line(report.to_string())?;
        return out.flush();
    }
    out.line(format!(
        "connected  {} clients in {:.0} ms",
        args.connections,
        found.connect.as_secs_f64() * 1e3
    ))?;
    let refused = match found.refused {
        0 => String::new(),
        count => format!(", {count} refused ({})", found.refusal.as_deref().unwrap_or("")),
    };
    out.line(format!("published  {} events{refused}", found.published))?;
    let gaps = if found.gaps > 0 { format!(", {} gaps", found.gaps) } else { String::new() };
    out.line(format!(
        "delivered  {} of {}{gaps}, {per_second:.0} a second",
        found.delivered, found.expected
    ))?;
    out.line(format!(
        "latency    p50 {p50:.2} ms, p90 {p90:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, \
         max {most:.2} ms"
    ))?;
    if found.busy_cores > BUSY_MAX {
        out.line("This program was the limit: more of it, or other machines, would show more.")?;
    }
    out.flush()
}

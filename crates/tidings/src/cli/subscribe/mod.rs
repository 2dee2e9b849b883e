/// Where to start.
mod start;
/// The thread that talks to the server.
mod network;
/// How far it has come.
mod progress;
/// Events as they are printed.
pub(super) mod print;

use client::{Item, Position, Subscribe};
use protocol::dialects::native::LAST_EVENTS_MAX;
use protocol::{Mode, Start};
use tokio::sync::mpsc::error::TryRecvError;

use super::failure::{Failure, Result};
use super::output::{Output, note};
use super::remote::Globals;
use network::{News, Plan};
use print::{Form, Printer};
use progress::Progress;

/// Items that are printed before standard output is flushed, where more are there already.
const UNFLUSHED_MAX: usize = 1_000;

const EXAMPLES: &str = "\
Examples:
  tidings subscribe 'news.>'
  tidings subscribe 'news.>' 'app.*.log' --last 10 --json
  tidings subscribe 'camera.front' --latest --max-rate 2
  tidings subscribe 'news.>' --since 10m --count 100
  tidings subscribe 'words.>' --filter '{\"field\":\"/confidence\",\"op\":\"ge\",\"value\":0.8}'
  tidings subscribe 'news.>' --after default:8kq2m5d7xw0a1:42
  tidings subscribe 'news.>' --stored --device archive >> news.log

`*` stands for one token of a topic, a final `>` for one or more. A line is the time, the topic and
the data; with --json the event as the server sends it, `\"replay\":true` where it came apart from
the live order, and {\"gap\":…} for what will not come; with --raw just the data. When the connection
breaks, or an operator closes it, it is made again and goes on where it was. Ctrl-C ends with 0.";

/// Print events as they come
#[derive(clap::Args)]
#[command(
    after_help = EXAMPLES,
    group = clap::ArgGroup::new("from").args(["last", "since", "after", "stored"])
)]
pub(crate) struct Args {
    /// What to watch
    #[arg(required = true, value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Only events of whose data this holds: a filter of the protocol
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// Start with the last N events of each stream (1 to 100000)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(LAST_EVENTS_MAX)))]
    last: Option<u32>,
    /// Start so long ago (10m) or at a time (2026-01-31T12:00:00Z, 2026-01-31, ms since 1970)
    #[arg(long, value_name = "10m|TIME", value_parser = start::since)]
    since: Option<u64>,
    /// Start behind this position; may be repeated, one for each stream that the patterns reach. A
    /// stream that is not named starts at its first kept event
    #[arg(long, value_name = "STREAM:EPOCH:SEQ", value_parser = start::position)]
    after: Vec<Position>,
    /// Start behind what the device (--device) has acknowledged, or with the first kept event; what
    /// is printed is acknowledged
    #[arg(long)]
    stored: bool,
    /// Only the newest event of each topic
    #[arg(long)]
    latest: bool,
    /// Only the newest event of each topic, at most N times a second (0.001 to 1000)
    #[arg(long, value_name = "N", value_parser = rate)]
    max_rate: Option<f64>,
    /// Name this device
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// End after N events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print just the data, byte for byte, each followed by a line break
    #[arg(long)]
    raw: bool,
}

fn rate(text: &str) -> std::result::Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| Mode::is_rate(*rate));
    rate.ok_or_else(|| format!("write {}", Mode::rate_rule()))
}

/// Prints events until it is told to end.
pub(crate) fn run(args: Args, globals: &Globals, out: &mut Output) -> Result {
    if args.stored && args.device.is_none() {
        return Err(Failure::usage("--stored needs the name of a device")
            .hint("name it with --device: its place is kept under that name"));
    }
    let form = match (args.raw, out.is_json()) {
        (true, true) => return Err(Failure::usage("--raw and --json cannot be used together")),
        (true, false) => Form::Raw,
        (false, true) => Form::Json,
        (false, false) => Form::People,
    };
    if args.count == Some(0) {
        return Ok(());
    }
    let (plan, count) = (plan(&args, globals)?, args.count);
    let (mut news, talk) = network::start(plan);
    let printed = print_all(&mut news, &mut Printer::new(out, form), count);
    // Whoever talks to the server learns from this that nobody listens any more, and takes leave.
    drop(news);
    // It reports what went wrong before it ends.
    let _ = talk.join();
    printed
}

fn plan(args: &Args, globals: &Globals) -> Result<Plan> {
    let wrong = |error: client::Error| Failure::usage(error.to_string());
    let mut subscribe = Subscribe::to(&args.patterns).map_err(wrong)?;
    if let Some(filter) = &args.filter {
        let wrong = |error: client::Error| Failure::usage(format!("--{error}"));
        subscribe = subscribe.filter(filter).map_err(wrong)?;
    }
    if args.latest {
        subscribe = subscribe.latest();
    }
    if let Some(rate) = args.max_rate {
        subscribe = subscribe.max_rate(rate).map_err(wrong)?;
    }
    let start = match (args.last, args.since, args.after.as_slice()) {
        _ if args.stored => Start::Stored,
        (Some(last), ..) => Start::Last(last),
        (_, Some(since), _) => Start::Since(since),
        (_, _, []) => Start::Now,
        (_, _, after) => Start::Positions(after.to_vec()),
    };
    let url = globals.url().to_owned();
    let options = client::Options {
        device: args.device.clone(),
        token: globals.token().map(str::to_owned),
        ..client::Options::default()
    };
    Ok(Plan { url, options, subscribe, start })
}

/// Prints what comes. Standard output is flushed whenever nothing more is there at the moment.
fn print_all(news: &mut network::Inbox, printer: &mut Printer<'_>, count: Option<u64>) -> Result {
    let mut left = count;
    let mut progress = Progress::default();
    let mut unflushed = 0;
    while !news.is_ended() {
        if unflushed >= UNFLUSHED_MAX {
            flush(printer, news, &progress)?;
            unflushed = 0;
        }
        let next = match news.items.try_recv() {
            Ok(next) => next,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                flush(printer, news, &progress)?;
                unflushed = 0;
                let Some(next) = news.items.blocking_recv() else { break };
                next
            }
        };
        match next {
            News::Item(item) => {
                let is_event = matches!(item, Item::Event(_) | Item::Replay(_));
                progress.note(&item);
                printer.item(item)?;
                unflushed += 1;
                if is_event && let Some(left) = &mut left {
                    *left -= 1;
                    if *left == 0 {
                        break;
                    }
                }
            }
            News::Note(text) => {
                // In the order in which it happened, where both go to the same terminal.
                printer.flush()?;
                note(&text);
            }
            News::End(ended) => return flush(printer, news, &progress).and(ended),
        }
    }
    flush(printer, news, &progress)
}

/// What has left this program is as good as printed.
fn flush(printer: &mut Printer<'_>, news: &network::Inbox, progress: &Progress) -> Result {
    printer.flush()?;
    news.printed(progress.positions());
    Ok(())
}

use client::Error;
use client::http::percent_encoded;
use protocol::dialects::native::HISTORY_EVENTS_MAX;
use protocol::{Position, StreamName};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::{Failure, Result};
use super::output::{Output, note};
use super::remote::{Globals, Remote, Side, block_on};
use super::subscribe::print::{binary, line, one_line};

/// Events that are asked for at a time.
const PAGE: u64 = 1_000;

const EXAMPLES: &str = "\
Examples:
  tidings history news.local
  tidings history 'news.>' --limit 1000 --json
  tidings history '>' --stream default --after 42

Prints kept events that this client may see, the oldest first. Lines are as `subscribe` prints them.
Where the stream has started over since the position was noted, so that its epoch is another one,
that is told and all that is kept is printed.";

/// Print kept events
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A topic, or a pattern of topics
    topic: String,
    /// The stream, where the pattern reaches into several
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    /// Only events behind this one
    #[arg(long, value_name = "SEQ|STREAM:EPOCH:SEQ", value_parser = after)]
    after: Option<After>,
    /// At most so many events
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    limit: u64,
}

/// A place in a stream.
#[derive(Clone, Debug)]
enum After {
    Seq(u64),
    Position(Position),
}

fn after(text: &str) -> std::result::Result<After, String> {
    if let Ok(seq) = text.parse() {
        return Ok(After::Seq(seq));
    }
    Position::parse(text).map(After::Position).map_err(|error| error.message)
}

/// A part of a stream's history.
#[derive(Deserialize)]
struct Page {
    events: Vec<Box<RawValue>>,
    stream: String,
    epoch: String,
    more: bool,
}

/// What of an event people see.
#[derive(Deserialize)]
struct Event<'a> {
    topic: String,
    seq: u64,
    time: u64,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(default)]
    binary: bool,
}

/// Data that are bytes.
#[derive(Deserialize)]
struct Bytes {
    content_type: String,
    base64: String,
}

/// Prints kept events, page by page.
pub(crate) fn run(args: Args, globals: &Globals, out: &mut Output) -> Result {
    let remote = globals.remote(Side::Public)?;
    let mut query = Query::new(&args)?;
    let mut left = args.limit;
    while left > 0 {
        let page: Page = block_on(read(&remote, &query, left))?;
        query.tell_of_another_epoch(&page, out)?;
        let mut last = None;
        for text in &page.events {
            last = Some(print(text, &remote, out)?);
        }
        left = left.saturating_sub(page.events.len() as u64);
        query.stream = Some(page.stream.clone());
        query.epoch = Some(page.epoch.clone());
        // Without an event there is nothing to go on behind.
        let Some(last) = last.filter(|_| page.more) else { break };
        query.after = last;
        if left == 0 {
            out.flush()?;
            note(&format!("there is more: --after {}:{}:{last}", page.stream, page.epoch));
        }
    }
    Ok(())
}

/// Reads a page; says how to name a stream where one is missing.
async fn read(remote: &Remote, query: &Query<'_>, left: u64) -> Result<Page> {
    let page = remote.http.get(&query.path(left)).await;
    page.map_err(|error| {
        let is_about_stream = query.stream.is_none()
            && matches!(&error, Error::Refused(refusal) if refusal.code == "bad_request");
        let failure = remote.explain(error);
        if is_about_stream {
            failure.hint("name the stream with --stream; `tidings streams` lists them")
        } else {
            failure
        }
    })
}

struct Query<'a> {
    topic: &'a str,
    stream: Option<String>,
    epoch: Option<String>,
    after: u64,
}

impl<'a> Query<'a> {
    fn new(args: &'a Args) -> Result<Self> {
        let wrong = |error: protocol::Error| Failure::usage(error.message);
        protocol::Pattern::parse(&args.topic).map_err(wrong)?;
        if let Some(stream) = &args.stream {
            StreamName::parse(stream).map_err(wrong)?;
        }
        let topic = args.topic.as_str();
        let mut query = Self { topic, stream: args.stream.clone(), epoch: None, after: 0 };
        match &args.after {
            None => {}
            Some(After::Seq(seq)) => query.after = *seq,
            Some(After::Position(Position { stream, epoch, seq })) => {
                if query.stream.as_deref().is_some_and(|named| named != stream.as_str()) {
                    return Err(Failure::usage("--after and --stream name different streams"));
                }
                query.stream = Some(stream.to_string());
                query.epoch = Some(epoch.to_string());
                query.after = *seq;
            }
        }
        Ok(query)
    }

    /// Says that a page does not go on where it was asked to.
    fn tell_of_another_epoch(&self, page: &Page, out: &mut Output) -> Result {
        let Some(asked) = self.epoch.as_ref().filter(|asked| **asked != page.epoch) else {
            return Ok(());
        };
        out.flush()?;
        let Page { stream, epoch, .. } = page;
        note(&format!(
            "{stream} has started over: its epoch is {epoch}, not {asked}; all that is kept follows"
        ));
        Ok(())
    }

    fn path(&self, left: u64) -> String {
        let limit = left.min(PAGE).min(u64::from(HISTORY_EVENTS_MAX));
        let (topic, after) = (percent_encoded(self.topic), self.after);
        let mut path = format!("/v1/events?topic={topic}&after={after}&limit={limit}");
        for (name, value) in [("stream", &self.stream), ("epoch", &self.epoch)] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", percent_encoded(value)));
            }
        }
        path
    }
}

/// Prints an event and returns its seq.
fn print(text: &RawValue, remote: &Remote, out: &mut Output) -> Result<u64> {
    let strange =
        |error: serde_json::Error| remote.explain(client::Error::Protocol(error.to_string()));
    let event: Event<'_> = serde_json::from_str(text.get()).map_err(strange)?;
    if out.is_json() {
        out.json_line(text.get())?;
        return Ok(event.seq);
    }
    let data = if event.binary {
        let bytes: Bytes = serde_json::from_str(event.data.get()).map_err(strange)?;
        let padding = bytes.base64.bytes().rev().take_while(|byte| *byte == b'=').count();
        binary(&bytes.content_type, (bytes.base64.len() / 4 * 3 - padding) as u64)
    } else {
        one_line(event.data.get())
    };
    out.line(line(event.time, &event.topic, &data))?;
    Ok(event.seq)
}

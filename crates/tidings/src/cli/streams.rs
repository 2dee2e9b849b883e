use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::Result;
use super::output::{Output, cell, replace};
use super::remote::{Globals, Side, block_on};
use super::text::{size, span};

const EXAMPLES: &str = "\
Examples:
  tidings streams
  tidings streams default --json";

/// Look at streams: what they keep, and how far they have come
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this stream, with all there is to say about it
    name: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    streams: Vec<Box<RawValue>>,
}

/// Lists streams, or shows one.
pub(crate) fn run(args: Args, globals: &Globals, out: &mut Output) -> Result {
    let remote = globals.remote(Side::Admin)?;
    if let Some(name) = args.name {
        let path = format!("/v1/streams/{}", client::http::percent_encoded(&name));
        let stream: Box<RawValue> = block_on(remote.get(&path))?;
        if out.is_json() {
            return out.json_line(stream.get());
        }
        let mut stream: Value = serde_json::from_str(stream.get()).unwrap_or_default();
        replace(&mut stream, "bytes", |bytes| bytes.as_u64().map(size));
        replace(&mut stream, "retain", |retain| Some(retention(retain)));
        let first = ["name", "topics", "epoch", "first", "last", "events", "bytes", "retain"];
        return out.fields(&stream, &first);
    }
    let listed: Listed = block_on(remote.get("/v1/streams"))?;
    if out.is_json() {
        return listed.streams.iter().try_for_each(|stream| out.json_line(stream.get()));
    }
    let streams = listed.streams.iter();
    let rows: Vec<_> =
        streams.map(|s| row(&serde_json::from_str(s.get()).unwrap_or_default())).collect();
    out.table(
        &[
            "STREAM",
            "EPOCH",
            " FIRST",
            " LAST",
            " EVENTS",
            " SIZE",
            "DURABILITY",
            "RETAINS",
            "TOPICS",
        ],
        &rows,
    )
}

fn row(stream: &Value) -> Vec<String> {
    let of = |key: &str| stream.get(key).map_or_else(|| "-".into(), cell);
    let bytes = stream.get("bytes").and_then(Value::as_u64).map_or_else(|| "-".into(), size);
    let retain = stream.get("retain").unwrap_or(&Value::Null);
    let (name, epoch, durability, topics) =
        (of("name"), of("epoch"), of("durability"), of("topics"));
    let (first, last, events) = (of("first"), of("last"), of("events"));
    vec![name, epoch, first, last, events, bytes, durability, retention(retain), topics]
}

fn retention(retain: &Value) -> String {
    let bound = |key: &str| retain.get(key).and_then(Value::as_u64);
    let bounds = [
        bound("count").map(|count| format!("{count} events")),
        bound("age_ms").map(span),
        bound("bytes").map(size),
    ];
    let bounds: Vec<String> = bounds.into_iter().flatten().collect();
    if bounds.is_empty() { "everything".into() } else { bounds.join(", ") }
}

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::failure::Result;
use super::output::{Output, cell, replace};
use super::remote::{Globals, Remote, Side, block_on};
use super::text::{now_ms, size, span};

/// Cursors of devices that are shown of a stream.
const CURSORS_MAX: usize = 100;

const EXAMPLES: &str = "\
Examples:
  tidings streams
  tidings streams default --json";

/// Look at streams: what they keep, how far they have come, and which devices are behind
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this stream, with all there is to say about it, and how far devices have acknowledged it:
    /// 100 of them at most
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
        return show(&remote, &name, out);
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

/// Shows a stream, and how far devices have acknowledged it.
fn show(remote: &Remote, name: &str, out: &mut Output) -> Result {
    let path = format!("/v1/streams/{}", client::http::percent_encoded(name));
    let (text, found) = block_on(async {
        let text: Box<RawValue> = remote.get(&path).await?;
        let found: Cursors = remote.get(&format!("{path}/cursors?limit={CURSORS_MAX}")).await?;
        Ok((text, found))
    })?;
    let mut stream: Value = serde_json::from_str(text.get()).unwrap_or_default();
    let kept = Kept::of(&stream);
    if out.is_json() {
        let cursors: Vec<Value> = found.cursors.iter().map(|at| at.with_lag(&kept)).collect();
        let cursors = json!(cursors);
        // What the server said stays as it spelled it.
        let stream = text.get().strip_suffix('}').unwrap_or_default();
        let more = found.more;
        return out.json_line(&format!("{stream},\"cursors\":{cursors},\"more_cursors\":{more}}}"));
    }
    replace(&mut stream, "bytes", |bytes| bytes.as_u64().map(size));
    replace(&mut stream, "retain", |retain| Some(retention(retain)));
    let first = ["name", "topics", "epoch", "first", "last", "events", "bytes", "retain"];
    out.fields(&stream, &first)?;
    if found.cursors.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let rows: Vec<_> = found.cursors.iter().map(|cursor| cursor.row(&kept)).collect();
    out.table(&["USER", "DEVICE", " ACKNOWLEDGED", " BEHIND", " AGO", "EPOCH"], &rows)?;
    if found.more {
        out.line(format!("and more; {path}/cursors of the admin API lists all"))?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Cursors {
    cursors: Vec<Cursor>,
    more: bool,
}

/// How far a device has acknowledged.
#[derive(Deserialize)]
struct Cursor {
    user: Option<String>,
    device: String,
    epoch: String,
    seq: u64,
    at: u64,
}

/// What a stream keeps.
struct Kept {
    epoch: String,
    first: u64,
    last: u64,
}

impl Kept {
    fn of(stream: &Value) -> Self {
        let number = |key: &str| stream.get(key).and_then(Value::as_u64).unwrap_or(0);
        let epoch = stream.get("epoch").and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { epoch, first: number("first"), last: number("last") }
    }
}

impl Cursor {
    /// How many events follow it. One of another epoch goes on with the first that is kept, as does
    /// one that retention has overtaken.
    fn behind(&self, kept: &Kept) -> u64 {
        let kept_events = (kept.last + 1).saturating_sub(kept.first);
        if self.epoch != kept.epoch {
            return kept_events;
        }
        kept.last.saturating_sub(self.seq).min(kept_events)
    }

    fn with_lag(&self, kept: &Kept) -> Value {
        let Self { user, device, epoch, seq, at } = self;
        let behind = self.behind(kept);
        json!({
            "user": user, "device": device, "epoch": epoch, "seq": seq, "behind": behind, "at": at,
        })
    }

    fn row(&self, kept: &Kept) -> Vec<String> {
        let user = self.user.clone().unwrap_or_else(|| "-".into());
        let behind = self.behind(kept).to_string();
        let ago = span(now_ms().saturating_sub(self.at));
        vec![user, self.device.clone(), self.seq.to_string(), behind, ago, self.epoch.clone()]
    }
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

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::Result;
use super::output::{Output, cell, replace};
use super::remote::{Globals, Remote, Side, block_on};
use super::text::{now_ms, size, span, time};

/// Connections that are asked for at a time.
const PAGE: usize = 1_000;

const EXAMPLES: &str = "\
Examples:
  tidings connections
  tidings connections --user ada --json
  tidings connections 0198f2c34ab17c0aa4d09c3b5f6e7d81";

/// Look at who is connected
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only the connection of this id, with all there is to say about it
    id: Option<String>,
    /// Only connections of this user
    #[arg(long, value_name = "USER", conflicts_with = "id")]
    user: Option<String>,
    /// At most so many connections
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "id",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    limit: Option<u64>,
}

#[derive(Deserialize)]
struct Page {
    connections: Vec<Box<RawValue>>,
    more: bool,
}

/// Lists connections, or shows one.
pub(crate) fn run(args: Args, globals: &Globals, out: &mut Output) -> Result {
    let remote = globals.remote(Side::Admin)?;
    let Some(id) = &args.id else {
        let found = block_on(list(&remote, &args))?;
        if out.is_json() {
            return found.iter().try_for_each(|connection| out.json_line(connection.get()));
        }
        let found = found.iter().map(|text| serde_json::from_str(text.get()).unwrap_or_default());
        let rows: Vec<_> = found.map(|connection| row(&connection)).collect();
        let headings = [
            "ID",
            "USER",
            "DEVICE",
            "ADDRESS",
            "TRANSPORT",
            " SINCE",
            " IN",
            " OUT",
            " LAG",
            " LATENCY",
            "HEALTH",
            "SUBSCRIPTIONS",
        ];
        return out.table(&headings, &rows);
    };
    let path = format!("/v1/connections/{}", client::http::percent_encoded(id));
    let connection: Box<RawValue> = block_on(remote.get(&path))?;
    if out.is_json() {
        return out.json_line(connection.get());
    }
    let mut connection: Value = serde_json::from_str(connection.get()).unwrap_or_default();
    make_readable(&mut connection);
    let first = ["id", "user", "device", "address", "endpoint", "subscriptions", "positions"];
    out.fields(&connection, &first)
}

/// Times, sizes and positions as people write them.
fn make_readable(connection: &mut Value) {
    for key in ["bytes_in", "bytes_out"] {
        replace(connection, key, |bytes| bytes.as_u64().map(size));
    }
    replace(connection, "connected_at", |at| {
        let at = at.as_u64()?;
        Some(format!("{} ({} ago)", time(at), span(now_ms().saturating_sub(at))))
    });
    replace(connection, "positions", |positions| {
        let of = |position: &Value, key: &str| position.get(key).map(cell).unwrap_or_default();
        let spelled = positions.as_array()?.iter().map(|position| {
            let place = ["stream", "epoch", "seq"].map(|key| of(position, key));
            place.join(":")
        });
        let spelled: Vec<String> = spelled.collect();
        Some(if spelled.is_empty() { "-".into() } else { spelled.join(", ") })
    });
    let Some(fields) = connection.as_object_mut() else { return };
    if let Some(latency) = fields.remove("latency_ms") {
        let latency = latency.as_u64().map_or_else(|| "-".into(), |ms| format!("{ms}ms"));
        fields.insert("latency".into(), latency.into());
    }
}

async fn list(remote: &Remote, args: &Args) -> Result<Vec<Box<RawValue>>> {
    let limit = args.limit.and_then(|limit| limit.try_into().ok()).unwrap_or(usize::MAX);
    let mut found: Vec<Box<RawValue>> = Vec::new();
    let mut after = None;
    while found.len() < limit {
        let mut path = format!("/v1/connections?limit={}", PAGE.min(limit - found.len()));
        for (name, value) in [("user", &args.user), ("after", &after)] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", client::http::percent_encoded(value)));
            }
        }
        let page: Page = remote.get(&path).await?;
        after = page.connections.last().and_then(|connection| id_of(connection));
        found.extend(page.connections);
        // A page without a last id cannot be followed by another.
        if !page.more || after.is_none() {
            break;
        }
    }
    Ok(found)
}

fn id_of(connection: &RawValue) -> Option<String> {
    let connection: Value = serde_json::from_str(connection.get()).ok()?;
    connection.get("id")?.as_str().map(str::to_owned)
}

fn row(connection: &Value) -> Vec<String> {
    let of = |key: &str| connection.get(key).map_or_else(|| "-".into(), cell);
    let since = connection.get("connected_at").and_then(Value::as_u64);
    let since = since.map_or_else(|| "-".into(), |at| span(now_ms().saturating_sub(at)));
    let latency = connection.get("latency_ms").and_then(Value::as_u64);
    let latency = latency.map_or_else(|| "-".into(), |ms| format!("{ms}ms"));
    let mut row = vec![of("id"), of("user"), of("device"), of("address"), of("transport"), since];
    row.extend([of("messages_in"), of("messages_out"), of("lag"), latency]);
    row.extend([of("health"), of("subscriptions")]);
    row
}

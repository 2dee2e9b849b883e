use std::sync::Arc;

use super::{patterns, positions, some_patterns};
use crate::command::{Mode, Start, Subscribe};
use crate::dialects::native::fields::{Fields, Path, Value};
use crate::dialects::native::filter::filter;
use crate::dialects::native::{BATCH_MS_MAX, LAST_EVENTS_MAX};
use crate::error::Error;

/// Latest time of `since`, in ms: the year 287396, the last that every JSON reader keeps exactly.
const TIME_MS_MAX: u64 = (1 << 53) - 1;

/// Reads the body of a `subscribe`, which also stands in the list of a `hello`.
pub(super) fn subscribe(body: Value<'_, '_>) -> Result<Subscribe, Error> {
    let (fields, path) = (body.object("an object")?, body.path);
    let read = |value| filter(value).map(Arc::new);
    Ok(Subscribe {
        topics: some_patterns(fields.require(&path, "topics")?)?,
        except: fields.get(&path, "except").map_or(Ok(Vec::new()), patterns)?,
        filter: fields.get(&path, "filter").map(read).transpose()?,
        start: fields.get(&path, "from").map_or(Ok(Start::Now), start)?,
        mode: mode(&fields, &path)?,
    })
}

fn mode(fields: &Fields<'_>, path: &Path<'_>) -> Result<Mode, Error> {
    let mut mode = Mode::EVERY;
    if let Some(latest) = fields.get(path, "latest") {
        mode.latest = latest.boolean()?;
    }
    if let Some(rate) = fields.get(path, "max_rate") {
        // A rate is how often the newest events are read, so it implies `latest`.
        mode.latest = true;
        mode.interval_ms = Mode::interval_of_rate(rate.rate()?);
    }
    if let Some(batch) = fields.get(path, "batch_ms") {
        mode.batch = true;
        mode.interval_ms = mode.interval_ms.max(batch.small_integer(1..=BATCH_MS_MAX)?);
    }
    Ok(mode)
}

fn start(from: Value<'_, '_>) -> Result<Start, Error> {
    const WHAT: &str = r#""now", "stored", {"last":N}, {"since":ms} or {"positions":[…]}"#;
    match from.raw.get() {
        r#""now""# => return Ok(Start::Now),
        r#""stored""# => return Ok(Start::Stored),
        _ => {}
    }
    let (fields, path) = (from.object(WHAT)?, from.path);
    let last = fields.get(&path, "last");
    let since = fields.get(&path, "since");
    let named = fields.get(&path, "positions");
    match (last, since, named) {
        (Some(last), None, None) => Ok(Start::Last(last.small_integer(1..=LAST_EVENTS_MAX)?)),
        (None, Some(since), None) => Ok(Start::Since(since.integer(0..=TIME_MS_MAX)?)),
        (None, None, Some(named)) => Ok(Start::Positions(positions(named, "after")?)),
        _ => Err(from.must_be(WHAT)),
    }
}

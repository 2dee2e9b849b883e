use std::sync::Arc;

use super::{patterns, positions, some_patterns};
use crate::command::{Mode, Start, Subscribe};
use crate::dialects::native::fields::{Fields, Path, Raw, Value};
use crate::dialects::native::filter::filter;
use crate::dialects::native::{BATCH_MS_MAX, LAST_EVENTS_MAX};
use crate::error::Error;
use crate::position::SEQ_MAX;

/// Latest time of `since`, in ms: the year 287396, the last that every JSON reader keeps exactly.
const TIME_MS_MAX: u64 = (1 << 53) - 1;

/// Reads the body of a `subscribe`, which also stands in the list of a `hello`.
pub(super) fn subscribe(body: Value<'_, '_>) -> Result<Subscribe, Error> {
    let (fields, path) = (body.object("an object")?, body.path);
    let read = |value| filter(value).map(Arc::new);
    Ok(Subscribe {
        topics: some_patterns(fields.require(&path, ("topics", 1))?)?,
        except: fields.get(&path, ("except", 2)).map_or(Ok(Vec::new()), patterns)?,
        filter: fields.get(&path, ("filter", 7)).map(read).transpose()?,
        start: fields.get(&path, ("from", 3)).map_or(Ok(Start::Now), start)?,
        mode: mode(&fields, &path)?,
    })
}

fn mode(fields: &Fields<'_>, path: &Path<'_>) -> Result<Mode, Error> {
    let mut mode = Mode::EVERY;
    if let Some(latest) = fields.get(path, ("latest", 4)) {
        mode.latest = latest.boolean()?;
    }
    if let Some(rate) = fields.get(path, ("max_rate", 5)) {
        // A rate is how often the newest events are read, so it implies `latest`.
        mode.latest = true;
        mode.interval_ms = Mode::interval_of_rate(rate.rate()?);
    }
    if let Some(batch) = fields.get(path, ("batch_ms", 6)) {
        mode.batch = true;
        mode.interval_ms = mode.interval_ms.max(batch.small_integer(1..=BATCH_MS_MAX)?);
    }
    Ok(mode)
}

fn start(from: Value<'_, '_>) -> Result<Start, Error> {
    const WHAT: &str =
        r#""now", "stored", {"last":N}, {"since":ms}, {"after":seq} or {"positions":[…]}"#;
    match word(from)? {
        Some("now") => return Ok(Start::Now),
        Some("stored") => return Ok(Start::Stored),
        _ => {}
    }
    let (fields, path) = (from.object(WHAT)?, from.path);
    let last = fields.get(&path, ("last", 1));
    let since = fields.get(&path, ("since", 2));
    let named = fields.get(&path, ("positions", 3));
    let after = fields.get(&path, ("after", 5));
    match (last, since, named, after) {
        (Some(last), None, None, None) => Ok(Start::Last(last.small_integer(1..=LAST_EVENTS_MAX)?)),
        (None, Some(since), None, None) => Ok(Start::Since(since.integer(0..=TIME_MS_MAX)?)),
        (None, None, Some(named), None) => {
            Ok(Start::Positions(positions(named.enclosed()?, "after")?))
        }
        (None, None, None, Some(after)) => Ok(Start::After(after.integer(0..=SEQ_MAX)?)),
        _ => Err(from.must_be(WHAT)),
    }
}

/// What stands for a start in one word. Protobuf spells it as a message that is empty, or that has
/// the field `stored`.
fn word<'a>(from: Value<'_, 'a>) -> Result<Option<&'a str>, Error> {
    let Raw::Json(raw) = from.raw else {
        let Fields::Protobuf(message) = from.object("a message")? else { return Ok(None) };
        let stored = Fields::Protobuf(message).get(&from.path, ("stored", 4));
        return match stored {
            Some(stored) => Ok(stored.boolean()?.then_some("stored")),
            None => Ok(message.is_empty().then_some("now")),
        };
    };
    let text = raw.get();
    Ok(text.strip_prefix('"').and_then(|text| text.strip_suffix('"')))
}

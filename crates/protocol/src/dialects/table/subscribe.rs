use std::sync::Arc;

use serde_json::value::RawValue;

use super::Talk;
use super::decode::{Asked, Named, Problem, Wrong};
use super::views::View;
use crate::command::{Command, Exclude, Mode, Start, Subscribe};
use crate::dialects::native::{LAST_EVENTS_MAX, NAME_BYTES_MAX, read_filter};
use crate::dialects::spelling::incoming::{boolean, fields, integer, strings};
use crate::dialects::spelling::object::Object;
use crate::filter::Filter;
use crate::position::SEQ_MAX;

/// Most members that a client picks.
const FIELDS_MAX: usize = 32;

/// What a client wants of streams beside their names.
struct Wishes {
    mode: Mode,
    filter: Option<Arc<Filter>>,
    view: View,
}

impl Talk {
    pub(super) fn subscribe(&self, data: &Object<'_>) -> Result<(Asked, Command), Problem> {
        let Named { streams, unknown } = self.named(data, Wrong::Subscribe)?;
        let start = start(data)?;
        let Wishes { mode, filter, view } = self.wishes(data)?;
        let topics = self.vocabulary.patterns(&streams);
        let asked = Asked::Subscribe { streams, rejected: unknown, view };
        if topics.is_empty() {
            // What the client has is still to be told.
            return Ok((asked, Command::Exclude(Exclude::Named(topics))));
        }
        let except = Vec::new();
        let subscribe = Subscribe { topics, except, filter, start, mode };
        Ok((asked, Command::Include(Box::new(subscribe))))
    }

    fn wishes(&self, data: &Object<'_>) -> Result<Wishes, Problem> {
        let mut wishes = Wishes { mode: self.mode, filter: None, view: View::default() };
        let Some(filters) = given(data, "filters") else { return Ok(wishes) };
        let filters = fields(filters)
            .ok_or_else(|| wrong("data.filters must be an object whose fields stand once"))?;
        if let Some(rate) = given(&filters, "max_fps") {
            let rate = serde_json::from_str(rate.get()).ok().filter(|rate| Mode::is_rate(*rate));
            let rate = rate
                .ok_or_else(|| wrong(&format!("filters.max_fps must be {}", Mode::rate_rule())))?;
            wishes.mode.latest = true;
            wishes.mode.interval_ms = wishes.mode.interval_ms.max(Mode::interval_of_rate(rate));
        }
        if let Some(condition) = given(&filters, "where") {
            let filter = read_filter(condition.get());
            let filter = filter.map_err(|e| wrong(&format!("filters.where: {}", e.message)))?;
            wishes.filter = Some(Arc::new(filter));
        }
        wishes.view = view(&filters)?;
        Ok(wishes)
    }
}

fn view(filters: &Object<'_>) -> Result<View, Problem> {
    let names = match given(filters, "fields") {
        Some(names) => picked(names).ok_or_else(|| {
            wrong(&format!(
                "filters.fields must be a list of 1 to {FIELDS_MAX} names of at most \
                 {NAME_BYTES_MAX} bytes"
            ))
        })?,
        None => Vec::new(),
    };
    let binary = match given(filters, "binary") {
        Some(binary) => {
            boolean(binary).ok_or_else(|| wrong("filters.binary must be true or false"))?
        }
        None => false,
    };
    Ok(View::new(names, binary))
}

fn picked(names: &RawValue) -> Option<Vec<String>> {
    let names = strings(names, FIELDS_MAX).ok()?;
    let is_right = !names.is_empty() && names.iter().all(|name| name.len() <= NAME_BYTES_MAX);
    is_right.then(|| names.into_iter().map(String::from).collect())
}

fn start(data: &Object<'_>) -> Result<Start, Problem> {
    match (given(data, "last"), given(data, "since_sequence")) {
        (None, None) => Ok(Start::Now),
        (Some(last), None) => {
            let last = integer(last).filter(|last| *last <= u64::from(LAST_EVENTS_MAX));
            match last.and_then(|last| u32::try_from(last).ok()) {
                Some(0) => Ok(Start::Now),
                Some(last) => Ok(Start::Last(last)),
                None => {
                    let message = format!("data.last must be an integer up to {LAST_EVENTS_MAX}");
                    Err(wrong(&message))
                }
            }
        }
        (None, Some(since)) => {
            let since = integer(since).filter(|since| *since <= SEQ_MAX).map(Start::After);
            since.ok_or_else(|| wrong("data.since_sequence must be an integer from 0 on"))
        }
        (Some(_), Some(_)) => Err(wrong("at most one of data.last and data.since_sequence")),
    }
}

/// A field that is there and not `null`, with which many clients leave fields out.
fn given<'a>(object: &Object<'a>, name: &str) -> Option<&'a RawValue> {
    object.get(name).filter(|value| value.get() != "null")
}

fn wrong(message: &str) -> Problem {
    (Wrong::Subscribe, message.to_owned())
}

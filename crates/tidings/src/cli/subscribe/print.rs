use client::{Event, Gap, Item, Payload};
use protocol::Draft;
use protocol::dialects::native::push_event_object;
use serde_json::json;

use crate::cli::failure::Result;
use crate::cli::output::{Output, note};
use crate::cli::text::{escaped, size, time};

/// How events are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Time, topic and data on a line.
    People,
    /// The native protocol's objects, one per line.
    Json,
    /// Just the data.
    Raw,
}

/// Prints what a subscription brings.
pub(crate) struct Printer<'a> {
    out: &'a mut Output,
    form: Form,
}

impl<'a> Printer<'a> {
    pub(crate) fn new(out: &'a mut Output, form: Form) -> Self {
        Self { out, form }
    }

    /// Hands everything on.
    pub(crate) fn flush(&mut self) -> Result {
        self.out.flush()
    }

    /// Prints an item: events and gaps with the results, the rest as news of the connection.
    pub(crate) fn item(&mut self, item: Item) -> Result {
        match item {
            Item::Event(event) => self.event(event, false),
            Item::Replay(event) => self.event(event, true),
            Item::Gap(gap) => self.gap(&gap),
            Item::ReplayDone(_) => Ok(()),
            Item::ReplayLost(stream) => self.notice(&format!(
                "the connection broke before the history of {stream} came; `tidings history` reads it"
            )),
            Item::Reconnecting(error) => self.notice(&format!("{error}; connecting again")),
            Item::Reconnected => self.notice("connected again"),
        }
    }

    fn event(&mut self, event: Event, is_replay: bool) -> Result {
        match self.form {
            Form::Json => self.out.json_line(&object(event, is_replay)),
            Form::Raw => match event.payload {
                Payload::Json(bytes) | Payload::Binary { bytes, .. } => self.out.line(bytes),
            },
            Form::People => {
                let data = match &event.payload {
                    Payload::Json(text) => one_line(&String::from_utf8_lossy(text)),
                    Payload::Binary { content_type, bytes } => {
                        binary(content_type, bytes.len() as u64)
                    }
                };
                let mark = if is_replay { " (replay)" } else { "" };
                self.out.line(line(event.time_ms, event.topic.as_str(), &data) + mark)
            }
        }
    }

    fn gap(&mut self, gap: &Gap) -> Result {
        let Gap { stream, epoch, from, to, reason } = gap;
        let reason = reason.as_str();
        if self.form == Form::Json {
            let (stream, epoch) = (stream.as_str(), epoch.as_str());
            let gap = json!({
                "stream": stream, "epoch": epoch, "from": from, "to": to, "reason": reason,
            });
            return self.out.line(json!({ "gap": gap }).to_string());
        }
        // In the new epoch nothing may be missing.
        let missing = match to.checked_sub(*from) {
            None => format!("{stream} starts over ({reason})"),
            Some(0) => format!("{stream} {from} will not come ({reason})"),
            Some(_) => format!("{stream} {from} to {to} will not come ({reason})"),
        };
        if self.form == Form::Raw {
            return self.notice(&missing);
        }
        self.out.line(format!("gap: {missing}"))
    }

    /// Tells people something at the place where it happened.
    fn notice(&mut self, text: &str) -> Result {
        self.out.flush()?;
        note(text);
        Ok(())
    }
}

/// An event for people.
pub(crate) fn line(time_ms: u64, topic: &str, data: &str) -> String {
    format!("{} {} {}", time(time_ms), escaped(topic), escaped(data))
}

/// JSON text on one line.
pub(crate) fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], "")
}

/// Bytes for people.
pub(crate) fn binary(content_type: &str, bytes: u64) -> String {
    format!("<{content_type}, {}>", size(bytes))
}

/// The native protocol's object of an event.
fn object(event: Event, is_replay: bool) -> String {
    let Event { topic, stream, seq, time_ms, payload, headers, .. } = event;
    let draft = Draft { headers, ..Draft::new(topic, payload) };
    let event = protocol::Event { seq, time_ms, draft };
    let mut object = Vec::new();
    push_event_object(&stream, &event, false, &mut object);
    if is_replay {
        object.pop();
        object.extend_from_slice(b",\"replay\":true}");
    }
    // Data that came as JSON are UTF-8.
    String::from_utf8(object)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

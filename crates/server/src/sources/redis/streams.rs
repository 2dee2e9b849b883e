use std::sync::Arc;
use std::time::Duration;

use protocol::{Pattern, Publisher};
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use serde_json::Map;

use super::{Remote, name_of};
use crate::config::Source;
use crate::newest::newest_of_all;
use crate::node::Node;
use crate::sources::intake::{Intake, Message};

/// How long Redis waits for an entry before it says that there is none.
pub(super) const WAIT: Duration = Duration::from_secs(1);
/// Most entries of a stream that are read at once.
const ENTRIES_MAX: usize = 64;
/// Newest events of a topic among which one of the stream's is looked for.
const EVENTS_SEARCHED: u32 = 1_000;
/// The field of an entry that is all of its data, where it has one.
const DATA: &[u8] = b"data";

/// A stream, and how far it was read.
struct Reading {
    key: String,
    /// None before the first connection, which begins behind the newest event that is kept of it or,
    /// without one, with what comes from then on.
    last: Option<Id>,
}

/// The id of an entry: a time in ms and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u64, u64);

impl Id {
    const NONE: Self = Self(0, 0);

    fn parse(text: &[u8]) -> Option<Self> {
        let (ms, number) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self(ms.parse().ok()?, number.parse().ok()?))
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

/// An entry: fields in their order.
struct Entry {
    id: Id,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Takes what is added to the streams, for ever. Nothing more is read before the broker has taken
/// what was, and a new connection goes on where the last one was, so nothing is lost.
pub(super) async fn run(mut remote: Remote, node: Arc<Node>, source: Arc<Source>) {
    let intake = Intake::new(node, source.clone());
    let mut readings: Vec<Reading> =
        source.streams.iter().map(|key| Reading { key: key.clone(), last: None }).collect();
    loop {
        let Err(error) = read(&mut remote, &mut readings, &intake).await else { continue };
        remote.down(&error, &intake).await;
    }
}

/// Reads until the connection fails.
async fn read(remote: &mut Remote, readings: &mut [Reading], intake: &Intake) -> RedisResult<()> {
    let mut connection = remote.connect(&remote.config()).await?;
    for reading in readings.iter_mut() {
        if reading.last.is_none() {
            reading.last = kept(intake, &reading.key).await;
        }
        locate(&mut connection, reading).await?;
    }
    remote.up();
    loop {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(ENTRIES_MAX).arg("BLOCK").arg(WAIT.as_millis() as u64);
        command.arg("STREAMS");
        command.arg(readings.iter().map(|reading| reading.key.as_str()).collect::<Vec<_>>());
        for reading in readings.iter() {
            command.arg(reading.last.unwrap_or(Id::NONE).to_string());
        }
        for (key, entries) in streams_of(command.query_async(&mut connection).await?) {
            let Some(reading) = readings.iter_mut().find(|it| it.key.as_bytes() == key) else {
                continue;
            };
            let root = intake.root();
            let last = entries.iter().map(|entry| entry.id).max();
            let drafts = entries.into_iter().filter_map(|it| intake.draft(message(root, &key, it)));
            intake.publish(drafts.collect()).await;
            reading.last = last.max(reading.last);
        }
    }
}

/// The last entry that became an event before the server was started, where the event is among the
/// newest that are kept of its topic.
async fn kept(intake: &Intake, key: &str) -> Option<Id> {
    let (root, name) = (intake.root(), name_of(key.as_bytes()));
    let topic = if root.is_empty() { name } else { format!("{root}.{name}") };
    let topic = Pattern::parse(&topic).ok()?;
    let newest = loop {
        match newest_of_all(intake.node(), &topic, EVENTS_SEARCHED).await {
            Ok(newest) => break newest,
            Err(error) => tracing::warn!(key, %error, "where to read on is not known yet"),
        }
        tokio::time::sleep(WAIT).await;
    };
    // Clients may publish there, too, with whatever ids they like.
    let own = newest.iter().rev().filter(|event| event.draft.publisher == Publisher::Admin);
    let prefix = prefix_of(root, key);
    own.filter_map(|event| event.draft.id.as_deref()?.strip_prefix(&prefix))
        .find_map(|id| Id::parse(id.as_bytes()))
}

/// What the ids of a stream's events begin with.
fn prefix_of(root: &str, key: &str) -> String {
    format!("{root}:{key}:")
}

/// Finds out from where to read a stream.
async fn locate(connection: &mut MultiplexedConnection, reading: &mut Reading) -> RedisResult<()> {
    let kind: String = redis::cmd("TYPE").arg(&reading.key).query_async(connection).await?;
    let newest = if kind == "none" {
        Id::NONE
    } else {
        // A key that is no stream is an error that says so.
        let mut about = redis::cmd("XINFO");
        about.arg("STREAM").arg(&reading.key);
        let about: Vec<Value> = about.query_async(connection).await?;
        let is_newest = |pair: &&[Value]| text(pair.first()) == Some(b"last-generated-id");
        let newest = about.chunks(2).find(is_newest).and_then(|pair| text(pair.get(1)));
        newest.and_then(Id::parse).unwrap_or(Id::NONE)
    };
    match reading.last {
        None => reading.last = Some(newest),
        Some(last) if newest < last => {
            let key = &reading.key;
            tracing::warn!(key, %last, %newest, "a stream of Redis began anew; all of it is read");
            reading.last = Some(Id::NONE);
        }
        Some(_) => {}
    }
    Ok(())
}

fn text(value: Option<&Value>) -> Option<&[u8]> {
    match value? {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// The keys with their entries, of what `XREAD` answers: nothing where it waited in vain.
fn streams_of(answer: Value) -> Vec<(Vec<u8>, Vec<Entry>)> {
    let pairs = array(answer).into_iter().filter_map(|stream| {
        let mut parts = array(stream).into_iter();
        let key = bytes(parts.next()?)?;
        let entries = array(parts.next()?).into_iter().filter_map(entry_of);
        Some((key, entries.collect()))
    });
    pairs.collect()
}

fn entry_of(entry: Value) -> Option<Entry> {
    let mut parts = array(entry).into_iter();
    let id = Id::parse(&bytes(parts.next()?)?)?;
    let mut words = array(parts.next()?).into_iter().filter_map(bytes);
    let mut fields = Vec::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        fields.push((name, value));
    }
    Some(Entry { id, fields })
}

fn array(value: Value) -> Vec<Value> {
    if let Value::Array(items) = value { items } else { Vec::new() }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    if let Value::BulkString(bytes) = value { Some(bytes) } else { None }
}

/// An entry's field `data` is what an event carries; without it, all its fields as an object of
/// strings. Its id makes an entry that is read again the same event.
fn message(root: &str, key: &[u8], Entry { id, mut fields }: Entry) -> Message {
    let name = name_of(key);
    let data = match fields.iter().position(|(name, _)| name == DATA) {
        Some(at) => fields.swap_remove(at).1,
        None => {
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            let object: Map<String, serde_json::Value> =
                fields.into_iter().map(|(name, value)| (text(name), text(value).into())).collect();
            serde_json::Value::Object(object).to_string().into_bytes()
        }
    };
    let id = Some(format!("{}{id}", prefix_of(root, &String::from_utf8_lossy(key))));
    Message { name, data: data.into(), id, ..Message::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn entries_are_their_data_or_all_their_fields() {
        let entry = |id: &str, words: &[&str]| {
            let words = words.iter().map(|word| bulk(word)).collect();
            Value::Array(vec![bulk(id), Value::Array(words)])
        };
        let entries = vec![
            entry("1-0", &["data", "[1]", "by", "x"]),
            entry("1-1", &["step", "5", "loss", "0.1"]),
        ];
        let stream = Value::Array(vec![bulk("train:progress"), Value::Array(entries)]);
        let mut streams = streams_of(Value::Array(vec![stream]));
        let (key, entries) = streams.pop().unwrap();
        let made: Vec<_> = entries.into_iter().map(|it| message("r", &key, it)).collect();
        assert_eq!(made[0].name, "train.progress");
        assert_eq!(made[0].data, "[1]");
        assert_eq!(made[1].data, r#"{"loss":"0.1","step":"5"}"#);
        assert_eq!(made[1].id.as_deref(), Some("r:train:progress:1-1"));
        assert!(streams_of(Value::Nil).is_empty());
    }

    #[test]
    fn ids_are_ordered_as_numbers() {
        let id = |text: &str| Id::parse(text.as_bytes()).unwrap();
        assert!(id("9-10") > id("9-9") && id("10-0") > id("9-99"));
        assert_eq!(id("5-1").to_string(), "5-1");
        assert!(Id::parse(b"x").is_none());
    }
}

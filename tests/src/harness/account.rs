use std::collections::BTreeMap;

use serde_json::Value;

use super::socket::{Incoming, Socket};

/// What a reader of one connection got of each stream, held against what it should get: every
/// event once, in order, and gaps for what did not come.
#[derive(Clone, Debug, Default)]
pub struct Account {
    streams: BTreeMap<String, OfStream>,
    /// Events of replays, by subscription and stream, and whether each is done.
    replays: BTreeMap<(String, String), (Vec<u64>, bool)>,
}

#[derive(Clone, Debug, Default)]
struct OfStream {
    epoch: String,
    /// Everything up to here is accounted for.
    at: u64,
    received: Vec<u64>,
    gaps: Vec<(u64, u64, String)>,
}

impl Account {
    /// Begins where the positions of an answer to `subscribe` or `hello` say.
    pub fn begin(&mut self, answer: &Value) {
        let bodies = match answer.get("subscriptions") {
            Some(bodies) => bodies.as_array().unwrap().clone(),
            None => vec![answer.clone()],
        };
        for position in bodies.iter().flat_map(|body| body["positions"].as_array().unwrap()) {
            let stream = position["stream"].as_str().unwrap();
            if !self.streams.contains_key(stream) {
                let (epoch, at) = (text(position, "epoch"), number(position, "seq"));
                let of = OfStream { epoch, at, ..OfStream::default() };
                self.streams.insert(stream.to_owned(), of);
            }
        }
    }

    /// Takes a message; whether it was one that accounts for something.
    ///
    /// Panics where an event comes twice or before an earlier one, a gap covers what came, or a
    /// mark runs back.
    pub fn take(&mut self, message: &Value) -> bool {
        if let Some(events) = message.as_array() {
            return events.iter().all(|event| self.take(event));
        }
        if let Some(event) = message.get("event") {
            let (name, seq) = (text(event, "stream"), number(event, "seq"));
            let of = self.of(&name);
            assert!(seq > of.at, "{name}: event {seq} comes when {} has passed", of.at);
            of.received.push(seq);
            of.at = seq;
        } else if let Some(gap) = message.get("gap") {
            let (from, to) = (number(gap, "from"), number(gap, "to"));
            let of = self.of(&text(gap, "stream"));
            if gap["reason"] == "epoch" {
                assert_eq!(from, 1, "{gap}");
                assert_ne!(of.epoch, text(gap, "epoch"), "{gap}");
                (of.epoch, of.at) = (text(gap, "epoch"), 0);
                of.received.clear();
            }
            assert!(from > of.at && to + 1 >= from, "{gap} when {} has passed", of.at);
            of.gaps.push((from, to, text(gap, "reason")));
            of.at = to;
        } else if let Some(marks) = message.get("mark") {
            for mark in marks.as_array().unwrap() {
                let seq = number(mark, "seq");
                let of = self.of(&text(mark, "stream"));
                assert_eq!(of.epoch, text(mark, "epoch"), "{mark}");
                assert!(seq >= of.at, "{mark} is before {}", of.at);
                of.at = seq;
            }
        } else if let Some(replay) = message.get("replay") {
            let key = (text(replay, "subscription"), text(replay, "stream"));
            let (events, is_done) = self.replays.entry(key).or_default();
            assert!(!*is_done, "a replay goes on after its end: {replay}");
            let more = replay["events"].as_array().unwrap().iter();
            events.extend(more.map(|event| number(event, "seq")));
            assert!(events.is_sorted_by(|a, b| a < b), "a replay out of order: {events:?}");
            *is_done = replay["done"].as_bool().unwrap();
        } else {
            return false;
        }
        true
    }

    /// Reads from a socket until `is_enough`, or panics.
    pub async fn read(&mut self, socket: &mut Socket, mut is_enough: impl FnMut(&Self) -> bool) {
        while !is_enough(self) {
            match socket.next().await {
                Incoming::Json(message) => {
                    assert!(self.take(&message), "unasked: {message}");
                }
                Incoming::Binary(bytes) => {
                    let line = bytes.split(|byte| *byte == b'\n').next().unwrap();
                    assert!(self.take(&serde_json::from_slice(line).unwrap()));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Where the reader is in a stream.
    pub fn at(&self, stream: &str) -> u64 {
        self.streams.get(stream).map_or(0, |of| of.at)
    }

    /// Seqs of a stream's events that came, in order.
    pub fn received(&self, stream: &str) -> &[u64] {
        self.streams.get(stream).map(|of| &*of.received).unwrap_or_default()
    }

    /// Gaps of a stream: first and last seq, and the reason.
    pub fn gaps(&self, stream: &str) -> &[(u64, u64, String)] {
        self.streams.get(stream).map(|of| &*of.gaps).unwrap_or_default()
    }

    /// What a replay brought, and whether it is done.
    pub fn replay(&self, subscription: &str, stream: &str) -> (&[u64], bool) {
        let found = self.replays.get(&(subscription.to_owned(), stream.to_owned()));
        found.map_or((&[], false), |(events, is_done)| (events, *is_done))
    }

    /// The positions to resume from, as `hello` takes them.
    pub fn resume(&self) -> Value {
        let positions = self.streams.iter().map(|(stream, of)| {
            serde_json::json!({ "stream": stream, "epoch": of.epoch, "after": of.at })
        });
        positions.collect()
    }

    fn of(&mut self, stream: &str) -> &mut OfStream {
        let known: Vec<String> = self.streams.keys().cloned().collect();
        let found = self.streams.get_mut(stream);
        found.unwrap_or_else(|| panic!("nothing of {stream} was asked for, only of {known:?}"))
    }
}

/// A member that is text.
pub fn text(value: &Value, member: &str) -> String {
    let found = value[member].as_str();
    found.unwrap_or_else(|| panic!("no text `{member}` in {value}")).to_owned()
}

/// A member that is a whole number.
pub fn number(value: &Value, member: &str) -> u64 {
    value[member].as_u64().unwrap_or_else(|| panic!("no number `{member}` in {value}"))
}

use bytes::Bytes;
use protocol::{Epoch, Gap, Payload, Position, Seq, StreamName, Topic};
use serde::de::DeserializeOwned;

use crate::error::Error;

/// One message in its place in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub topic: Topic,
    /// The stream that keeps it.
    pub stream: StreamName,
    /// The stream's epoch; `None` where the server has not named it yet.
    pub epoch: Option<Epoch>,
    /// Its number in the stream.
    pub seq: Seq,
    /// When the server took it, in ms since 1970.
    pub time_ms: u64,
    /// What it carries, byte for byte as published.
    pub payload: Payload,
    /// A JSON object of strings, as text.
    pub headers: Option<Bytes>,
}

impl Event {
    /// Its position: where to go on behind it, if all that this program wants came in one
    /// delivery mode.
    pub fn position(&self) -> Option<Position> {
        let (stream, epoch) = (self.stream.clone(), self.epoch.clone()?);
        Some(Position { stream, epoch, seq: self.seq })
    }

    /// Reads JSON data.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the data are bytes or have another form.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let Payload::Json(text) = &self.payload else {
            return Err(Error::Invalid(format!(
                "the event {} carries bytes, not JSON",
                self.topic
            )));
        };
        serde_json::from_slice(text)
            .map_err(|error| Error::Invalid(format!("the event {}: {error}", self.topic)))
    }
}

/// What a subscription gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An event, in the order of its stream.
    Event(Event),
    /// An event of the history that the subscription asked for, apart from the live order: the
    /// client already received other events of the stream.
    Replay(Event),
    /// The replay of a stream is complete; `None` where the server did not say which.
    ReplayDone(Option<StreamName>),
    /// What will not come.
    Gap(Gap),
    /// The connection broke before any of the replay that was asked for had come, and it will not
    /// come: its beginning is not known. [`crate::Client::history`] reads what is kept.
    ReplayLost(StreamName),
    /// The connection broke; the client is coming back by itself. Left out, like
    /// [`Item::Reconnected`], where the application is behind with its queue.
    Reconnecting(Error),
    /// The connection stands again; events follow where they had ended.
    Reconnected,
}

/// A part of a stream's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// In seq order.
    pub events: Vec<Event>,
    /// The stream's epoch.
    pub epoch: Epoch,
    /// Everything up to this seq was looked at: where there is more, ask for what is behind it.
    pub after: Seq,
    /// Whether more matching events may follow.
    pub more: bool,
}

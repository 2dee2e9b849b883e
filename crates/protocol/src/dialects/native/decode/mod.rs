use std::collections::HashSet;

use super::LIST_ITEMS_MAX;
use super::envelope::Envelope;
use super::fields::{Fields, Key, Path, Value};
use crate::command::{Command, Request};
use crate::dialect::{Frame, Misspelled};
use crate::error::Error;
use crate::pattern::Pattern;
use crate::position::{Epoch, Position, SEQ_MAX, Seq, StreamName};

mod call;
mod handle;
mod hello;
mod history;
mod publish;
mod refresh;
mod subscribe;
mod unsubscribe;

/// Reads a client's message in JSON.
pub(super) fn json(frame: Frame<'_>) -> Result<Request, Misspelled> {
    match frame {
        Frame::Text(text) => request(Envelope::json(text), command),
        Frame::Binary(bytes) => {
            let (line, data) = publish::split_binary(bytes).map_err(without_id)?;
            request(Envelope::json(line), |verb| match verb.path {
                Path::Verb("publish") => publish::binary(verb, data),
                _ => Err(Error::bad_request("a binary frame can only carry a publish")),
            })
        }
    }
}

/// Reads a client's message in Protobuf.
pub(super) fn protobuf(frame: Frame<'_>) -> Result<Request, Misspelled> {
    match frame {
        Frame::Binary(message) => request(Envelope::protobuf(message), command),
        Frame::Text(_) => {
            let what = "the subprotocol tidings.v1.proto is spoken in binary frames";
            Err(without_id(Error::bad_request(what)))
        }
    }
}

/// An error in something whose id cannot be read.
fn without_id(error: Error) -> Misspelled {
    Misspelled { id: None, error, was_hello: false }
}

/// Reads the body of an outer object with `command`; errors carry the id.
fn request<'a>(
    envelope: Result<Envelope<'a>, Error>,
    command: impl FnOnce(Value<'_, 'a>) -> Result<Command, Error>,
) -> Result<Request, Misspelled> {
    let envelope = envelope.map_err(without_id)?;
    let wrong = |id, error| Misspelled { id, error, was_hello: envelope.is_hello() };
    let id = envelope.id().map_err(|error| wrong(None, error))?;
    let command = envelope.verb().and_then(command).map_err(|error| wrong(id, error))?;
    Ok(Request { id, command })
}

/// Reads a verb's body, however it is encoded.
fn command(verb: Value<'_, '_>) -> Result<Command, Error> {
    let Path::Verb(name) = verb.path else {
        return Err(Error::bad_request("the message has no verb"));
    };
    match name {
        "hello" => hello::hello(verb),
        "subscribe" => subscribe::subscribe(verb).map(|body| Command::Subscribe(Box::new(body))),
        "unsubscribe" => unsubscribe::unsubscribe(verb),
        "publish" => publish::publish(verb),
        "history" => history::history(verb),
        "ack" => acknowledged(verb).map(Command::Acknowledge),
        "refresh" => refresh::refresh(verb),
        "ping" => verb.object("an object").map(|_| Command::Ping),
        "call" => call::call(verb),
        "handle" => handle::handle(verb),
        "result" => handle::result(verb),
        "presence" => presence(verb),
        _ => Err(Error::bad_request("the message has no verb that is known")),
    }
}

/// The patterns of a list that must have some.
fn some_patterns(value: Value<'_, '_>) -> Result<Vec<Pattern>, Error> {
    let patterns = patterns(value)?;
    if patterns.is_empty() {
        return Err(value.must_be("a list of at least one pattern"));
    }
    Ok(patterns)
}

fn patterns(value: Value<'_, '_>) -> Result<Vec<Pattern>, Error> {
    const WHAT: &str = "a list of patterns";
    // A wrong item is named by the list: its error quotes it.
    let pattern = |raw| Value { raw, path: value.path }.parse(WHAT, Pattern::parse);
    value.list(WHAT, LIST_ITEMS_MAX)?.into_iter().map(pattern).collect()
}

fn presence(verb: Value<'_, '_>) -> Result<Command, Error> {
    let (fields, path) = (verb.object("an object")?, verb.path);
    let topic = fields.require(&path, ("topic", 1))?;
    topic.parse("a pattern", Pattern::parse).map(Command::Presence)
}

/// The positions of an acknowledgement, of which there must be some.
fn acknowledged(value: Value<'_, '_>) -> Result<Vec<Position>, Error> {
    let positions = positions(value.enclosed()?, "seq")?;
    if positions.is_empty() {
        return Err(value.must_be("a list of at least one position"));
    }
    Ok(positions)
}

/// A list of positions, each in another stream, that spell their seq as `seq`.
fn positions(value: Value<'_, '_>, seq: &'static str) -> Result<Vec<Position>, Error> {
    let items = value.list("a list of positions", LIST_ITEMS_MAX)?;
    let mut streams = HashSet::with_capacity(items.len());
    let mut positions = Vec::with_capacity(items.len());
    for (at, raw) in items.into_iter().enumerate() {
        let position = position(Value { raw, path: Path::Item(&value.path, at) }, seq)?;
        if !streams.insert(position.stream.clone()) {
            let message = format!("{} names the stream {} twice", value.path, position.stream);
            return Err(Error::bad_request(message));
        }
        positions.push(position);
    }
    Ok(positions)
}

fn position(value: Value<'_, '_>, seq: &'static str) -> Result<Position, Error> {
    let (fields, path) = (value.object("an object")?, value.path);
    Ok(Position {
        stream: fields
            .require(&path, ("stream", 1))?
            .parse("a stream's name", StreamName::parse)?,
        epoch: fields.require(&path, ("epoch", 2))?.parse("an epoch", Epoch::parse)?,
        seq: self::seq(&fields, &path, (seq, 3))?,
    })
}

fn seq(fields: &Fields<'_>, path: &Path<'_>, key: Key) -> Result<Seq, Error> {
    match fields.require(path, key) {
        // Protobuf leaves numbers out that are 0.
        Err(_) if fields.is_protobuf() => Ok(0),
        seq => seq?.integer(0..=SEQ_MAX),
    }
}

use bytes::Bytes;
use protocol::{Appended, Durability, Position, Seq, SubscriptionId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::read::{
    WireError, WireEvent, WirePosition, copy, epoch, parse, read_events, read_positions,
    stream_name, subscription_id,
};
use crate::error::{Error, Refusal};
use crate::event::HistoryPage;

/// A subscription as the server started it.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) subscription: SubscriptionId,
    pub(crate) positions: Vec<Position>,
    pub(crate) truncated: bool,
}

pub(crate) fn read_subscribed(ok: &RawValue) -> Result<Answered, Error> {
    parse::<WireSubscribed>(ok)?.read()
}

/// The subscriptions of an answered hello, and the client's id from now on.
pub(crate) fn read_hello_answer(ok: &RawValue) -> Result<(String, Vec<Answered>), Error> {
    #[derive(Deserialize)]
    struct WireHello {
        client: String,
        #[serde(default)]
        subscriptions: Vec<WireSubscribed>,
    }
    let hello: WireHello = parse(ok)?;
    let subscriptions = hello.subscriptions.into_iter().map(WireSubscribed::read);
    Ok((hello.client, subscriptions.collect::<Result<_, Error>>()?))
}

pub(crate) fn read_appended(ok: &RawValue) -> Result<Appended, Error> {
    #[derive(Deserialize)]
    struct WireAppended {
        stream: String,
        epoch: String,
        seq: Seq,
        #[serde(default)]
        duplicate: bool,
        durability: String,
    }
    let wire: WireAppended = parse(ok)?;
    let durability = match &*wire.durability {
        "memory" => Durability::Memory,
        "buffered" => Durability::Buffered,
        "fsync" => Durability::Fsync,
        "broker" => Durability::Broker,
        other => return Err(Error::Protocol(format!("unknown durability {other:?}"))),
    };
    let (stream, epoch) = (stream_name(&wire.stream)?, epoch(&wire.epoch)?);
    Ok(Appended { stream, epoch, seq: wire.seq, duplicate: wire.duplicate, durability })
}

pub(crate) fn read_history_page(ok: &RawValue) -> Result<HistoryPage, Error> {
    #[derive(Deserialize)]
    struct WireHistory<'a> {
        #[serde(borrow)]
        events: Vec<WireEvent<'a>>,
        epoch: String,
        after: Seq,
        #[serde(default)]
        more: bool,
    }
    let wire: WireHistory<'_> = parse(ok)?;
    let (epoch, mut events) = (epoch(&wire.epoch)?, read_events(wire.events)?);
    for event in &mut events {
        event.epoch = Some(epoch.clone());
    }
    Ok(HistoryPage { events, epoch, after: wire.after, more: wire.more })
}

pub(crate) fn read_acknowledged(ok: &RawValue) -> Result<Vec<Position>, Error> {
    #[derive(Deserialize)]
    struct WireAcknowledged {
        positions: Vec<WirePosition>,
    }
    read_positions(&parse::<WireAcknowledged>(ok)?.positions)
}

pub(crate) fn read_time(ok: &RawValue) -> Result<u64, Error> {
    #[derive(Deserialize)]
    struct WireTime {
        time: u64,
    }
    Ok(parse::<WireTime>(ok)?.time)
}

/// The data of an answered call, as they came.
pub(crate) fn read_called(ok: &RawValue) -> Result<Bytes, Error> {
    #[derive(Deserialize)]
    struct WireCalled<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    Ok(copy(parse::<WireCalled<'_>>(ok)?.data))
}

/// The error in `{"error":{…}}`, where `text` is that.
pub(crate) fn read_refusal(text: &[u8], status: Option<u16>) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct WireFailure {
        error: WireError,
    }
    let failure: WireFailure = serde_json::from_slice(text).ok()?;
    Some(Refusal { status, ..failure.error.into() })
}

#[derive(Deserialize)]
struct WireSubscribed {
    subscription: String,
    #[serde(default)]
    positions: Vec<WirePosition>,
    #[serde(default)]
    truncated: bool,
}

impl WireSubscribed {
    fn read(self) -> Result<Answered, Error> {
        let subscription = subscription_id(&self.subscription)?;
        let positions = read_positions(&self.positions)?;
        Ok(Answered { subscription, positions, truncated: self.truncated })
    }
}

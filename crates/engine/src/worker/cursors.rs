use std::sync::Arc;

use protocol::{Answer, Error, ErrorCode, Position, Seq, Topic};

use super::{ClientKey, Now, Request, Ticket, Worker};
use crate::cursors::Device;
use crate::session::Session;
use crate::streams::StreamIndex;

impl Worker {
    /// A client says that its device has everything up to these positions.
    pub(super) fn acknowledge(
        &mut self,
        ticket: Ticket,
        positions: Vec<Position>,
    ) -> Result<(), Error> {
        let Some(session) = self.session(ticket.client) else { return Ok(()) };
        let device = device_of(session)?;
        let mut found = Vec::with_capacity(positions.len());
        for position in positions {
            found.push((self.delivered(session, &position)?, position));
        }
        if let Some(session) = self.session_mut(ticket.client) {
            session.unanswered += 1;
        }
        self.requests.push_back(Request::Acknowledge { ticket, device, positions: found });
        Ok(())
    }

    /// A client says the same of the stream that captures a topic, in whichever epoch it is.
    pub(super) fn acknowledge_topic(
        &mut self,
        ticket: Ticket,
        topic: &Topic,
        seq: Seq,
    ) -> Result<(), Error> {
        let uncaptured = || Error::new(ErrorCode::InvalidTopic, "no stream captures this topic");
        let at = self.table.stream_of(topic).ok_or_else(uncaptured)?;
        let (Some(spec), Some(stream)) = (self.table.spec(at), self.streams.get(at.get())) else {
            return Err(uncaptured());
        };
        let position = Position { stream: spec.name.clone(), epoch: stream.epoch.clone(), seq };
        let Some(session) = self.session(ticket.client) else { return Ok(()) };
        if device_of(session).is_ok() {
            return self.acknowledge(ticket, vec![position]);
        }
        self.delivered(session, &position)?;
        self.reply(ticket.client, ticket.id, Ok(Answer::Acknowledged(Vec::new())));
        Ok(())
    }

    /// The stream of a position that was delivered to a session.
    fn delivered(&self, session: &Session, position: &Position) -> Result<StreamIndex, Error> {
        let at = self.table.find(position.stream.as_str())?;
        let Some(stream) = self.streams.get(at.get()) else { return Ok(at) };
        let name = &position.stream;
        let Some(reached) = self.reached(session, at) else {
            let message = format!("ack: this client gets nothing of the stream {name}");
            return Err(Error::bad_request(message));
        };
        if position.epoch != stream.epoch {
            let message = format!(
                "ack: the stream {name} is in the epoch {}, not {}",
                stream.epoch, position.epoch
            );
            return Err(Error::bad_request(message));
        }
        if position.seq > reached {
            let message = format!("ack: {position} was not delivered yet, but {reached}");
            return Err(Error::bad_request(message));
        }
        Ok(at)
    }

    /// Up to where a session has got everything of a stream that it should get; 0 where its next
    /// news is that the epoch is another one. What its device left unread comes first.
    fn reached(&self, session: &Session, at: StreamIndex) -> Option<Seq> {
        let read = self.streams.get(at.get())?.read;
        let readers = session.readers.iter().filter(|reader| reader.stream == at);
        let reached = readers.map(|r| if r.is_reset { 0 } else { r.position(read) }).min()?;
        let replays = session.rare.iter().flat_map(|rare| &rare.replays);
        let unread = replays.filter(|replay| replay.stream == at && replay.is_stored);
        let unread = unread.map(|replay| if replay.is_reset { 0 } else { replay.cursor });
        Some(unread.fold(reached, Seq::min))
    }

    /// The broker answered [`Request::Acknowledge`].
    pub fn handle_acknowledged(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<Vec<Position>, Error>,
    ) {
        self.now = now;
        if let Some(session) = self.session_mut(ticket.client) {
            session.unanswered = session.unanswered.saturating_sub(1);
        }
        self.reply(ticket.client, ticket.id, result.map(Answer::Acknowledged));
    }

    /// Names the device of a client.
    pub(super) fn set_device(&mut self, key: ClientKey, device: Option<Arc<str>>) {
        if let Some(session) = self.session_mut(key)
            && device.is_some()
        {
            session.rare_mut().device = device;
        }
    }
}

/// Whose cursors a session reads and stores.
pub(super) fn device_of(session: &Session) -> Result<Device, Error> {
    let name = session.rare.as_ref().and_then(|rare| rare.device.clone());
    let unnamed = || {
        let message = "cursors belong to devices: name one in `hello`, or as `device` in the query";
        Error::new(ErrorCode::BadRequest, message)
    };
    Ok(Device { user: session.user.clone(), name: name.ok_or_else(unnamed)? })
}

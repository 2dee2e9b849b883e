use protocol::{Error, Position, Seq, Start, Subscribe};

use super::commands::viewer_of;
use super::cursors::device_of;
use super::{ClientKey, LocateTicket, Now, Request, Worker};
use crate::broker::{Locate, Located};
use crate::cursors::Cursor;
use crate::selector::Selector;
use crate::session::{Found, Subscribing};
use crate::streams::StreamIndex;

/// Where a subscription starts in one stream, if not now.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartAt {
    /// After this seq.
    pub(super) after: Seq,
    /// The place belongs to an epoch that is over: a gap comes first.
    pub(super) is_reset: bool,
    pub(super) truncated: bool,
}

impl Worker {
    /// Asks the broker where the histories that are wanted start; whether there is anything to
    /// wait for.
    ///
    /// # Errors
    /// Where a subscription starts behind what a device acknowledged, and no device was named.
    pub(super) fn locate(
        &mut self,
        key: ClientKey,
        subscribing: &mut Subscribing,
    ) -> Result<bool, Error> {
        if subscribing.resume.is_some() {
            return Ok(false);
        }
        if subscribing.bodies.iter().any(|body| body.start == Start::Stored)
            && let Some(session) = self.session(key)
        {
            device_of(session)?;
        }
        self.locate_last += 1;
        subscribing.attempt = self.locate_last;
        for (body, asked) in subscribing.bodies.iter().enumerate() {
            if asked.start == Start::Stored || looked_for(asked).is_some() {
                let streams = self.streams_of(&asked.topics).into_iter();
                subscribing.to_locate.extend(streams.map(|stream| (body, stream)));
            }
        }
        subscribing.to_locate.sort_unstable_by(|a, b| b.cmp(a));
        Ok(self.locate_next(key, subscribing))
    }

    /// Asks for one place after the other, as each search may look at many events: other clients
    /// have their turn in between. Whether there is one to wait for.
    fn locate_next(&mut self, key: ClientKey, subscribing: &mut Subscribing) -> bool {
        let Some((body, stream)) = subscribing.to_locate.pop() else { return false };
        let (Some(asked), Some(session)) = (subscribing.bodies.get(body), self.session(key)) else {
            return false;
        };
        let ticket = LocateTicket { client: key, attempt: subscribing.attempt, body };
        let Some(what) = looked_for(asked) else {
            let Ok(device) = device_of(session) else { return false };
            self.requests.push_back(Request::Cursor { ticket, stream, device });
            return true;
        };
        let selector = Box::new(Selector {
            topics: asked.topics.clone(),
            except: asked.except.clone(),
            filter: asked.filter.clone(),
            viewer: Some(viewer_of(session)),
        });
        self.requests.push_back(Request::Locate { ticket, stream, selector, what });
        true
    }

    /// The broker answered [`Request::Locate`].
    pub fn handle_located(
        &mut self,
        now: Now,
        ticket: LocateTicket,
        stream: StreamIndex,
        result: Result<Located, Error>,
    ) {
        self.now = now;
        self.go_on_subscribing(ticket, stream, result.map(Found::Located));
    }

    /// The broker answered [`Request::Cursor`].
    pub fn handle_cursor(
        &mut self,
        now: Now,
        ticket: LocateTicket,
        stream: StreamIndex,
        result: Result<Option<Cursor>, Error>,
    ) {
        self.now = now;
        self.go_on_subscribing(ticket, stream, result.map(Found::Stored));
    }

    fn go_on_subscribing(
        &mut self,
        ticket: LocateTicket,
        stream: StreamIndex,
        result: Result<Found, Error>,
    ) {
        let Some(session) = self.session_mut(ticket.client) else { return };
        let Some(rare) = &mut session.rare else { return };
        let is_awaited = |waiting: &Subscribing| waiting.attempt == ticket.attempt;
        if !rare.subscribing.as_ref().is_some_and(is_awaited) {
            return;
        }
        let Some(mut subscribing) = rare.subscribing.take() else { return };
        match result {
            Ok(found) => subscribing.found.push((ticket.body, stream, found)),
            Err(error) => {
                self.reply(ticket.client, subscribing.request.id, Err(error));
                return self.go_on_waiting(ticket.client);
            }
        }
        if self.locate_next(ticket.client, &mut subscribing) {
            if let Some(session) = self.session_mut(ticket.client) {
                session.rare_mut().subscribing = Some(subscribing);
            }
            return;
        }
        self.begin_all(ticket.client, subscribing);
        self.go_on_waiting(ticket.client);
    }

    /// Where `body` starts in a stream, which the worker watches by now; `None` is now.
    pub(super) fn start_at(
        &self,
        at: StreamIndex,
        subscribing: &Subscribing,
        body: usize,
    ) -> Result<Option<StartAt>, Error> {
        if let Some(resume) = &subscribing.resume {
            return self.start_after(at, resume).map(Some);
        }
        let Some(asked) = subscribing.bodies.get(body) else { return Ok(None) };
        match &asked.start {
            Start::Now => Ok(None),
            Start::Positions(positions) => self.start_after(at, positions).map(Some),
            Start::After(seq) => Ok(Some(self.start_after_seq(at, *seq))),
            Start::Last(_) if asked.mode.latest => Ok(Some(self.start_at_first(at))),
            Start::Last(_) | Start::Since(_) | Start::Stored => {
                let all = &subscribing.found;
                let found = all.binary_search_by_key(&(body, at), |(of, stream, _)| (*of, *stream));
                let found = found.ok().and_then(|found| all.get(found));
                Ok(found.map(|(.., found)| match found {
                    Found::Located(located) => self.start_located(at, located),
                    Found::Stored(cursor) => self.start_stored(at, cursor.as_ref()),
                }))
            }
        }
    }

    fn start_located(&self, at: StreamIndex, located: &Located) -> StartAt {
        let first = self.start_at_first(at);
        let is_current = self.streams.get(at.get()).is_some_and(|s| s.epoch == located.epoch);
        let after = if is_current { located.after.max(first.after) } else { first.after };
        StartAt { after, is_reset: false, truncated: located.truncated }
    }

    /// Behind a cursor. It may be below what is kept, or of an epoch that is over: then a gap
    /// comes first.
    fn start_stored(&self, at: StreamIndex, cursor: Option<&Cursor>) -> StartAt {
        let first = self.start_at_first(at);
        let Some(cursor) = cursor else { return first };
        let is_current = self.streams.get(at.get()).is_some_and(|s| s.epoch == cursor.epoch);
        if is_current {
            StartAt { after: cursor.seq, ..first }
        } else {
            StartAt { is_reset: true, ..first }
        }
    }

    fn start_at_first(&self, at: StreamIndex) -> StartAt {
        let first = self.streams.get(at.get()).map_or(1, |stream| stream.first);
        StartAt { after: first.saturating_sub(1), is_reset: false, truncated: false }
    }

    /// After a seq that was heard of without its epoch: one that the stream has not come to is of
    /// an earlier one.
    fn start_after_seq(&self, at: StreamIndex, after: Seq) -> StartAt {
        let first = self.start_at_first(at);
        if self.streams.get(at.get()).is_some_and(|stream| after <= stream.read) {
            StartAt { after, ..first }
        } else {
            StartAt { is_reset: true, ..first }
        }
    }

    fn start_after(&self, at: StreamIndex, positions: &[Position]) -> Result<StartAt, Error> {
        let (Some(spec), Some(stream)) = (self.table.spec(at), self.streams.get(at.get())) else {
            return Ok(self.start_at_first(at));
        };
        let Some(position) = positions.iter().find(|position| position.stream == spec.name) else {
            return Ok(self.start_at_first(at));
        };
        if position.epoch != stream.epoch {
            return Ok(StartAt { is_reset: true, ..self.start_at_first(at) });
        }
        if position.seq > stream.read {
            let message = format!("position {position} is ahead of the stream ({})", stream.read);
            return Err(Error::bad_request(message));
        }
        Ok(StartAt { after: position.seq, is_reset: false, truncated: false })
    }
}

/// What has to be looked up before the subscription can begin.
fn looked_for(body: &Subscribe) -> Option<Locate> {
    match body.start {
        // The newest of each topic is wanted, not the newest few of all: no search is needed.
        Start::Last(_) if body.mode.latest => None,
        Start::Last(count) => Some(Locate::Last(count)),
        Start::Since(time_ms) => Some(Locate::Since(time_ms)),
        Start::Now | Start::Positions(_) | Start::After(_) | Start::Stored => None,
    }
}

use std::sync::Arc;

use bytes::Bytes;
use protocol::{Answer, Call, Error, ErrorCode, Message, Pattern};

use super::{ClientKey, Now, Request, Ticket, Worker};
use crate::grants::Action;

impl Worker {
    /// A client sends a command to what handles it. What comes behind it does not wait.
    pub(super) fn call(&mut self, ticket: Ticket, call: Box<Call>) -> Result<(), Error> {
        let Some(session) = self.session_mut(ticket.client) else { return Ok(()) };
        session.grants.authorize(Action::Command, &Pattern::from(&call.command))?;
        let ticket = Ticket { bytes: call.data.len(), ..ticket };
        session.unanswered += 1;
        session.append_bytes += ticket.bytes;
        let (client, user) = (session.client, session.user.clone());
        self.requests.push_back(Request::Call { ticket, call, client, user });
        if let Some(id) = ticket.id {
            self.tell(ticket.client.place, &Message::Called { id });
        }
        Ok(())
    }

    /// A call was answered.
    pub fn handle_called(&mut self, now: Now, ticket: Ticket, result: Result<Bytes, Error>) {
        self.now = now;
        let bytes_max = self.limits.answer_bytes_max;
        let mut is_behind = false;
        if let Some(session) = self.session_mut(ticket.client) {
            session.unanswered = session.unanswered.saturating_sub(1);
            session.append_bytes = session.append_bytes.saturating_sub(ticket.bytes);
            is_behind = session.outbox.as_ref().is_some_and(|outbox| outbox.bytes() > bytes_max);
        }
        let result = result.and_then(|data| match is_behind {
            false => Ok(Answer::Called(data)),
            true => {
                let message = "the command was carried out, but its answer is lost: this client \
                               has not taken those before it";
                Err(Error::new(ErrorCode::CommandFailed, message))
            }
        });
        self.reply(ticket.client, ticket.id, result);
    }

    /// A client handles commands from now on, in place of those that it handled.
    pub(super) fn become_handler(
        &mut self,
        ticket: Ticket,
        patterns: Vec<Pattern>,
    ) -> Result<(), Error> {
        let Some(session) = self.session_mut(ticket.client) else { return Ok(()) };
        for pattern in &patterns {
            session.grants.authorize(Action::Handle, pattern)?;
        }
        session.rare_mut().handles.clone_from(&patterns);
        self.requests.push_back(Request::Handle { ticket, patterns });
        Ok(())
    }

    /// [`Request::Handle`] was carried out, or refused.
    pub fn handle_handling(&mut self, now: Now, ticket: Ticket, result: Result<(), Error>) {
        self.now = now;
        self.reply(ticket.client, ticket.id, result.map(|()| Answer::Handling));
    }

    /// [`Request::Result`] reached whom it is for, or nobody. A handler that did not ask is not
    /// told: that a call is over before its result comes is no mistake of its.
    pub fn handle_resulted(&mut self, now: Now, ticket: Ticket, result: Result<(), Error>) {
        if ticket.id.is_some() {
            self.handle_handling(now, ticket, result);
        }
    }

    /// Gives a call to a client that handles it; `false` where the client is gone or may not
    /// handle it any more, and is not told.
    pub fn give_call(
        &mut self,
        now: Now,
        key: ClientKey,
        call_id: u64,
        call: Box<Call>,
        user: Option<Arc<str>>,
    ) -> bool {
        self.now = now;
        let Some(session) = self.session(key).filter(|session| !session.is_closing) else {
            return false;
        };
        if session.grants.authorize(Action::Handle, &Pattern::from(&call.command)).is_err() {
            return false;
        }
        self.tell(key.place, &Message::Call { call_id, call, user });
        true
    }
}

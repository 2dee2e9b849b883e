use protocol::{
    Answer, Appended, CloseReason, Command, Draft, Error, ErrorCode, Frame, History, Message,
    Pattern, Publisher, Request as ClientRequest,
};

use super::{ClientKey, Now, Request, Ticket, Worker};
use crate::grants::Action;
use crate::isolated::isolated;
use crate::selector::Viewer;
use crate::session::Session;

impl Worker {
    /// A client sent a command.
    pub fn handle_command(&mut self, now: Now, key: ClientKey, request: ClientRequest) {
        self.now = now;
        let Some(session) = self.session_mut(key).filter(|session| !session.is_closing) else {
            return;
        };
        session.counts.commands_in += 1;
        if session.must_wait() {
            session.rare_mut().waiting.push_back(request);
            return;
        }
        self.counters.commands += 1;
        self.carry_out(key, request);
    }

    /// A client sent a message. With `refusal` it is not carried out but answered so.
    pub fn handle_frame(
        &mut self,
        now: Now,
        key: ClientKey,
        frame: Frame<'_>,
        refusal: Option<Error>,
    ) {
        self.now = now;
        let Some(session) = self.session_mut(key).filter(|session| !session.is_closing) else {
            return;
        };
        let Ok(decoded) = isolated(|| session.conversation.decode(frame)) else {
            return self.fail(key.place);
        };
        match (decoded, refusal) {
            (Ok(requests), None) => {
                for request in requests {
                    self.handle_command(now, key, request);
                }
            }
            (Ok(requests), Some(error)) => {
                for request in requests {
                    self.reply(key, request.id, Err(error.clone()));
                }
            }
            (Err(misspelled), refusal) => {
                session.counts.commands_in += 1;
                let is_first = session.counts.commands_in == 1;
                let error = refusal.unwrap_or(misspelled.error);
                self.reply(key, misspelled.id, Err(error));
                if misspelled.was_hello && is_first {
                    self.close(now, key, CloseReason::MalformedHello, None);
                }
            }
        }
    }

    pub(super) fn carry_out(&mut self, key: ClientKey, request: ClientRequest) {
        if self.refuse_unknown(key, &request) {
            return;
        }
        let ClientRequest { id, command } = request;
        let ticket = Ticket { client: key, id, bytes: 0 };
        if !matches!(command, Command::Hello(_)) {
            self.restore_left(key);
        }
        let refused = match command {
            Command::Hello(hello) => self.hello(ticket, *hello),
            Command::Subscribe(subscribe) => self.subscribe(ticket, *subscribe),
            Command::Unsubscribe(unsubscribe) => self.unsubscribe(ticket, unsubscribe),
            Command::Include(subscribe) => self.include(ticket, *subscribe),
            Command::Exclude(what) => self.exclude(ticket, what),
            Command::Publish(draft) => self.publish(ticket, *draft),
            Command::History(history) => self.history(ticket, *history),
            Command::Presence(topics) => self.ask_presence(ticket, topics),
            Command::Acknowledge(positions) => self.acknowledge(ticket, positions),
            Command::Ping => {
                let time_ms = self.now.wall_ms;
                self.reply(key, id, Ok(Answer::Pong { time_ms }));
                Ok(())
            }
            refresh @ Command::Refresh { .. } => {
                self.authenticate(ticket, refresh);
                Ok(())
            }
            Command::Call(call) => self.call(ticket, call),
            Command::Handle(patterns) => self.become_handler(ticket, patterns),
            Command::Result { call_id, result } => {
                self.requests.push_back(Request::Result { ticket, call_id, result });
                Ok(())
            }
        };
        if let Err(error) = refused {
            self.reply(key, id, Err(error));
        }
    }

    pub(super) fn reply(&mut self, key: ClientKey, id: Option<i64>, result: Result<Answer, Error>) {
        self.counters.errors += u64::from(result.is_err());
        if self.session(key).is_some() {
            self.tell(key.place, &Message::Reply { id, result });
        }
    }

    fn publish(&mut self, ticket: Ticket, mut draft: Draft) -> Result<(), Error> {
        let at = self.table.stream_of(&draft.topic);
        let Some(session) = self.session_mut(ticket.client) else { return Ok(()) };
        session.grants.authorize(Action::Publish, &Pattern::from(&draft.topic))?;
        let Some(stream) = at else {
            return Err(Error::new(ErrorCode::InvalidTopic, "no stream captures this topic"));
        };
        draft.publisher = match &session.user {
            Some(user) => Publisher::User(user.clone()),
            None => Publisher::Client(session.client),
        };
        let ticket = Ticket { bytes: draft.bytes(), ..ticket };
        session.unanswered += 1;
        session.append_bytes += ticket.bytes;
        self.requests.push_back(Request::Append { ticket, stream, draft: Box::new(draft) });
        Ok(())
    }

    /// The broker answered an append.
    pub fn handle_appended(&mut self, now: Now, ticket: Ticket, result: Result<Appended, Error>) {
        self.now = now;
        if let Some(session) = self.session_mut(ticket.client) {
            session.unanswered = session.unanswered.saturating_sub(1);
            session.append_bytes = session.append_bytes.saturating_sub(ticket.bytes);
        }
        self.reply(ticket.client, ticket.id, result.map(Answer::Published));
    }

    fn history(&mut self, ticket: Ticket, history: History) -> Result<(), Error> {
        let Some(session) = self.session(ticket.client) else { return Ok(()) };
        session.grants.authorize(Action::Subscribe, &history.topic)?;
        let viewer = viewer_of(session);
        let stream = crate::history::stream_of(&self.table, &history)?;
        let history = Box::new(history);
        if let Some(session) = self.session_mut(ticket.client) {
            let command = Command::History(history.clone());
            session.rare_mut().reading = Some(ClientRequest { id: ticket.id, command });
        }
        self.requests.push_back(Request::History { ticket, stream, viewer, history });
        Ok(())
    }

    /// A history was read.
    pub fn handle_history(&mut self, now: Now, ticket: Ticket, result: Result<Answer, Error>) {
        self.now = now;
        if let Some(rare) = self.session_mut(ticket.client).and_then(|s| s.rare.as_mut()) {
            rare.reading = None;
        }
        self.reply(ticket.client, ticket.id, result);
        self.go_on_waiting(ticket.client);
    }

    /// Carries out the commands that waited behind one that is done, as far as the client takes
    /// their answers.
    pub(super) fn go_on_waiting(&mut self, key: ClientKey) {
        while let Some(session) = self.session_mut(key) {
            let is_full = session.outbox.as_ref().is_some_and(|outbox| outbox.is_full());
            let Some(rare) = session.rare.as_mut().filter(|rare| !rare.awaits_answer()) else {
                return;
            };
            if is_full {
                return;
            }
            let Some(request) = rare.waiting.pop_front() else { return };
            self.counters.commands += 1;
            self.carry_out(key, request);
        }
    }
}

/// Whom audiences are compared with for a session.
pub(super) fn viewer_of(session: &Session) -> Viewer {
    Viewer { client: session.client, user: session.user.clone(), groups: session.groups().to_vec() }
}

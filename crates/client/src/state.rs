use std::collections::VecDeque;

use bytes::Bytes;
use protocol::ErrorCode;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::commands::{Answer, HandlerCall};
use crate::deliveries::Deliveries;
use crate::ended::Ended;
use crate::error::{Error, Refusal};
use crate::event::Item;
use crate::handle::{Command, Parting, Welcome};
use crate::handlers::Handlers;
use crate::link::Frame;
use crate::options::Options;
use crate::requests::{Requests, Waiting};
use crate::subscriptions::{Key, Subscriptions};
use crate::wire::{self, Closing, Messages, ServerMessage};

/// The id of pings that nobody waits for; others begin at 1.
const HEARTBEAT_ID: i64 = 0;
/// How far the conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Offline,
    AwaitsWelcome,
    AwaitsHello { id: i64 },
    Open,
}

/// The conversation with the server: what to say, and what comes of what it says. Does no input
/// or output and reads no clock.
#[derive(Debug)]
pub(crate) struct State {
    options: Options,
    phase: Phase,
    outgoing: VecDeque<Frame>,
    requests: Requests,
    subscriptions: Subscriptions,
    pub(crate) deliveries: Deliveries,
    welcome: Option<Welcome>,
    /// The token that restores the client's id.
    session: Option<Session>,
    closing: Option<Closing>,
    was_open: bool,
    handlers: Handlers,
    /// Counts the connections.
    connection: u64,
    /// For answers to calls. Weak: that nobody else is left must be noticed.
    partings: mpsc::WeakUnboundedSender<Parting>,
}

/// A client's id and the token that restores it.
#[derive(Debug)]
struct Session {
    client: String,
    token: String,
    /// The token of this connection's welcome, in case the id is not restored.
    fresh_token: String,
}

impl State {
    pub(crate) fn new(options: Options, partings: mpsc::WeakUnboundedSender<Parting>) -> Self {
        Self {
            options,
            phase: Phase::Offline,
            outgoing: VecDeque::new(),
            requests: Requests::default(),
            subscriptions: Subscriptions::default(),
            deliveries: Deliveries::default(),
            welcome: None,
            session: None,
            closing: None,
            was_open: false,
            handlers: Handlers::default(),
            connection: 0,
            partings,
        }
    }

    /// The welcome of an open connection.
    pub(crate) fn open(&self) -> Option<&Welcome> {
        self.welcome.as_ref().filter(|_| self.phase == Phase::Open)
    }

    /// Whether another command may be taken.
    pub(crate) fn takes_commands(&self) -> bool {
        self.requests.len() < self.options.in_flight_max.max(1)
    }

    /// Whether the connection should be read: not while the application is behind, except to
    /// find answers, and then only so far ahead.
    pub(crate) fn wants_input(&self) -> bool {
        let awaits_answer = self.phase != Phase::Open || self.requests.len() > 0;
        self.deliveries.is_empty() || (awaits_answer && self.deliveries.has_room_ahead())
    }

    pub(crate) fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    pub(crate) fn next_outgoing(&mut self) -> Option<Frame> {
        self.outgoing.pop_front()
    }

    /// A handle asks for something.
    pub(crate) fn command(&mut self, command: Command) {
        match command {
            Command::Publish(message, reply) => {
                self.ask(Waiting::Publish(reply), |id| wire::publish(id, &message));
            }
            Command::History(history, reply) => {
                self.ask(Waiting::History(reply), |id| wire::history(id, &history));
            }
            Command::Acknowledge(positions, reply) => {
                self.ask(Waiting::Acknowledge(reply), |id| wire::acknowledge(id, &positions));
            }
            Command::Ping(reply) => self.ask(Waiting::Ping(reply), wire::ping),
            Command::Call(call, reply) => {
                self.ask(Waiting::Call(reply), |id| wire::call(id, &call));
            }
            Command::Handle { reply, .. } if reply.is_closed() => {}
            Command::Handle { key, patterns, queue, reply } => {
                self.handlers.add(key, patterns, queue, reply);
                self.say_what_is_handled();
            }
            Command::Subscribe { reply, .. } if reply.is_closed() => {}
            Command::Subscribe { key, options, queue, reply } => {
                let body = options.clone();
                self.subscriptions.ask(key, options, queue, reply);
                self.ask(Waiting::Subscribe(key), |id| wire::subscribe(id, &body));
            }
        }
    }

    /// A request was waited for long enough.
    pub(crate) fn request_given_up(&mut self) {
        self.requests.forget_abandoned();
    }

    /// Says what is handled now, where there is a connection; otherwise the next one begins so.
    fn say_what_is_handled(&mut self) {
        if self.phase == Phase::Open {
            let (keys, patterns) = (self.handlers.keys(), self.handlers.patterns());
            self.ask(Waiting::Handle(keys), |id| wire::handle(id, &patterns));
        }
    }

    /// A call was answered that came on that connection.
    pub(crate) fn answered_call(
        &mut self,
        connection: u64,
        call_id: u64,
        result: Result<Bytes, protocol::Error>,
    ) {
        if (connection, Phase::Open) != (self.connection, self.phase) {
            return;
        }
        let mut frame = wire::result(call_id, &result);
        let bytes_max = self.message_bytes_max();
        if frame.bytes.len() > bytes_max {
            let message = format!("the result is larger than the {bytes_max} bytes allowed");
            let error = protocol::Error::new(ErrorCode::CommandFailed, message);
            frame = wire::result(call_id, &Err(error));
        }
        self.outgoing.push_back(frame);
    }

    /// The server gives a call to this client.
    fn called(&mut self, call_id: u64, call: HandlerCall) {
        let (connection, to) = (self.connection, self.partings.upgrade());
        let answer = Answer { call_id, connection, to };
        if let Err((answer, error)) = self.handlers.give(call, answer) {
            answer.send(Err(error));
        }
    }

    /// A subscription, or what handles commands, was dropped.
    pub(crate) fn unwanted(&mut self, key: Key) {
        if self.handlers.remove(key) {
            return self.say_what_is_handled();
        }
        let Some(name) = self.subscriptions.unwanted(key) else { return };
        match self.phase {
            Phase::Open => {
                self.ask(Waiting::Unsubscribe(key), |id| wire::unsubscribe(id, name));
            }
            // A hello that names it is on its way: its answer gives it a new name.
            Phase::AwaitsHello { .. } => {}
            Phase::Offline | Phase::AwaitsWelcome => self.subscriptions.ended(key),
        }
    }

    fn ask(&mut self, waiting: Waiting, frame: impl FnOnce(i64) -> Frame) {
        let id = self.requests.next_id();
        let frame = frame(id);
        if self.phase == Phase::Open {
            if frame.bytes.len() > self.message_bytes_max() {
                return self.refuse_too_large(waiting);
            }
            self.outgoing.push_back(frame.clone());
        }
        self.requests.add(id, frame, waiting);
    }

    fn message_bytes_max(&self) -> usize {
        let limit = self.welcome.as_ref().and_then(|welcome| welcome.message_bytes_max);
        limit.unwrap_or(usize::MAX)
    }

    /// Fails what the server would close the connection for.
    fn refuse_too_large(&mut self, waiting: Waiting) {
        let bytes_max = self.message_bytes_max();
        let message = format!("the message is larger than the {bytes_max} bytes allowed");
        let error = Error::Invalid(message);
        match waiting {
            Waiting::Subscribe(key) => self.subscriptions.refused(key, error),
            Waiting::Handle(keys) => self.handlers.refused(&keys, &error),
            waiting => waiting.fail(error),
        }
    }

    /// A connection stands.
    pub(crate) fn connected(&mut self) {
        self.phase = Phase::AwaitsWelcome;
        self.connection += 1;
    }

    /// Asks whether the server lives.
    pub(crate) fn heartbeat(&mut self) {
        self.outgoing.push_back(wire::ping(HEARTBEAT_ID));
    }

    /// A frame came.
    pub(crate) fn receive(&mut self, frame: &Frame) -> Result<(), Ended> {
        match wire::read_frame(frame).map_err(|error| self.broken(error))? {
            Messages::One(message) => self.message(message),
            Messages::Batch(messages) => {
                messages.into_iter().try_for_each(|message| self.message(message))
            }
        }
    }

    /// A server that breaks the protocol from the start is none of ours; one that does so later
    /// may have had an accident.
    fn broken(&self, error: Error) -> Ended {
        match self.phase {
            Phase::AwaitsWelcome => Ended::stop(error),
            _ => Ended::reconnect(error),
        }
    }

    fn message(&mut self, message: ServerMessage) -> Result<(), Ended> {
        match (self.phase, message) {
            (Phase::AwaitsWelcome, ServerMessage::Welcome(welcome, token)) => {
                self.welcomed(welcome, token);
            }
            (_, ServerMessage::Closing(closing)) => self.closing = Some(closing),
            (_, ServerMessage::Error(refusal)) => {
                tracing::warn!(code = %refusal.code, message = %refusal.message, "error without id");
            }
            (Phase::AwaitsWelcome, _) => {
                let error = Error::Protocol("its first message is no welcome".into());
                return Err(Ended::stop(error));
            }
            (Phase::AwaitsHello { id: hello }, ServerMessage::Reply { id, result })
                if id == hello =>
            {
                let ok = result.map_err(|refusal| Ended::refused(Error::Refused(refusal)))?;
                let (client, restored) =
                    wire::read_hello_answer(&ok).map_err(|error| self.broken(error))?;
                let restored = self.subscriptions.restored(restored);
                let unwanted = restored.map_err(|error| self.broken(error))?;
                self.restored(client);
                self.opened();
                for (key, name) in unwanted {
                    self.ask(Waiting::Unsubscribe(key), |id| wire::unsubscribe(id, name));
                }
            }
            (_, ServerMessage::Reply { id, result }) => {
                self.reply(id, result).map_err(|error| self.broken(error))?;
            }
            (_, ServerMessage::Event(event)) => {
                self.subscriptions.live(event, &mut self.deliveries);
            }
            (_, ServerMessage::Replay(replayed)) => {
                self.subscriptions.replayed(replayed, &mut self.deliveries);
            }
            (_, ServerMessage::Gap(gap)) => self.subscriptions.gap(&gap, &mut self.deliveries),
            (_, ServerMessage::Mark(positions)) => self.subscriptions.mark(&positions),
            (_, ServerMessage::Call { call_id, call }) => self.called(call_id, call),
            (_, ServerMessage::Expiring { in_ms }) => {
                tracing::warn!(in_ms, "the token will expire");
            }
            (_, ServerMessage::Welcome(..) | ServerMessage::Unknown) => {}
        }
        Ok(())
    }

    fn welcomed(&mut self, welcome: Welcome, token: String) {
        let client = welcome.client.to_string();
        let was_known = self.session.is_some();
        match &mut self.session {
            Some(session) => session.fresh_token = token,
            None => {
                let fresh_token = token.clone();
                self.session = Some(Session { client, token, fresh_token });
            }
        }
        self.welcome = Some(welcome);
        let resumed = self.subscriptions.resumed();
        let has_something_to_say =
            was_known || self.options.device.is_some() || self.options.takeover;
        if !has_something_to_say && resumed.subscriptions.is_empty() {
            return self.opened();
        }
        let id = self.requests.next_id();
        let session = self.session.as_ref().filter(|_| was_known);
        let hello = wire::Hello {
            device: self.options.device.as_deref(),
            takeover: self.options.takeover,
            session: session.map(|session| session.token.as_str()),
            resumed,
        };
        self.outgoing.push_back(wire::hello(id, &hello));
        self.phase = Phase::AwaitsHello { id };
    }

    /// The hello was answered: the client has its old id again, or another for good. In that case
    /// a publish without a user that is sent again counts as another publisher's, whose key the
    /// server cannot know: it may be stored twice.
    fn restored(&mut self, client: String) {
        if let Some(session) = &mut self.session
            && session.client != client
        {
            session.token.clone_from(&session.fresh_token);
            session.client.clone_from(&client);
        }
        if let Some(welcome) = &mut self.welcome {
            welcome.client = client.into();
        }
    }

    /// Requests can be sent: those of earlier connections first, in their order.
    fn opened(&mut self) {
        self.phase = Phase::Open;
        for waiting in self.requests.take_larger_than(self.message_bytes_max()) {
            self.refuse_too_large(waiting);
        }
        self.outgoing.extend(self.requests.frames().cloned());
        if !self.handlers.is_empty() {
            self.say_what_is_handled();
        }
        if self.was_open {
            self.subscriptions.notice(&Item::Reconnected, &mut self.deliveries);
        }
        self.was_open = true;
    }

    fn reply(&mut self, id: i64, result: Result<Box<RawValue>, Refusal>) -> Result<(), Error> {
        let Some(waiting) = self.requests.answered(id) else { return Ok(()) };
        match (waiting, result) {
            // Nobody may wait any more; then the answer is of no use.
            (Waiting::Publish(reply), Ok(ok)) => {
                let _ = reply.send(wire::read_appended(&ok));
            }
            (Waiting::History(reply), Ok(ok)) => {
                let _ = reply.send(wire::read_history_page(&ok));
            }
            (Waiting::Acknowledge(reply), Ok(ok)) => {
                let _ = reply.send(wire::read_acknowledged(&ok));
            }
            (Waiting::Ping(reply), Ok(ok)) => {
                let _ = reply.send(wire::read_time(&ok));
            }
            (Waiting::Call(reply), Ok(ok)) => {
                let _ = reply.send(wire::read_called(&ok));
            }
            (Waiting::Handle(keys), Ok(_)) => self.handlers.confirmed(&keys),
            (Waiting::Handle(keys), Err(refusal)) => {
                self.handlers.refused(&keys, &Error::Refused(refusal));
            }
            (Waiting::Subscribe(key), Ok(ok)) => {
                let answer = wire::read_subscribed(&ok)?;
                if let Some(name) = self.subscriptions.begun(key, answer) {
                    self.ask(Waiting::Unsubscribe(key), |id| wire::unsubscribe(id, name));
                }
            }
            (Waiting::Subscribe(key), Err(refusal)) => {
                self.subscriptions.refused(key, Error::Refused(refusal));
            }
            // Refused means that the server knows no such subscription.
            (Waiting::Unsubscribe(key), _) => self.subscriptions.ended(key),
            (waiting, Err(refusal)) => waiting.fail(Error::Refused(refusal)),
        }
        Ok(())
    }

    /// The server closed the connection.
    pub(crate) fn closed(&mut self, code: u16, reason: String) -> Ended {
        let closing = self.closing.take();
        let closing = closing.unwrap_or(Closing { code, reason, reconnect_after_ms: None });
        Ended::closed(closing)
    }

    /// The connection broke without a word, unless the server had said that it would close.
    pub(crate) fn broke(&mut self, error: Error) -> Ended {
        self.closing.take().map_or_else(|| Ended::reconnect(error), Ended::closed)
    }

    /// There is no connection any more, and there may be another.
    pub(crate) fn connection_lost(&mut self, error: &Error) {
        let was_open = self.phase == Phase::Open;
        self.phase = Phase::Offline;
        self.closing = None;
        self.outgoing.clear();
        self.subscriptions.connection_lost(&mut self.deliveries);
        self.requests.connection_lost(|key| self.subscriptions.awaits_answer(key));
        if was_open {
            let lost = "the connection broke before the command was answered; whether it was \
                        carried out is unknown";
            self.requests.fail_calls(&Error::Unreachable(lost.into()));
            let item = Item::Reconnecting(error.clone());
            self.subscriptions.notice(&item, &mut self.deliveries);
        }
    }

    /// There will be no other connection.
    pub(crate) fn fail(&mut self, error: &Error) {
        self.requests.fail(error);
        self.handlers.fail(error);
        self.subscriptions.fail(error);
    }
}

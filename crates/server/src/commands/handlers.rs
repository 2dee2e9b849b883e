use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use engine::ClientKey;
use parking_lot::Mutex;
use protocol::{Error, ErrorCode, Pattern, Topic};
use tokio::sync::oneshot;

use super::carry::Asked;
use super::failure::{Failure, Kind};
use crate::node::Node;
use crate::worker::Input;

/// Most calls that a handler has not answered; their time may be over.
const CALLS_MAX: usize = 1_024;
/// Most bytes of their data; one call alone may have more.
const BYTES_MAX: usize = 16 << 20;
/// When a command without a handler may find one, in ms.
const RETRY_MS: u64 = 1_000;

/// A connected client: its worker and its place there.
pub(crate) type Connection = (usize, ClientKey);

/// Connected clients that handle commands, and the calls that they were given. Locked only for
/// these, never when an event is delivered.
#[derive(Default)]
pub(crate) struct Handlers {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// The most specific pattern first.
    by_pattern: BTreeMap<(Vec<u8>, Pattern), Vec<Connection>>,
    members: HashMap<Connection, Member>,
    calls: HashMap<u64, Given>,
    call_last: u64,
}

/// A client that handles commands, or has calls left from when it did.
#[derive(Default)]
struct Member {
    patterns: Vec<Pattern>,
    calls: usize,
    bytes: usize,
    /// The last call that it was given.
    last: u64,
}

impl Member {
    fn has_room(&self, bytes: usize) -> bool {
        self.calls < CALLS_MAX && (self.bytes == 0 || self.bytes + bytes <= BYTES_MAX)
    }
}

/// A call that a handler was given.
struct Given {
    to: Connection,
    bytes: usize,
    /// Who waits; none once the time is over. The handler is still busy with it.
    answer: Option<oneshot::Sender<Outcome>>,
}

/// What becomes of a call that a handler was given.
enum Outcome {
    Answered(Result<Bytes, Error>),
    /// The handler was gone before it was told.
    Undelivered,
    /// The handler went away.
    Lost,
}

impl Handlers {
    /// A client handles these commands from now on, and no others.
    pub(crate) fn set(&self, connection: Connection, patterns: Vec<Pattern>) {
        let mut table = self.table.lock();
        table.leave(connection);
        for pattern in &patterns {
            let key = (pattern.generality(), pattern.clone());
            let connections = table.by_pattern.entry(key).or_default();
            if !connections.contains(&connection) {
                connections.push(connection);
            }
        }
        table.members.entry(connection).or_default().patterns = patterns;
        table.forget_idle(connection);
    }

    /// A client is gone: what it has not answered, it will not.
    pub(crate) fn gone(&self, connection: Connection) {
        let mut table = self.table.lock();
        if !table.members.contains_key(&connection) {
            return;
        }
        table.leave(connection);
        table.members.remove(&connection);
        let lost = table.calls.extract_if(|_, given| given.to == connection);
        let lost: Vec<_> = lost.collect();
        drop(table);
        for (_, given) in lost {
            given.tell(Outcome::Lost);
        }
    }

    /// A client has something to say about a call.
    ///
    /// # Errors
    /// `not_found` where it was not given such a call, or has answered it.
    pub(crate) fn result(
        &self,
        connection: Connection,
        call_id: u64,
        result: Result<Bytes, Error>,
    ) -> Result<(), Error> {
        let given = self.table.lock().take(call_id, Some(connection));
        match given {
            Some(given) if given.answer.is_some() => {
                given.tell(Outcome::Answered(result));
                Ok(())
            }
            Some(_) => Err(Error::new(ErrorCode::NotFound, "the time of this call is over")),
            None => {
                let message = "this client was not given a call of that id, or has answered it";
                Err(Error::new(ErrorCode::NotFound, message))
            }
        }
    }

    /// How many clients handle commands.
    pub(super) fn count(&self) -> usize {
        let table = self.table.lock();
        table.members.values().filter(|member| !member.patterns.is_empty()).count()
    }

    /// Patterns that are handled, and by how many clients.
    pub(super) fn patterns(&self) -> Vec<(Pattern, usize)> {
        let table = self.table.lock();
        let patterns = table.by_pattern.iter();
        patterns.map(|((_, pattern), clients)| (pattern.clone(), clients.len())).collect()
    }

    /// Gives a call to a handler and waits for what it says.
    pub(super) async fn call(&self, node: &Arc<Node>, asked: &Asked) -> Result<Bytes, Failure> {
        let Asked { call, caller, .. } = asked;
        let (answer, answered) = oneshot::channel();
        let (call_id, (worker, key)) =
            self.table.lock().give(&call.command, call.data.len(), answer)?;
        let waiting = Waiting { handlers: self, call_id };
        let (call, user) = (Box::new(call.clone()), caller.user.clone());
        let for_worker = node.clone();
        match node.inbox(worker) {
            Some(inbox) => inbox.push(Input::Do(Box::new(move |shell| {
                let now = shell.now();
                if !shell.engine.give_call(now, key, call_id, call, user) {
                    for_worker.commands.handlers.undelivered(call_id);
                }
            }))),
            None => self.undelivered(call_id),
        }
        let outcome = answered.await.unwrap_or(Outcome::Lost);
        drop(waiting);
        match outcome {
            Outcome::Answered(result) => result.map_err(Failure::answered),
            Outcome::Undelivered => Err(nobody(&asked.call.command)),
            Outcome::Lost => {
                let message = "the handler went away before it answered; whether the command was \
                               carried out is unknown";
                let failure = Failure::new(Kind::Broken, ErrorCode::NoHandler, message);
                Err(Failure { error: failure.error.retry_after(RETRY_MS), ..failure })
            }
        }
    }

    fn undelivered(&self, call_id: u64) {
        let given = self.table.lock().take(call_id, None);
        if let Some(given) = given {
            given.tell(Outcome::Undelivered);
        }
    }
}

impl Table {
    /// Chooses who handles a command: of the most specific pattern who has fewest calls, and among
    /// those who was given one longest ago.
    fn give(
        &mut self,
        command: &Topic,
        bytes: usize,
        answer: oneshot::Sender<Outcome>,
    ) -> Result<(u64, Connection), Failure> {
        let mut fitting = self.by_pattern.iter().filter(|((_, p), _)| p.matches(command));
        let Some((_, connections)) = fitting.next() else {
            return Err(nobody(command));
        };
        let free = connections.iter().filter_map(|to| {
            let member = self.members.get(to).filter(|member| member.has_room(bytes))?;
            Some((member.calls, member.last, *to))
        });
        let Some((_, _, to)) = free.min() else {
            let message = format!("all that handle `{command}` have as many calls as they may");
            let error = Error::new(ErrorCode::Overloaded, message).retry_after(RETRY_MS);
            return Err(Failure { error, kind: Kind::Absent });
        };
        self.call_last += 1;
        let call_id = self.call_last;
        if let Some(member) = self.members.get_mut(&to) {
            member.calls += 1;
            member.bytes += bytes;
            member.last = call_id;
        }
        self.calls.insert(call_id, Given { to, bytes, answer: Some(answer) });
        Ok((call_id, to))
    }

    /// Takes out a call, of a certain handler where given.
    fn take(&mut self, call_id: u64, of: Option<Connection>) -> Option<Given> {
        if self.calls.get(&call_id).is_none_or(|given| of.is_some_and(|of| of != given.to)) {
            return None;
        }
        let given = self.calls.remove(&call_id)?;
        if let Some(member) = self.members.get_mut(&given.to) {
            member.calls -= 1;
            member.bytes -= given.bytes;
        }
        self.forget_idle(given.to);
        Some(given)
    }

    /// A client handles nothing more.
    fn leave(&mut self, connection: Connection) {
        let Some(member) = self.members.get_mut(&connection) else { return };
        for pattern in std::mem::take(&mut member.patterns) {
            let key = (pattern.generality(), pattern);
            if let Some(connections) = self.by_pattern.get_mut(&key) {
                connections.retain(|other| *other != connection);
                if connections.is_empty() {
                    self.by_pattern.remove(&key);
                }
            }
        }
    }

    fn forget_idle(&mut self, connection: Connection) {
        let is_idle = |member: &Member| member.patterns.is_empty() && member.calls == 0;
        if self.members.get(&connection).is_some_and(is_idle) {
            self.members.remove(&connection);
        }
    }
}

impl Given {
    /// Who waited may not any more.
    fn tell(self, outcome: Outcome) {
        if let Some(answer) = self.answer {
            let _ = answer.send(outcome);
        }
    }
}

/// Someone waits for a call. When that ends, its handler is still busy with it.
struct Waiting<'a> {
    handlers: &'a Handlers,
    call_id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(given) = self.handlers.table.lock().calls.get_mut(&self.call_id) {
            given.answer = None;
        }
    }
}

fn nobody(command: &Topic) -> Failure {
    let message = format!("nothing handles `{command}` at the moment; nothing was done");
    let error = Error::new(ErrorCode::NoHandler, message).retry_after(RETRY_MS);
    Failure { error, kind: Kind::Absent }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(place: u32) -> Connection {
        (0, ClientKey { place, generation: 1 })
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
    }

    fn give(handlers: &Handlers, command: &str, bytes: usize) -> Result<(u64, u32), ErrorCode> {
        let (answer, _) = oneshot::channel();
        let given = handlers.table.lock().give(&Topic::parse(command).unwrap(), bytes, answer);
        given.map(|(id, (_, key))| (id, key.place)).map_err(|failure| failure.error.code)
    }

    #[test]
    fn the_most_specific_pattern_is_asked_first() {
        let handlers = Handlers::default();
        handlers.set(connection(1), patterns(&[">"]));
        handlers.set(connection(2), patterns(&["trainer.*"]));
        handlers.set(connection(3), patterns(&["trainer.pause", "x"]));
        let whom = |command| give(&handlers, command, 1).map(|(_, place)| place);
        assert_eq!(whom("trainer.pause"), Ok(3));
        assert_eq!(whom("trainer.stop"), Ok(2));
        assert_eq!(whom("trainer.a.b"), Ok(1));
        handlers.set(connection(3), patterns(&["x"]));
        assert_eq!(whom("trainer.pause"), Ok(2));
        handlers.gone(connection(2));
        assert_eq!(whom("trainer.pause"), Ok(1));
        handlers.set(connection(1), Vec::new());
        assert_eq!(whom("trainer.pause"), Err(ErrorCode::NoHandler));
        assert_eq!(handlers.patterns(), [(Pattern::parse("x").unwrap(), 1)]);
    }

    #[test]
    fn calls_go_to_who_has_fewest_and_then_in_turn() {
        let handlers = Handlers::default();
        for place in 1..=3 {
            handlers.set(connection(place), patterns(&["a"]));
        }
        let given: Vec<_> = (0..6).map(|_| give(&handlers, "a", 1).unwrap()).collect();
        let places: Vec<u32> = given.iter().map(|(_, place)| *place).collect();
        assert_eq!(places, [1, 2, 3, 1, 2, 3]);
        // Who waited is gone, so a result finds nobody, but its handler has room again.
        let second = handlers.result(connection(2), given[1].0, Ok(Bytes::new()));
        assert!(second.is_ok());
        assert_eq!(give(&handlers, "a", 1).unwrap().1, 2);
    }

    #[test]
    fn a_handler_has_a_bounded_number_of_calls_and_bytes() {
        let handlers = Handlers::default();
        handlers.set(connection(1), patterns(&["a"]));
        let (first, _) = give(&handlers, "a", 2 * BYTES_MAX).unwrap();
        assert_eq!(give(&handlers, "a", 1), Err(ErrorCode::Overloaded));
        assert!(handlers.result(connection(1), first, Ok(Bytes::new())).is_ok());
        for _ in 0..CALLS_MAX {
            give(&handlers, "a", 0).unwrap();
        }
        assert_eq!(give(&handlers, "a", 0), Err(ErrorCode::Overloaded));
        handlers.gone(connection(1));
        assert!(handlers.table.lock().calls.is_empty());
        assert!(handlers.table.lock().members.is_empty());
    }

    #[test]
    fn only_who_was_given_a_call_can_answer_it_and_once() {
        let handlers = Handlers::default();
        handlers.set(connection(1), patterns(&["a"]));
        handlers.set(connection(2), patterns(&["b"]));
        let (id, _) = give(&handlers, "a", 1).unwrap();
        let answer = |place| handlers.result(connection(place), id, Ok(Bytes::new()));
        assert_eq!(answer(2).unwrap_err().code, ErrorCode::NotFound);
        assert!(answer(1).is_ok());
        assert_eq!(answer(1).unwrap_err().code, ErrorCode::NotFound);
    }
}

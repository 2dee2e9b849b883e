use bytes::Bytes;
use engine::Ticket;
use protocol::{Call, Error, Pattern};

use super::inbox::Input;
use super::shell::Shell;
use crate::commands::{self, Caller};

impl Shell {
    /// A client sends a command.
    pub(super) fn call(&mut self, ticket: Ticket, call: Call, caller: Caller) {
        let Some(inbox) = self.node.inbox(self.place) else { return };
        let answer = move |result| inbox.push(Input::Called(ticket, result));
        commands::call(&self.node, call, caller, Box::new(answer));
    }

    /// A client handles these commands from now on, and no others.
    pub(super) fn become_handler(&mut self, ticket: Ticket, patterns: Vec<Pattern>) {
        let now = self.now();
        self.node.commands.handlers.set((self.place, ticket.client), patterns);
        self.engine.handle_handling(now, ticket, Ok(()));
    }

    /// A handler has done what it was called for.
    pub(super) fn result(&mut self, ticket: Ticket, call_id: u64, result: Result<Bytes, Error>) {
        let (now, connection) = (self.now(), (self.place, ticket.client));
        let taken = self.node.commands.handlers.result(connection, call_id, result);
        self.engine.handle_resulted(now, ticket, taken);
    }
}

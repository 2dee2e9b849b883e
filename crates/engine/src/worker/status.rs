use protocol::{Answer, Link, Status};

use super::{Now, Request, Ticket, Worker};

impl Worker {
    /// A client asks what is known of its connection: the transport knows the rest.
    pub(super) fn ask_status(&mut self, ticket: Ticket) {
        if let Some(session) = self.session_mut(ticket.client) {
            session.unanswered += 1;
            self.requests.push_back(Request::Status { ticket });
        }
    }

    /// The transport answered [`Request::Status`].
    pub fn handle_status(&mut self, now: Now, ticket: Ticket, link: Link) {
        self.now = now;
        let key = ticket.client;
        let interests = self.interests(key);
        let Some(session) = self.session_mut(key) else { return };
        session.unanswered = session.unanswered.saturating_sub(1);
        let status = Status {
            client: session.client,
            user: session.user.clone(),
            interests,
            events_out: session.counts.events_out,
            bytes_out: session.counts.bytes_out,
            messages_in: session.counts.commands_in,
            link,
        };
        self.reply(key, ticket.id, Ok(Answer::Status(Box::new(status))));
    }
}

use engine::{ClientKey, Ticket};
use protocol::Link;

use super::shell::{Client, Peer, Shell};
use crate::departures::Sums;
use crate::quality::score;
use crate::transports::latency::Latency;

/// How a client's connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It answered no ping.
    TimeOut,
    /// It could not be written to.
    Write,
}

impl Client {
    /// What is known of what carries its messages.
    pub(crate) fn link(&self) -> Link {
        let (bytes_in, latency, is_slow) = match &self.peer {
            Peer::WebSocket(peer) => (peer.bytes_in(), peer.latency(), peer.is_slow()),
            Peer::Body(_) => (0, Latency::default(), false),
        };
        let (latency_ms, missed) = (latency.last_ms(), latency.missed_in_a_row());
        Link {
            connected_at_ms: self.connected_at_ms,
            bytes_in,
            latency_ms,
            quality: score(latency_ms, missed, is_slow),
            is_alive: missed == 0 && !is_slow,
        }
    }
}

impl Shell {
    /// What a client did so far.
    pub(crate) fn sums(&self, key: ClientKey) -> Sums {
        let (Some(client), Some(counts)) = (self.client(key), self.engine.counts(key)) else {
            return Sums::default();
        };
        let now_ms = crate::clock::wall_ms();
        let mut sums = Sums {
            clients: 1,
            connected_ms: now_ms.saturating_sub(client.connected_at_ms),
            messages_in: counts.commands_in,
            events_out: counts.events_out,
            bytes_out: counts.bytes_out,
            ..Sums::default()
        };
        if let Peer::WebSocket(peer) = &client.peer {
            sums.bytes_in = peer.bytes_in();
            sums.add_latency(&peer.latency());
        }
        sums
    }

    /// A client asks what is known of its connection.
    pub(super) fn tell_status(&mut self, ticket: Ticket) {
        let Some(link) = self.client(ticket.client).map(Client::link) else { return };
        let now = self.now();
        self.engine.handle_status(now, ticket, link);
    }

    /// A client is about to be forgotten: what it did still counts.
    pub(super) fn count_departure(&mut self, key: ClientKey) {
        if let Some(endpoint) = self.client(key).map(|client| client.endpoint.way.id.clone()) {
            self.node.departures.add(&endpoint, &self.sums(key));
        }
    }

    /// A client's connection failed.
    pub(super) fn count_failure(&self, key: ClientKey, failure: Failure) {
        let Some(client) = self.client(key) else { return };
        let sums = match failure {
            Failure::TimeOut => Sums { time_outs: 1, ..Sums::default() },
            Failure::Write => Sums { failed_writes: 1, ..Sums::default() },
        };
        self.node.departures.add(&client.endpoint.way.id, &sums);
    }
}

use std::sync::Arc;

use engine::ClientKey;
use protocol::{ClientId, CloseReason};

use super::link::Failure;
use super::shell::{Peer, Shell};
use crate::transports::websocket as ws;

/// Looking after connections: whether they live, who they are, and how they end.
impl Shell {
    pub(super) fn heartbeat(&mut self, key: ClientKey) {
        let Some(client) = self.client(key) else { return };
        match client.peer.clone() {
            Peer::WebSocket(peer) => {
                let now = self.now();
                let slow_timeout_ms = self.node.config().server.slow_timeout.as_ms();
                let is_read = self.is_accepting(key);
                match peer.heartbeat(now.ms, slow_timeout_ms, is_read) {
                    ws::Heartbeat::Ping => {
                        let number = self.engine.ping(key);
                        self.engine.append(key, |out| ws::push_ping(number, out));
                    }
                    ws::Heartbeat::Slow => {}
                    ws::Heartbeat::Dead => {
                        self.count_failure(key, Failure::TimeOut);
                        self.engine.close(now, key, CloseReason::HeartbeatMissed, None);
                    }
                    ws::Heartbeat::Unfinished => {
                        self.engine.close(now, key, CloseReason::Policy, None);
                    }
                }
            }
            Peer::Body(peer) => {
                self.engine.append(key, |out| out.extend_from_slice(peer.heartbeat));
            }
        }
    }

    /// The client shows that it is the one that had `id`: a connection that still has it is over.
    pub(super) fn restored(
        &mut self,
        key: ClientKey,
        id: ClientId,
        device: Option<Arc<str>>,
        before: ClientId,
    ) {
        if let Some(Some(client)) = self.clients.get_mut(key.place as usize) {
            client.id = id;
        }
        self.node.memberships.rename(before, id);
        let superseded = self.node.registry.rename(before, id, device);
        if let Some(old) = superseded.filter(|old| old.worker != self.place || old.key != key) {
            self.node.close_client(&old, CloseReason::TakenOver, None);
        }
    }

    pub(super) fn close_transport(&mut self, key: ClientKey, reason: CloseReason) {
        // Nothing that it says is heard any more.
        self.node.commands.handlers.gone((self.place, key));
        // It gets nothing more, so a successor need not wait for the end of its connection.
        // With a newer token it comes back, too.
        if reason.should_reconnect() || reason == CloseReason::Unauthorized {
            self.remember(key);
        } else {
            self.end_continuity(key);
        }
        let Some(client) = self.client(key) else { return };
        match client.peer.clone() {
            Peer::WebSocket(peer) => {
                self.engine.append_last(key, |out| ws::push_close(reason, out));
                peer.close();
            }
            Peer::Body(peer) => peer.close(key),
        }
    }
}

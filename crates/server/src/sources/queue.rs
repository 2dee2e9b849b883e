use std::collections::VecDeque;

use parking_lot::Mutex;
use protocol::Draft;
use tokio::sync::Notify;

/// What may wait, in bytes of [`Draft::bytes`].
const BYTES_MAX: usize = 16 << 20;
/// Most events that are taken at once.
const TAKEN_MAX: usize = 256;
/// Events are taken at once up to so many bytes.
const TAKEN_BYTES: usize = 1 << 20;

/// Events of a source that cannot be told to wait, on their way to the broker. It is bounded: what
/// finds no room is lost.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Default)]
struct Waiting {
    drafts: VecDeque<Draft>,
    bytes: usize,
}

impl Queue {
    /// Puts an event in; whether there was room.
    pub(super) fn push(&self, draft: Draft) -> bool {
        let mut waiting = self.waiting.lock();
        let bytes = draft.bytes();
        // One that is larger than the bound finds room when it is alone.
        if !waiting.drafts.is_empty() && waiting.bytes + bytes > BYTES_MAX {
            return false;
        }
        waiting.bytes += bytes;
        waiting.drafts.push_back(draft);
        self.filled.notify_one();
        true
    }

    /// Takes the oldest events, once there are some. One at a time calls this.
    pub(super) async fn take(&self) -> Vec<Draft> {
        loop {
            let taken = self.waiting.lock().take();
            if !taken.is_empty() {
                return taken;
            }
            self.filled.notified().await;
        }
    }
}

impl Waiting {
    fn take(&mut self) -> Vec<Draft> {
        let mut taken = Vec::new();
        let mut taken_bytes = 0;
        while taken.len() < TAKEN_MAX && taken_bytes < TAKEN_BYTES {
            let Some(draft) = self.drafts.pop_front() else { break };
            let bytes = draft.bytes();
            self.bytes -= bytes;
            taken_bytes += bytes;
            taken.push(draft);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use protocol::{Payload, Topic};

    fn draft(bytes: usize) -> Draft {
        let payload = Payload::Json(Bytes::from(vec![b'1'; bytes]));
        Draft::new(Topic::parse("a").unwrap(), payload)
    }

    #[tokio::test]
    async fn what_finds_no_room_is_lost_and_what_is_taken_makes_room() {
        let queue = Queue::default();
        assert!(queue.push(draft(BYTES_MAX * 2)));
        assert!(!queue.push(draft(1)));
        assert_eq!(queue.take().await.len(), 1);
        let small = (0..).take_while(|_| queue.push(draft(1_000))).count();
        assert!(small <= BYTES_MAX / 1_000 && small > BYTES_MAX / 2_000, "{small}");
        let mut taken = 0;
        while taken < small {
            let some = queue.take().await.len();
            assert!(some <= TAKEN_MAX);
            taken += some;
        }
    }
}

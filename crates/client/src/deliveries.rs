use std::collections::VecDeque;

use protocol::Payload;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::event::Item;

/// How far the client reads ahead of applications, in bytes, to find an answer that someone waits
/// for. Without that, a program that publishes between two reads of a full subscription would
/// wait for an answer that stands behind its own unread events.
const AHEAD_BYTES_MAX: usize = 8 << 20;
/// What an item weighs besides its data.
const ITEM_BYTES: usize = 256;

/// Items on their way to subscriptions whose queues are full, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    waiting: VecDeque<(mpsc::Sender<Item>, Item)>,
    bytes: usize,
}

impl Deliveries {
    /// Delivers at once where there is room and nothing waits before it.
    pub(crate) fn push(&mut self, queue: &mpsc::Sender<Item>, item: Item) {
        if self.waiting.is_empty() {
            match queue.try_send(item) {
                // Who dropped the subscription wants nothing more.
                Ok(()) | Err(TrySendError::Closed(_)) => {}
                Err(TrySendError::Full(item)) => self.wait(queue, item),
            }
        } else {
            self.wait(queue, item);
        }
    }

    /// Delivers what is no part of the order and may be left out where the application is behind.
    pub(crate) fn push_notice(&mut self, queue: &mpsc::Sender<Item>, item: Item) {
        if self.waiting.is_empty() {
            let _ = queue.try_send(item);
        }
    }

    fn wait(&mut self, queue: &mpsc::Sender<Item>, item: Item) {
        self.bytes += bytes_of(&item);
        self.waiting.push_back((queue.clone(), item));
    }

    /// Nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether there is room to read ahead.
    pub(crate) fn has_room_ahead(&self) -> bool {
        self.bytes < AHEAD_BYTES_MAX
    }

    /// Waits until the first queue has room, and delivers what can be delivered then. May be
    /// dropped at any time.
    pub(crate) async fn deliver(&mut self) {
        if let Some((queue, _)) = self.waiting.front() {
            // Closed counts as room: what is for it is dropped below.
            let _ = queue.reserve().await;
        }
        while let Some((queue, item)) = self.waiting.pop_front() {
            self.bytes = self.bytes.saturating_sub(bytes_of(&item));
            if let Err(TrySendError::Full(item)) = queue.try_send(item) {
                self.bytes += bytes_of(&item);
                self.waiting.push_front((queue, item));
                return;
            }
        }
    }
}

fn bytes_of(item: &Item) -> usize {
    let data = match item {
        Item::Event(event) | Item::Replay(event) => match &event.payload {
            Payload::Json(bytes) | Payload::Binary { bytes, .. } => bytes.len(),
        },
        _ => 0,
    };
    data + ITEM_BYTES
}

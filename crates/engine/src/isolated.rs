use std::panic::{AssertUnwindSafe, catch_unwind};

use protocol::{Conversation, Event, Gap, GapReason, Message, Position};

use crate::render::{Renderer, Rendering, Stream};

/// A mistake in the spelling of something: a dialect panicked. What it left behind is not looked
/// at again.
#[derive(Clone, Copy, Debug)]
pub struct Panicked;

/// Does something that knows nothing of the worker's state, which a panic in it cannot harm.
///
/// # Errors
/// Where it panicked.
pub fn isolated<T>(what: impl FnOnce() -> T) -> Result<T, Panicked> {
    // The panic's own message is printed where it happens.
    catch_unwind(AssertUnwindSafe(what)).map_err(|_| Panicked)
}

/// A renderer of which a panic costs one event, told as a gap, and neither the worker nor the
/// clients that get it: it would come again with every client that resumes.
pub(crate) struct Isolated(pub(crate) Box<dyn Renderer>);

impl Isolated {
    /// What stands for an event that cannot be spelled.
    fn push_gap(
        &mut self,
        rendering: Rendering,
        stream: &Stream<'_>,
        event: &Event,
        out: &mut Vec<u8>,
    ) {
        let gap = Gap {
            stream: stream.name.clone(),
            epoch: stream.epoch.clone(),
            from: event.seq,
            to: event.seq,
            reason: GapReason::Corruption,
        };
        let start = out.len();
        if isolated(|| self.0.gap(rendering, &gap, out)).is_err() {
            out.truncate(start);
        }
    }
}

impl Renderer for Isolated {
    fn event(
        &mut self,
        rendering: Rendering,
        stream: &Stream<'_>,
        event: &Event,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        if isolated(|| self.0.event(rendering, stream, event, out)).is_err() {
            out.truncate(start);
            self.push_gap(rendering, stream, event, out);
        }
    }

    fn gap(&mut self, rendering: Rendering, gap: &Gap, out: &mut Vec<u8>) {
        self.0.gap(rendering, gap, out);
    }

    fn batch_item(
        &mut self,
        rendering: Rendering,
        stream: &Stream<'_>,
        event: &Event,
        out: &mut Vec<u8>,
    ) -> bool {
        let start = out.len();
        isolated(|| self.0.batch_item(rendering, stream, event, out)).unwrap_or_else(|_| {
            out.truncate(start);
            self.push_gap(rendering, stream, event, out);
            false
        })
    }

    fn batch(
        &mut self,
        rendering: Rendering,
        stream: &Stream<'_>,
        items: &[u8],
        out: &mut Vec<u8>,
    ) {
        self.0.batch(rendering, stream, items, out);
    }

    fn message(
        &mut self,
        rendering: Rendering,
        conversation: &mut dyn Conversation,
        now_ms: u64,
        message: &Message,
        out: &mut Vec<u8>,
    ) {
        self.0.message(rendering, conversation, now_ms, message, out);
    }

    fn names_positions(&self, rendering: Rendering) -> bool {
        self.0.names_positions(rendering)
    }

    fn positions(&mut self, rendering: Rendering, positions: &[Position], out: &mut Vec<u8>) {
        self.0.positions(rendering, positions, out);
    }

    fn vary(&mut self, rendering: Rendering, options: &str) -> Option<Rendering> {
        isolated(|| self.0.vary(rendering, options)).ok().flatten()
    }

    fn release(&mut self, rendering: Rendering) -> bool {
        self.0.release(rendering)
    }
}

use protocol::{Conversation, Epoch, Event, Gap, Message, Position, StreamName};

/// What bytes an event becomes: dialect, root, options and transport, interned to a small number
/// by the [`Renderer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rendering(pub u16);

/// Turns events and messages into framed bytes. The engine decides what is said; a renderer only
/// knows how it looks.
pub trait Renderer {
    /// Appends the event as every client of the rendering gets it.
    fn event(
        &mut self,
        rendering: Rendering,
        stream: &Stream<'_>,
        event: &Event,
        out: &mut Vec<u8>,
    );

    /// Appends a gap that stands for an event, as every client of the rendering gets it.
    fn gap(&mut self, rendering: Rendering, gap: &Gap, out: &mut Vec<u8>);

    /// Appends the event as an item of a batch, behind a separator unless it is the first in `out`,
    /// and returns `true`; or as a whole frame where it cannot stand in a batch, and returns `false`.
    fn batch_item(
        &mut self,
        rendering: Rendering,
        stream: &Stream<'_>,
        event: &Event,
        out: &mut Vec<u8>,
    ) -> bool;

    /// Appends the items that [`Renderer::batch_item`] put into a buffer as one frame.
    fn batch(&mut self, rendering: Rendering, stream: &Stream<'_>, items: &[u8], out: &mut Vec<u8>);

    /// Appends a message to one client at this time, in ms since 1970; nothing where its dialect
    /// leaves it unsaid.
    fn message(
        &mut self,
        rendering: Rendering,
        conversation: &mut dyn Conversation,
        now_ms: u64,
        message: &Message,
        out: &mut Vec<u8>,
    );

    /// Whether each event is preceded by the session's positions (`id:` of server-sent events).
    fn names_positions(&self, rendering: Rendering) -> bool;

    /// Appends the positions that precede an event.
    fn positions(&mut self, rendering: Rendering, positions: &[Position], out: &mut Vec<u8>);

    /// The look that `rendering` has with the options of a client, which is one user of it more;
    /// `None` where there is no such look, or no room for it.
    fn vary(&mut self, _rendering: Rendering, _options: &str) -> Option<Rendering> {
        None
    }

    /// Such a look has one user less; whether it has none any more, and its number may come to mean
    /// another.
    fn release(&mut self, _rendering: Rendering) -> bool {
        false
    }
}

/// The stream of an event that is rendered.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a> {
    /// Its name.
    pub name: &'a StreamName,
    /// Its epoch.
    pub epoch: &'a Epoch,
}

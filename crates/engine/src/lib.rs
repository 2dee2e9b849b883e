//! What happens to an event between a broker and a client's bytes.
//!
//! State machines that are fed (`handle_*`) and polled (`poll_*`): nothing here opens a socket,
//! reads a clock or knows a dialect, a transport or a broker by name. Modules in the order in
//! which an event passes through them:

/// Which stream captures which topic.
pub mod streams;
/// The interface to where events are kept.
pub mod broker;
/// How far devices have acknowledged.
pub mod cursors;
/// The newest events of a stream, shared by the workers of a node.
pub mod tail;
/// A worker: its clients' sessions and how events reach them.
pub mod worker;
/// What must hold of the data of events, and what was found.
mod filters;
/// Subscriptions of a worker's clients, as a tree of pattern tokens.
mod index;
/// A client: its subscriptions, and its places in the streams.
mod session;
/// The newest event of each topic and audience.
mod view;
/// The interface to what makes bytes of events.
pub mod render;
/// What a mistake of a dialect can reach.
mod isolated;
/// Rendered events, shared by the clients of a worker.
mod run;
/// A client's write in flight.
mod outbox;
/// Which events a viewer asked for and may see.
pub mod selector;
/// What a client may do.
pub mod grants;
/// Kept events, read on demand.
pub mod history;

pub use broker::{Answer, Batch, Broker, Hole, Locate, Located, Page, Segment, StreamState};
pub use cursors::{Cursor, CursorQuery, Device};
pub use grants::{Action, Grants};
pub use isolated::{Panicked, isolated};
pub use render::{Renderer, Rendering, Stream};
pub use selector::{Selector, Viewer};
pub use session::SessionCounts;
pub use streams::{Retention, StreamIndex, StreamSpec, StreamTable};
pub use tail::{Pull, Tail, Wake};
pub use worker::{
    ClientKey, Connect, Counters, Identity, Limits, LocateTicket, Now, Presence, Remember,
    Remembered, Request, SessionTokens, SessionView, Snapshot, Ticket, Worker,
};

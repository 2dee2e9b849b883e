//! What is said: the words that publishers, brokers, sessions and clients share, and the dialects
//! that spell them on a wire.
//!
//! Nothing here does I/O, reads a clock or knows the engine. Modules in reading order:

/// Names of what events are about, and the patterns that select them.
pub mod topic;
/// Patterns of topics: matching, containment, overlap.
pub mod pattern;
/// Streams, epochs, seqs and positions.
pub mod position;
/// Events, their audience and their data.
pub mod event;
/// Conditions on the fields of an event's data.
pub mod filter;
/// Errors that a peer is told, from one table.
pub mod error;
/// Why a connection ends, from one table.
pub mod close;
/// What a client asks for.
pub mod command;
/// What a client is told.
pub mod message;
/// JSON text: depth bound, strings, raw values.
pub mod json;
/// The contract of a dialect.
pub mod dialect;
/// One folder per dialect.
pub mod dialects;

pub use close::CloseReason;
pub use command::{
    Call, Command, Exclude, Hello, History, Mode, Request, Start, Subscribe, Unsubscribe,
};
pub use dialect::{
    Batch, Conversation, Dialect, Frame, FrameKind, Misspelled, Opened, Opening, Requests,
};
pub use error::{Error, ErrorCode};
pub use event::{Audience, ClientId, Draft, Event, Payload, Publisher};
pub use filter::{Filter, FilterSet};
pub use message::{
    Answer, Appended, Interest, Link, Message, Status, Subscribed, SubscriptionId, Welcome,
};
pub use pattern::Pattern;
pub use position::{Durability, Epoch, Gap, GapReason, Position, SEQ_MAX, Seq, StreamName};
pub use topic::Topic;

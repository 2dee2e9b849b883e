//! A client for Tidings' native protocol, version 1.
//!
//! [`Client`] keeps one connection: it subscribes, publishes and reads history, and when the
//! connection breaks it comes back by itself and goes on where it was.
//!
//! ```no_run
//! use client::{Client, Item, Options, Publish, Subscribe};
//!
//! # async fn example() -> Result<(), client::Error> {
//! let client = Client::connect("http://127.0.0.1:8080", Options::default()).await?;
//! let mut news = client.subscribe(Subscribe::to(&["news.>"])?).await?;
//! client.publish(Publish::json("news.local", &serde_json::json!({"headline": "hello"}))?).await?;
//! while let Item::Event(event) = news.next().await? {
//!     println!("{} {}", event.topic, event.seq);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - **Order and completeness**: a subscription gets its events in the server's order, and what
//!   cannot be delivered as [`Item::Gap`]. Across reconnections it resumes at its positions and
//!   drops what it had before.
//! - **Publishing**: every publish carries an idempotency key, and is sent again with the same
//!   key after a reconnection until it is answered. [`Error::Timeout`] means that the outcome is
//!   unknown: publish again with the same key.
//! - **Back-pressure**: a subscription whose events are not taken holds a bounded queue; when it
//!   is full, the client stops reading, and the server keeps its place. All subscriptions of a
//!   client share one connection, so one that is not read holds up the others: read it or drop
//!   it.
//!
//! # How the parts fit
//!
//! Handles talk to a task that owns the connection. The task does the input and output; what it
//! says and expects is decided in a state without either, so that tests can script a server.
//! Modules in reading order:

/// What goes wrong.
mod error;
/// Where a server is.
mod url;
/// How a client behaves, and what it subscribes to and publishes.
mod options;
/// What subscribers get.
mod event;
/// Commands, and what handles them.
mod commands;
/// The handles that programs hold.
mod handle;
/// What carries frames, and how it is made.
mod link;
/// The link over TCP and WebSocket.
mod websocket_link;
/// How messages are spelled.
mod wire;
/// What was asked and not answered yet.
mod requests;
/// What a subscription has received of a stream.
mod seen;
/// The client's subscriptions: who gets an event, and where to resume.
mod subscriptions;
/// What the client handles.
mod handlers;
/// Items on their way to subscriptions.
mod deliveries;
/// Why a connection ended, and what follows.
mod ended;
/// The conversation with the server, without input and output.
mod state;
/// How long to wait before the next connection.
mod backoff;
/// When to ask a silent server whether it lives.
mod heartbeat;
/// The task that owns the connection.
mod driver;
/// The admin API over HTTP.
pub mod http;
#[cfg(test)]
mod tests;

pub use commands::{Answer, Call, HandlerCall, Handling};
pub use error::{Error, Refusal};
pub use event::{Event, HistoryPage, Item};
pub use handle::{Client, Status, Subscription, Welcome};
pub use link::{Connector, Frame, Link, Received};
pub use options::{History, Options, Publish, Subscribe};
pub use url::Url;
pub use websocket_link::{WebSocket, WebSocketConnector};

pub use protocol::{
    Appended, Audience, Durability, Epoch, ErrorCode, FrameKind, Gap, GapReason, Pattern, Payload,
    Position, Seq, Start, StreamName, Topic,
};

//! Tidings in a program of your own: a server inside an application, publishing from any thread,
//! subscribing within the process.
//!
//! ```no_run
//! use tidings::{Item, Server, Subscribe};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::start("[listen]\npublic = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"")?;
//! let mut log = server.client().subscribe(Subscribe::to(&["app.>"])?).await?;
//! server.publisher().publish("app.started", &serde_json::json!({ "pid": std::process::id() }))?;
//! if let Item::Event(event) = log.next().await? {
//!     println!("{}: {} at {:?}", event.topic, event.seq, server.bound().public);
//! }
//! # Ok(())
//! # }
//! ```

/// The one place that names all parts.
pub mod assemble;
/// A server inside a program.
mod embed;
/// Clients within the process.
mod local;
/// Publishing from any thread.
mod publisher;
/// Handling commands within the process.
mod handler;

pub use client::{Call, Client, Event, HandlerCall, Item, Subscribe, Subscription};
pub use embed::{Server, StartError};
pub use handler::Handler;
pub use protocol::{Appended, Draft, Error, ErrorCode};
pub use publisher::{Publisher, Receipt};
pub use server::{Bound, config};

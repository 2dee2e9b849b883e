//! Where events are kept: implementations of [`engine::Broker`]. None of them knows the server.

/// The time, as brokers are told it.
pub mod clock;
/// Events in this process: in memory, or in a directory.
pub mod embedded;

pub use clock::{Clock, ManualClock, Now, SystemClock};
pub use embedded::{Embedded, Level, Notice, OpenError, Options, Tell};

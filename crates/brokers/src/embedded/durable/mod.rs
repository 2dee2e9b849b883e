//! Streams in a directory.
//!
//! The log is a state machine over a small [`Disk`]; threads are thin and around it.

/// What the log needs of a file system.
mod disk;
/// A disk in memory that fails as disks do.
mod memory_disk;
/// An event as bytes.
mod record;
/// Which topics a block may hold.
mod topics;
/// What is known of a segment without reading it.
mod index;
/// A file of the log.
mod segment;
/// What readers know of a log.
mod catalog;
/// The idempotency ids of sealed segments.
mod sidecar;
/// The log of one stream.
mod log;
/// What retention leaves of it.
mod retain;
/// Opening it again.
mod recover;

pub use disk::{Directory, Disk, DiskFile};
pub use memory_disk::{Failure, MemoryDisk};

#[cfg(test)]
mod tests;

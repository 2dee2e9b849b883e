//! The load: cheap enough to share two cores with the server that it measures.

/// Subscribers: many sockets on one thread.
pub(crate) mod clients;
/// How a client subscribes.
pub(crate) mod dialogue;
/// As much of RFC 6455 as a load needs.
pub(crate) mod frames;
/// Percentiles.
pub(crate) mod latency;
/// Who publishes.
pub(crate) mod publisher;
/// What events carry.
pub(crate) mod stamp;

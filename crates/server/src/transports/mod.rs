//! What carries clients' frames.

/// A byte stream: a TCP socket, or a pipe within the process.
pub(crate) mod stream;
/// RFC 6455.
pub(crate) mod websocket;
/// Server-sent events.
pub(crate) mod sse;

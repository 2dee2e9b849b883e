//! What carries clients' frames.

/// A byte stream: a TCP socket, or a pipe within the process.
pub(crate) mod stream;
/// RFC 6455.
pub(crate) mod websocket;
/// Server-sent events.
pub(crate) mod sse;

/// What carries a client's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// RFC 6455.
    WebSocket,
    /// HTML standard, section 9.2.
    ServerSentEvents,
    /// A pipe within the process.
    Local,
}

impl Transport {
    /// The word that operators see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::ServerSentEvents => "sse",
            Self::Local => "local",
        }
    }
}

//! What carries clients' frames.

/// A byte stream: a TCP socket, or a pipe within the process.
pub(crate) mod stream;
/// How long answers to pings take.
pub(crate) mod latency;
/// RFC 6455.
pub(crate) mod websocket;
/// Events as the body of an answer over HTTP.
pub(crate) mod body;
/// Server-sent events.
pub(crate) mod sse;
/// Images, each in the place of the one before it.
pub(crate) mod mjpeg;

/// What carries a client's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// RFC 6455.
    WebSocket,
    /// HTML standard, section 9.2.
    ServerSentEvents,
    /// `multipart/x-mixed-replace` with images.
    Mjpeg,
    /// A pipe within the process.
    Local,
}

impl Transport {
    /// The word that operators see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::ServerSentEvents => "sse",
            Self::Mjpeg => "mjpeg",
            Self::Local => "local",
        }
    }
}

use std::fmt;

use protocol::ErrorCode;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server answered with an error.
    #[error("{0}")]
    Refused(Refusal),
    /// No answer came in time: whether it was done is unknown. A publish can be repeated with the
    /// same key.
    #[error("no answer came in time; the outcome is unknown")]
    Timeout,
    /// The server cannot be reached, or the connection broke.
    #[error("{0}")]
    Unreachable(String),
    /// The server closed the connection.
    #[error("the server closed the connection: {reason} ({code})")]
    Closed {
        /// The WebSocket close code.
        code: u16,
        /// The server's words.
        reason: String,
    },
    /// The server said what the protocol does not allow.
    #[error("the server does not speak the protocol: {0}")]
    Protocol(String),
    /// What was asked for cannot be sent.
    #[error("{0}")]
    Invalid(String),
    /// The client was closed.
    #[error("the client was closed")]
    Stopped,
}

/// An error that the server told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The word that programs rely on; a newer server may have words of its own.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// When the same request may succeed, in ms from then.
    pub retry_after_ms: Option<u64>,
    /// What else a program may want to know: JSON text.
    pub details: Option<std::sync::Arc<str>>,
    /// The HTTP status, where it came over HTTP.
    pub status: Option<u16>,
}

impl Refusal {
    /// The code, where it is one that this version knows.
    pub fn known_code(&self) -> Option<ErrorCode> {
        ErrorCode::ALL.iter().copied().find(|code| code.as_str() == self.code)
    }

    /// Whether the same request may succeed later without being changed.
    pub fn is_retryable(&self) -> bool {
        match (self.known_code(), self.status) {
            (Some(code), _) => code.is_retryable() || self.retry_after_ms.is_some(),
            (None, Some(status)) => status == 429 || status >= 500,
            (None, None) => self.retry_after_ms.is_some(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl From<protocol::Error> for Error {
    fn from(error: protocol::Error) -> Self {
        Self::Invalid(error.message)
    }
}

use std::fmt;
use std::sync::Arc;

use crate::json::push_str;

macro_rules! error_codes {
    ($($variant:ident $word:literal $status:literal $retry:literal $meaning:literal;)*) => {
        /// What went wrong, as a word that programs can rely on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $(#[doc = $meaning] $variant,)* }

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word on the wire: lower_snake.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The code of that word, where there is one.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == word)
            }

            /// The HTTP status that fits (RFC 9110).
            pub fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Whether the same request may succeed later without being changed.
            pub fn is_retryable(self) -> bool {
                match self { $(Self::$variant => $retry,)* }
            }

            /// One sentence for the documentation.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

error_codes! {
    BadRequest "bad_request" 400 false "The request cannot be understood, or asks for what does not exist.";
    InvalidTopic "invalid_topic" 400 false "The topic breaks a rule of topics.";
    InvalidPattern "invalid_pattern" 400 false "The pattern breaks a rule of patterns.";
    InvalidData "invalid_data" 422 false "The event's data is not what its topic requires.";
    Unauthorized "unauthorized" 401 false "No valid credential was given.";
    TokenExpired "token_expired" 401 false "The token was valid once.";
    Forbidden "forbidden" 403 false "The credential does not allow it.";
    NotFound "not_found" 404 false "There is no such thing.";
    TooLarge "too_large" 413 false "The message or the event's data is larger than allowed.";
    RateLimited "rate_limited" 429 true "Too many messages in the time.";
    TooManySubscriptions "too_many_subscriptions" 429 false "The client has as many subscriptions as it may.";
    TooManyConnections "too_many_connections" 429 true "The address, the user or the server has as many connections as it may.";
    TooManyDevices "too_many_devices" 429 true "The user has as many devices connected as allowed.";
    IdConflict "id_conflict" 409 false "The idempotency id was used for other content.";
    Overloaded "overloaded" 503 true "A bounded queue is full.";
    Storage "storage" 500 false "The store failed.";
    StorageFull "storage_full" 507 true "The store has no room.";
    BrokerUnavailable "broker_unavailable" 503 true "The broker cannot be reached.";
    NoHandler "no_handler" 503 true "Nothing handles the command.";
    CommandFailed "command_failed" 502 false "The command's backend answered with an error.";
    Timeout "timeout" 504 true "No answer came in time; the outcome is unknown.";
    Draining "draining" 503 true "The server is being drained or stopped.";
    Internal "internal" 500 false "The server made a mistake.";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error that a peer is told, in the peer's terms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// The word that programs rely on.
    pub code: ErrorCode,
    /// A sentence for people.
    pub message: String,
    /// When the same request may succeed, in ms from now.
    pub retry_after_ms: Option<u64>,
    /// What else a program may want to know: JSON text.
    pub details: Option<Arc<str>>,
}

impl Error {
    /// An error without a time to retry or details.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None, details: None }
    }

    /// An error that something else told, which may have codes of its own: such a one becomes
    /// [`ErrorCode::CommandFailed`], and stands in the details as `code`. `details` is JSON text.
    pub fn told(
        code: &str,
        message: &str,
        retry_after_ms: Option<u64>,
        details: Option<&str>,
    ) -> Self {
        let known = ErrorCode::parse(code);
        let details = match known {
            Some(_) => details.map(str::to_owned),
            None => {
                let mut out = b"{\"code\":".to_vec();
                push_str(&mut out, code);
                if let Some(details) = details {
                    out.extend_from_slice(b",\"details\":");
                    out.extend_from_slice(details.as_bytes());
                }
                out.push(b'}');
                String::from_utf8(out).ok()
            }
        };
        let error = Self::new(known.unwrap_or(ErrorCode::CommandFailed), message);
        Self { retry_after_ms, details: details.map(Into::into), ..error }
    }

    /// [`ErrorCode::BadRequest`] with a sentence.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    /// The same error with a time to retry, in ms from now.
    #[must_use]
    pub fn retry_after(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// The same error with details: valid JSON text.
    #[must_use]
    pub fn with_details(mut self, json: impl Into<Arc<str>>) -> Self {
        self.details = Some(json.into());
        self
    }
}

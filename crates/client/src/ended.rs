use std::time::Duration;

use protocol::CloseReason;

use crate::error::Error;
use crate::wire::Closing;

/// A server cannot keep clients away longer than this by asking them to come later.
const RECONNECT_AFTER_MAX: Duration = Duration::from_secs(600);

/// Why a connection ended, and what follows.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) error: Error,
    pub(crate) next: Next,
}

/// What follows the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Stop,
    /// Another attempt: after this time, where the server named one.
    Reconnect(Option<Duration>),
}

impl Ended {
    pub(crate) fn stop(error: Error) -> Self {
        Self { error, next: Next::Stop }
    }

    pub(crate) fn reconnect(error: Error) -> Self {
        Self { error, next: Next::Reconnect(None) }
    }

    /// An attempt to connect, or a hello, failed.
    pub(crate) fn refused(error: Error) -> Self {
        match &error {
            Error::Refused(refusal) if refusal.is_retryable() => {
                let after = refusal.retry_after_ms.map(bounded);
                Self { error, next: Next::Reconnect(after) }
            }
            Error::Unreachable(_) | Error::Timeout => Self::reconnect(error),
            _ => Self::stop(error),
        }
    }

    /// The server closed the connection.
    pub(crate) fn closed(closing: Closing) -> Self {
        let Closing { code, reason, reconnect_after_ms } = closing;
        let next = match reconnect_after_ms {
            Some(ms) => Next::Reconnect(Some(bounded(ms))),
            None if should_reconnect(code) => Next::Reconnect(None),
            None => Next::Stop,
        };
        Self { error: Error::Closed { code, reason }, next }
    }
}

/// Whether a client should come back after this close code. Unknown codes are a newer server's;
/// most reasons pass.
fn should_reconnect(code: u16) -> bool {
    let known = CloseReason::ALL.iter().find(|reason| reason.code() == code);
    known.is_none_or(|reason| reason.should_reconnect())
}

fn bounded(ms: u64) -> Duration {
    Duration::from_millis(ms).min(RECONNECT_AFTER_MAX)
}

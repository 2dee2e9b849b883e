use std::time::{Duration, Instant};

use client::Error;

/// Wait before the first repetition; it doubles with each.
const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How long is tried where nothing has worked yet: whoever named a wrong server wants to know.
const AT_FIRST: Duration = Duration::from_millis(500);
/// How long is tried where it worked before: a server takes so long to start anew.
const LATER: Duration = Duration::from_secs(30);

/// How long something is tried that may work later.
pub(super) struct Patience {
    has_worked: bool,
    failing_since: Option<Instant>,
    wait: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { has_worked: false, failing_since: None, wait: WAIT_MIN }
    }

    /// It worked.
    pub(super) fn renew(&mut self) {
        *self = Self { has_worked: true, ..Self::new() };
    }

    /// Whether it worked until just now.
    pub(super) fn is_surprised(&self) -> bool {
        self.has_worked && self.failing_since.is_none()
    }

    /// Waits until the next attempt.
    ///
    /// # Errors
    /// Where there should be none.
    pub(super) async fn wait(&mut self, error: &Error) -> Result<(), ()> {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let most = if self.has_worked { LATER } else { AT_FIRST };
        let asked = match error {
            Error::Refused(refusal) => refusal.retry_after_ms.map(Duration::from_millis),
            _ => None,
        };
        let wait = asked.unwrap_or(self.wait).max(self.wait);
        if since.elapsed() + wait > most {
            return Err(());
        }
        tokio::time::sleep(wait).await;
        self.wait = (self.wait * 2).min(WAIT_MAX);
        Ok(())
    }
}

/// Whether the same request may work later. All carry ids, so none is kept twice.
pub(super) fn may_be_repeated(error: &Error) -> bool {
    match error {
        Error::Unreachable(_) | Error::Timeout => true,
        Error::Refused(refusal) => refusal.is_retryable(),
        _ => false,
    }
}

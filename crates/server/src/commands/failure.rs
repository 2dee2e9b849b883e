use std::time::Duration;

use protocol::{Error, ErrorCode};

/// The longest wait before a try, where the backend does not ask for a longer one; it doubles with
/// each up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Why a try brought no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) kind: Kind,
}

/// What a failure says of the backend, and of what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It answered with an error: it works.
    Answered,
    /// It could not be reached: nothing was carried out.
    Undelivered,
    /// There is none at the moment, and so none that could be broken: nothing was carried out.
    Absent,
    /// It did not answer, or not in a way that can be understood: whether it carried anything out is
    /// unknown.
    Broken,
}

impl Failure {
    pub(super) fn new(kind: Kind, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { error: Error::new(code, message), kind }
    }

    /// The backend told an error.
    pub(super) fn answered(error: Error) -> Self {
        Self { error, kind: Kind::Answered }
    }

    /// No answer came in time.
    pub(super) fn timed_out() -> Self {
        let message = "the command was not answered in time; whether it was carried out is unknown";
        Self::new(Kind::Broken, ErrorCode::Timeout, message)
    }

    /// Whether nothing was carried out, so that another try repeats nothing. A backend that tells
    /// when to come back has done nothing yet, either.
    pub(super) fn is_safe_to_retry(&self) -> bool {
        match self.kind {
            Kind::Undelivered | Kind::Absent => true,
            Kind::Answered => {
                self.error.retry_after_ms.is_some()
                    && self.error.code.is_retryable()
                    && self.error.code != ErrorCode::Timeout
            }
            Kind::Broken => false,
        }
    }

    /// How long to wait before the next try, of which `tries` were before it: with full jitter, so
    /// that many callers do not come back in step, and not before the backend asked for it.
    pub(super) fn wait(&self, tries: u32, random: u64) -> Duration {
        let most = WAIT_MIN.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(WAIT_MAX);
        let most_ms = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        let drawn = Duration::from_millis(random % (most_ms + 1));
        let asked = Duration::from_millis(self.error.retry_after_ms.unwrap_or(0));
        if asked.is_zero() { drawn } else { asked + drawn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_carried_out_is_tried_again() {
        let of = |kind, code| Failure::new(kind, code, "");
        assert!(of(Kind::Undelivered, ErrorCode::NoHandler).is_safe_to_retry());
        assert!(of(Kind::Absent, ErrorCode::NoHandler).is_safe_to_retry());
        assert!(!of(Kind::Broken, ErrorCode::NoHandler).is_safe_to_retry());
        assert!(!Failure::timed_out().is_safe_to_retry());
        for (code, expected) in [
            (ErrorCode::Overloaded, true),
            (ErrorCode::RateLimited, true),
            (ErrorCode::Timeout, false),
            (ErrorCode::CommandFailed, false),
        ] {
            let told = Error::new(code, "");
            assert!(!Failure::answered(told.clone()).is_safe_to_retry(), "{code}");
            let later = Failure::answered(told.retry_after(5));
            assert_eq!(later.is_safe_to_retry(), expected, "{code}");
        }
    }

    #[test]
    fn waits_double_and_are_drawn_from_all_of_their_range() {
        let failure = Failure::new(Kind::Undelivered, ErrorCode::NoHandler, "");
        for (tries, most_ms) in [(1, 100), (2, 200), (3, 400), (7, 5_000), (4_000_000_000, 5_000)] {
            assert_eq!(failure.wait(tries, 0), Duration::ZERO);
            assert_eq!(failure.wait(tries, most_ms), Duration::from_millis(most_ms));
            assert_eq!(failure.wait(tries, most_ms + 1), Duration::ZERO);
        }
        let asked = Failure::answered(Error::new(ErrorCode::Overloaded, "").retry_after(700));
        assert_eq!(asked.wait(1, 0), Duration::from_millis(700));
        assert_eq!(asked.wait(1, 30), Duration::from_millis(730));
    }
}

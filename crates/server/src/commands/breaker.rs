use std::time::{Duration, Instant};

use crate::config;

/// Leaves a backend alone that fails again and again. After a while one call probes it: where that
/// goes well all calls go through again, otherwise it is left alone for as long once more.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Failures in a row.
    failures: u32,
    /// Until when it is open, once it is.
    open_until: Option<Instant>,
    /// A probe is under way.
    is_probing: bool,
}

/// How a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Calls go through.
    Closed,
    /// None does.
    Open,
    /// One may, to find out.
    HalfOpen,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// How long those wait that come while a probe is under way.
const PROBE_WAIT: Duration = Duration::from_millis(500);

impl Breaker {
    pub(super) fn state(&self, now: Instant) -> State {
        match self.open_until {
            None => State::Closed,
            Some(until) if now < until => State::Open,
            Some(_) => State::HalfOpen,
        }
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// When a call may go through again, where none may now.
    pub(super) fn retry_after_ms(&self, now: Instant) -> Option<u64> {
        let until = self.open_until?;
        let wait = match until.checked_duration_since(now).filter(|wait| !wait.is_zero()) {
            Some(wait) => wait,
            None if self.is_probing => PROBE_WAIT,
            None => return None,
        };
        Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1))
    }

    /// A call wants to go through.
    ///
    /// # Errors
    /// In how many ms it may try again, where it must not.
    pub(super) fn enter(&mut self, now: Instant) -> Result<(), u64> {
        match self.retry_after_ms(now) {
            Some(wait_ms) => Err(wait_ms),
            None => {
                self.is_probing = self.open_until.is_some();
                Ok(())
            }
        }
    }

    /// A call that went through found a backend that works; whether that closed it.
    pub(super) fn succeeded(&mut self) -> bool {
        let was_open = self.open_until.is_some();
        *self = Self::default();
        was_open
    }

    /// A call that went through found one that does not; whether that opened it.
    pub(super) fn failed(&mut self, now: Instant, rule: &config::Breaker) -> bool {
        self.failures = self.failures.saturating_add(1);
        // What comes back late from before it opened says nothing new.
        let is_new = self.is_probing || self.open_until.is_none();
        if !is_new || (!self.is_probing && self.failures < rule.failures) {
            return false;
        }
        self.is_probing = false;
        self.open_until = Some(now + Duration::from_millis(rule.open.as_ms()));
        true
    }

    /// A call that went through found out nothing.
    pub(super) fn left(&mut self) {
        self.is_probing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Timespan;

    const RULE: config::Breaker = config::Breaker { failures: 3, open: Timespan::from_secs(30) };

    fn opened() -> (Breaker, Instant) {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..2 {
            assert_eq!(breaker.enter(now), Ok(()));
            assert!(!breaker.failed(now, &RULE));
        }
        assert_eq!((breaker.enter(now), breaker.state(now)), (Ok(()), State::Closed));
        assert!(breaker.failed(now, &RULE));
        (breaker, now)
    }

    #[test]
    fn it_opens_at_failures_in_a_row() {
        let (mut breaker, now) = opened();
        assert_eq!((breaker.enter(now), breaker.state(now)), (Err(30_000), State::Open));
        let later = now + Duration::from_millis(29_999);
        assert_eq!((breaker.enter(later), breaker.state(later)), (Err(1), State::Open));
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            assert!(!breaker.failed(now, &RULE) && !breaker.failed(now, &RULE));
            assert!(!breaker.succeeded());
        }
    }

    #[test]
    fn one_probe_decides_what_follows() {
        let (mut breaker, now) = opened();
        let half = now + Duration::from_secs(30);
        assert_eq!((breaker.state(half), breaker.enter(half)), (State::HalfOpen, Ok(())));
        assert_eq!(breaker.enter(half), Err(500), "a second one");
        assert!(breaker.failed(half, &RULE));
        assert_eq!(breaker.enter(half), Err(30_000));
        let half = half + Duration::from_secs(30);
        assert_eq!(breaker.enter(half), Ok(()));
        breaker.left();
        assert_eq!(breaker.enter(half), Ok(()), "the one before found out nothing");
        assert!(breaker.succeeded());
        assert_eq!((breaker.state(half), breaker.failures()), (State::Closed, 0));
    }

    #[test]
    fn late_failures_do_not_keep_it_open() {
        let (mut breaker, now) = opened();
        let later = now + Duration::from_secs(20);
        assert!(!breaker.failed(later, &RULE));
        assert_eq!(breaker.state(now + Duration::from_secs(30)), State::HalfOpen);
    }
}

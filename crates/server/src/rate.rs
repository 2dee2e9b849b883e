use crate::config::{Rate, Timespan};

/// A token bucket: so many per period, all of which may come at once.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    /// Tokens that come per ms.
    per_ms: f64,
    full: f64,
    tokens: f64,
    /// None before the first.
    at_ms: Option<u64>,
}

impl Bucket {
    pub(crate) fn new(rate: Rate) -> Self {
        let full = f64::from(rate.count);
        Self {
            per_ms: full / Timespan::from(rate.per).as_ms() as f64,
            full,
            tokens: full,
            at_ms: None,
        }
    }

    /// Takes one, or says in how many ms there is one.
    pub(crate) fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        let since_ms = now_ms.saturating_sub(self.at_ms.unwrap_or(now_ms));
        self.at_ms = Some(now_ms);
        self.tokens = (self.tokens + since_ms as f64 * self.per_ms).min(self.full);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(((1.0 - self.tokens) / self.per_ms).ceil() as u64)
    }

    /// Whether it is as it was made: nobody needs to remember it.
    pub(crate) fn is_full(&self, now_ms: u64) -> bool {
        let since_ms = now_ms.saturating_sub(self.at_ms.unwrap_or(now_ms));
        self.tokens + since_ms as f64 * self.per_ms >= self.full
    }
}

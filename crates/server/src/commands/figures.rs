use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use protocol::{Error, ErrorCode};

/// Most calls of a node that are being carried out.
const CALLS_MAX: usize = 65_536;
/// Most bytes of their data; one call alone may have more.
const BYTES_MAX: usize = 256 << 20;

/// What happened to calls.
#[derive(Default)]
pub(super) struct Counts {
    in_flight: Arc<InFlight>,
    succeeded: AtomicU64,
    failed: AtomicU64,
    timed_out: AtomicU64,
    unhandled: AtomicU64,
    refused: AtomicU64,
    milliseconds: AtomicU64,
    pub(super) retries: AtomicU64,
}

#[derive(Default)]
struct InFlight {
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

/// Room for a call, given back when this is dropped.
pub(super) struct Admitted {
    in_flight: Arc<InFlight>,
    bytes: usize,
    since: Instant,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.in_flight.calls.fetch_sub(1, Ordering::Relaxed);
        self.in_flight.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The figures of a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CommandFigures {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) timed_out: u64,
    pub(crate) unhandled: u64,
    pub(crate) refused: u64,
    pub(crate) milliseconds: u64,
    pub(crate) retries: u64,
    pub(crate) in_flight: u64,
    pub(crate) breakers_open: u64,
    pub(crate) handlers: u64,
}

impl Counts {
    /// Room for a call, where there is some.
    pub(super) fn admit(&self, bytes: usize) -> Option<Admitted> {
        let in_flight = self.in_flight.clone();
        let calls = in_flight.calls.fetch_add(1, Ordering::Relaxed);
        let held = in_flight.bytes.fetch_add(bytes, Ordering::Relaxed);
        let admitted = Admitted { in_flight, bytes, since: Instant::now() };
        let has_room = calls < CALLS_MAX && (held == 0 || held + bytes <= BYTES_MAX);
        if !has_room {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        has_room.then_some(admitted)
    }

    /// A call was answered.
    pub(super) fn done(&self, admitted: Admitted, result: &Result<Bytes, Error>) {
        let took_ms = admitted.since.elapsed().as_millis();
        self.milliseconds.fetch_add(u64::try_from(took_ms).unwrap_or(u64::MAX), Ordering::Relaxed);
        let outcome = match result.as_ref().map_err(|error| error.code) {
            Ok(_) => &self.succeeded,
            Err(ErrorCode::Timeout) => &self.timed_out,
            Err(ErrorCode::NoHandler) => &self.unhandled,
            Err(ErrorCode::Overloaded | ErrorCode::RateLimited) => &self.refused,
            Err(_) => &self.failed,
        };
        outcome.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self, breakers_open: u64, handlers: u64) -> CommandFigures {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CommandFigures {
            succeeded: read(&self.succeeded),
            failed: read(&self.failed),
            timed_out: read(&self.timed_out),
            unhandled: read(&self.unhandled),
            refused: read(&self.refused),
            milliseconds: read(&self.milliseconds),
            retries: read(&self.retries),
            in_flight: self.in_flight.calls.load(Ordering::Relaxed) as u64,
            breakers_open,
            handlers,
        }
    }
}

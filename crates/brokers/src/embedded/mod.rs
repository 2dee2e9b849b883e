use std::sync::Arc;

use engine::{
    Answer, Broker, Locate, Located, Page, Selector, StreamIndex, StreamState, StreamTable, Tail,
};
use protocol::{Appended, Draft, Error, ErrorCode, Seq};

use crate::clock::Clock;

/// What is compared to know whether the same was published under the same id.
mod fingerprint;
/// The idempotency ids that a stream remembers.
mod ids;
/// Events on their way into one batch.
mod chunk;
/// What becomes of a draft.
mod outcome;
/// What is too old to be delivered by anybody.
mod expiry;
/// What the broker needs from outside.
mod options;
/// Streams in memory.
mod memory;
/// Streams in a directory.
pub mod durable;

pub use options::Options;

/// The broker inside the process. It answers before the call that asked returns, on the caller's
/// thread, and takes nothing but a short lock on the one stream.
pub struct Embedded {
    streams: Box<[memory::Stream]>,
    clock: Arc<dyn Clock>,
}

impl Embedded {
    /// A broker that keeps every stream of the table in memory, in a new epoch. Whatever durability
    /// a stream is configured to have, acknowledgements say `memory`: that is what they reached.
    pub fn new(table: &StreamTable, options: &Options) -> Self {
        let specs = table.indexes().zip(table.specs());
        let streams = specs.map(|(at, spec)| memory::Stream::new(at, spec, options)).collect();
        Self { streams, clock: options.clock.clone() }
    }

    fn stream(&self, at: StreamIndex) -> Result<&memory::Stream, Error> {
        self.streams.get(at.get()).ok_or_else(|| {
            Error::new(ErrorCode::NotFound, format!("there is no stream number {}", at.0))
        })
    }
}

impl Broker for Embedded {
    fn append(
        &self,
        stream: StreamIndex,
        drafts: Vec<Draft>,
        answer: Answer<Vec<Result<Appended, Error>>>,
    ) {
        answer(match self.stream(stream) {
            Ok(stream) => stream.append(drafts, self.clock.now()),
            Err(error) => drafts.iter().map(|_| Err(error.clone())).collect(),
        });
    }

    fn read(
        &self,
        stream: StreamIndex,
        after: Seq,
        bytes_max: usize,
        answer: Answer<Result<Page, Error>>,
    ) {
        answer(self.stream(stream).map(|stream| stream.read(after, bytes_max)));
    }

    fn locate(
        &self,
        stream: StreamIndex,
        selector: Selector,
        what: Locate,
        answer: Answer<Result<Located, Error>>,
    ) {
        answer(self.stream(stream).map(|stream| stream.locate(&selector, what)));
    }

    fn tail(&self, stream: StreamIndex) -> Option<Arc<Tail>> {
        self.stream(stream).ok().map(memory::Stream::tail)
    }

    fn state(&self, stream: StreamIndex) -> Option<StreamState> {
        self.stream(stream).ok().map(memory::Stream::state)
    }

    fn maintain(&self) {
        for stream in &self.streams {
            stream.maintain(self.clock.now());
        }
    }
}

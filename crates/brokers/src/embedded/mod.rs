use std::sync::Arc;

use engine::{
    Answer, Broker, Cursor, CursorQuery, Device, Locate, Located, Page, Selector, StreamIndex,
    StreamState, StreamTable, Tail,
};
use protocol::{Appended, Draft, Epoch, Error, ErrorCode, Seq};

use crate::clock::Clock;

/// What is compared to know whether the same was published under the same id.
mod fingerprint;
/// The idempotency ids that a stream remembers.
mod ids;
/// How far devices have acknowledged.
mod cursors;
/// What the broker needs from outside.
mod options;
/// Streams in memory.
mod memory;

pub use options::Options;

use cursors::Cursors;

/// The broker inside the process. It answers before the call that asked returns, on the caller's
/// thread, and takes nothing but a short lock on the one stream.
pub struct Embedded {
    streams: Box<[memory::Stream]>,
    /// Of each stream.
    cursors: Box<[Cursors]>,
    clock: Arc<dyn Clock>,
}

impl Embedded {
    /// A broker that keeps every stream of the table in memory, in a new epoch. Whatever durability
    /// a stream is configured to have, acknowledgements say `memory`: that is what they reached.
    pub fn new(table: &StreamTable, options: &Options) -> Self {
        let specs = table.indexes().zip(table.specs());
        let streams = specs.map(|(at, spec)| memory::Stream::new(at, spec, options)).collect();
        let cursors = || Cursors::new(options.cursor_age_ms, options.cursor_count);
        let cursors = table.indexes().map(|_| cursors()).collect();
        Self { streams, cursors, clock: options.clock.clone() }
    }

    fn stream(&self, at: StreamIndex) -> Result<&memory::Stream, Error> {
        self.streams.get(at.get()).ok_or_else(|| {
            Error::new(ErrorCode::NotFound, format!("there is no stream number {}", at.0))
        })
    }

    fn cursors_of(&self, at: StreamIndex) -> Result<&Cursors, Error> {
        self.stream(at)?;
        let missing = || Error::new(ErrorCode::Internal, "a stream has no cursors");
        self.cursors.get(at.get()).ok_or_else(missing)
    }

    fn store_cursor(
        &self,
        at: StreamIndex,
        device: Device,
        epoch: Epoch,
        seq: Seq,
    ) -> Result<Cursor, Error> {
        let (state, cursors) = (self.stream(at)?.state(), self.cursors_of(at)?);
        let name = &state.stream;
        if state.epoch != epoch {
            let message =
                format!("ack: the stream {name} is in the epoch {}, not {epoch}", state.epoch);
            return Err(Error::bad_request(message));
        }
        if seq > state.last {
            let message = format!("ack: the stream {name} ends at {}, before {seq}", state.last);
            return Err(Error::bad_request(message));
        }
        let now = self.clock.now();
        Ok(cursors.store(device, Cursor { epoch, seq, at_ms: now.wall_ms }, now))
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

    fn acknowledge(
        &self,
        stream: StreamIndex,
        device: Device,
        epoch: Epoch,
        seq: Seq,
        answer: Answer<Result<Cursor, Error>>,
    ) {
        answer(self.store_cursor(stream, device, epoch, seq));
    }

    fn cursor(
        &self,
        stream: StreamIndex,
        device: Device,
        answer: Answer<Result<Option<Cursor>, Error>>,
    ) {
        let now = self.clock.now();
        answer(self.cursors_of(stream).map(|cursors| cursors.load(&device, now)));
    }

    fn cursors(
        &self,
        stream: StreamIndex,
        query: CursorQuery,
        answer: Answer<Result<Vec<(Device, Cursor)>, Error>>,
    ) {
        let now = self.clock.now();
        answer(self.cursors_of(stream).map(|cursors| cursors.list(&query, now)));
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
        for cursors in &self.cursors {
            cursors.maintain(self.clock.now());
        }
    }
}

use std::path::Path;
use std::sync::Arc;

use engine::{
    Answer, Broker, Cursor, CursorQuery, Device, Locate, Located, Page, Selector, StreamIndex,
    StreamSpec, StreamState, StreamTable, Tail,
};
use protocol::{Appended, Draft, Epoch, Error, ErrorCode, Seq};

use crate::clock::Clock;
use durable::{Disk, Home};

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
/// What an operator is told.
mod notice;
/// How far devices have acknowledged.
mod cursors;
/// What the broker needs from outside.
mod options;
/// Streams in memory.
mod memory;
/// Streams in a directory.
pub mod durable;

pub use durable::OpenError;
pub use notice::{Level, Notice};
pub use options::{Options, Tell};

use cursors::Cursors;

/// The broker inside the process: streams in memory, and in a directory where one is given.
///
/// A memory stream answers before the call that asked returns, on the caller's thread, and takes
/// nothing but a short lock. A durable one answers on a thread of its own.
pub struct Embedded {
    streams: Box<[Stream]>,
    /// The directory, where there is one.
    home: Option<Arc<Home>>,
    clock: Arc<dyn Clock>,
}

enum Stream {
    Memory(Box<memory::Stream>),
    Durable(Box<durable::Stream>),
}

impl Stream {
    fn state(&self) -> StreamState {
        match self {
            Self::Memory(stream) => stream.state(),
            Self::Durable(stream) => stream.state(),
        }
    }
}

impl Embedded {
    /// A broker that keeps every stream of the table in memory, in a new epoch. Whatever durability
    /// a stream is configured to have, acknowledgements say `memory`: that is what they reached.
    pub fn new(table: &StreamTable, options: &Options) -> Self {
        let specs = table.indexes().zip(table.specs());
        let in_memory = |(at, spec)| in_memory(at, spec, options);
        let streams = specs.map(in_memory).collect();
        Self { streams, home: None, clock: options.clock.clone() }
    }

    /// A broker that keeps the streams of the table in a directory that are configured to be
    /// durable. The directory is its own until it is dropped or the process ends.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        table: &StreamTable,
        directory: &Path,
        options: &Options,
    ) -> Result<Self, OpenError> {
        Self::in_home(table, Home::at(directory, options)?, options)
    }

    /// The same on any disk, which nobody else may use.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn on_disk(
        table: &StreamTable,
        disk: Arc<dyn Disk>,
        options: &Options,
    ) -> Result<Self, OpenError> {
        Self::in_home(table, Home::on(disk, None, options)?, options)
    }

    fn in_home(table: &StreamTable, home: Arc<Home>, options: &Options) -> Result<Self, OpenError> {
        let open = |(at, spec): (StreamIndex, &StreamSpec)| -> Result<Stream, OpenError> {
            if !durable::is_durable(spec.durability) {
                // Kept again later, it does not go on with what it was before.
                home.store.forget_stream(&spec.name)?;
                return Ok(in_memory(at, spec, options));
            }
            Ok(Stream::Durable(Box::new(durable::Stream::open(&home, at, spec, options)?)))
        };
        let streams = table.indexes().zip(table.specs()).map(open).collect::<Result<_, _>>()?;
        Ok(Self { streams, home: Some(home), clock: options.clock.clone() })
    }

    fn stream(&self, at: StreamIndex) -> Result<&Stream, Error> {
        self.streams.get(at.get()).ok_or_else(|| {
            Error::new(ErrorCode::NotFound, format!("there is no stream number {}", at.0))
        })
    }

    fn cursors_of(&self, at: StreamIndex) -> Result<&Cursors, Error> {
        Ok(match self.stream(at)? {
            Stream::Memory(stream) => &stream.cursors,
            Stream::Durable(stream) => stream.cursors(),
        })
    }
}

/// An error where a stream has another epoch, or no such event yet.
fn check(state: &StreamState, epoch: &Epoch, seq: Seq) -> Result<(), Error> {
    let name = &state.stream;
    if state.epoch != *epoch {
        let message =
            format!("ack: the stream {name} is in the epoch {}, not {epoch}", state.epoch);
        return Err(Error::bad_request(message));
    }
    if seq > state.last {
        let message = format!("ack: the stream {name} ends at {}, before {seq}", state.last);
        return Err(Error::bad_request(message));
    }
    Ok(())
}

fn in_memory(at: StreamIndex, spec: &StreamSpec, options: &Options) -> Stream {
    Stream::Memory(Box::new(memory::Stream::new(at, spec, options)))
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

impl Broker for Embedded {
    fn append(
        &self,
        stream: StreamIndex,
        drafts: Vec<Draft>,
        answer: Answer<Vec<Result<Appended, Error>>>,
    ) {
        match self.stream(stream) {
            Ok(Stream::Memory(stream)) => answer(stream.append(drafts, self.clock.now())),
            Ok(Stream::Durable(stream)) => stream.append(drafts, answer),
            Err(error) => answer(drafts.iter().map(|_| Err(error.clone())).collect()),
        }
    }

    fn read(
        &self,
        stream: StreamIndex,
        after: Seq,
        bytes_max: usize,
        answer: Answer<Result<Page, Error>>,
    ) {
        match self.stream(stream) {
            Ok(Stream::Memory(stream)) => answer(Ok(stream.read(after, bytes_max))),
            Ok(Stream::Durable(stream)) => stream.read(after, bytes_max, answer),
            Err(error) => answer(Err(error)),
        }
    }

    fn read_selected(
        &self,
        stream: StreamIndex,
        after: Seq,
        selector: Selector,
        bytes_max: usize,
        answer: Answer<Result<Page, Error>>,
    ) {
        match self.stream(stream) {
            Ok(Stream::Durable(stream)) => stream.read_selected(after, selector, bytes_max, answer),
            // Of what is in memory everything is at hand.
            _ => self.read(stream, after, bytes_max, answer),
        }
    }

    fn read_newest(
        &self,
        stream: StreamIndex,
        after: Seq,
        bytes_max: usize,
        answer: Answer<Result<Page, Error>>,
    ) {
        match self.stream(stream) {
            Ok(Stream::Durable(stream)) => stream.read_newest(after, bytes_max, answer),
            _ => self.read(stream, after, bytes_max, answer),
        }
    }

    fn locate(
        &self,
        stream: StreamIndex,
        selector: Selector,
        what: Locate,
        answer: Answer<Result<Located, Error>>,
    ) {
        match self.stream(stream) {
            Ok(Stream::Memory(stream)) => answer(Ok(stream.locate(&selector, what))),
            Ok(Stream::Durable(stream)) => stream.locate(selector, what, answer),
            Err(error) => answer(Err(error)),
        }
    }

    fn acknowledge(
        &self,
        stream: StreamIndex,
        device: Device,
        epoch: Epoch,
        seq: Seq,
        answer: Answer<Result<Cursor, Error>>,
    ) {
        let stream = match self.stream(stream) {
            Ok(stream) => stream,
            Err(error) => return answer(Err(error)),
        };
        if let Err(error) = check(&stream.state(), &epoch, seq) {
            return answer(Err(error));
        }
        let now = self.clock.now();
        let cursor = Cursor { epoch, seq, at_ms: now.wall_ms };
        match stream {
            Stream::Memory(stream) => answer(Ok(stream.cursors.store(device, cursor, now))),
            Stream::Durable(stream) => stream.acknowledge(device, cursor, answer),
        }
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
        Some(match self.stream(stream).ok()? {
            Stream::Memory(stream) => stream.tail(),
            Stream::Durable(stream) => stream.tail(),
        })
    }

    fn state(&self, stream: StreamIndex) -> Option<StreamState> {
        Some(self.stream(stream).ok()?.state())
    }

    fn maintain(&self) {
        let now = self.clock.now();
        for stream in &self.streams {
            match stream {
                Stream::Memory(stream) => {
                    stream.maintain(now);
                    stream.cursors.maintain(now);
                }
                Stream::Durable(stream) => stream.maintain(now),
            }
        }
    }

    fn close(&self) {
        for stream in &self.streams {
            if let Stream::Durable(stream) = stream {
                stream.close();
            }
        }
        if let Some(home) = &self.home {
            home.keeper.close();
        }
    }
}

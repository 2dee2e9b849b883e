use std::sync::{Arc, Mutex};

use engine::{
    Answer, Broker, Cursor, CursorQuery, Device, Locate, Located, Page, Selector, StreamIndex,
    StreamState, Tail,
};
use protocol::{Appended, Draft, Epoch, Error, ErrorCode, Seq};

use super::ledger::{EpochLedger, StreamLedger};
use super::machine::Machine;
use super::model::Model;

/// The broker of a world. It answers nothing by itself: what it is asked lies in
/// [`Store::take_asks`] until the world carries it out.
pub struct Store {
    asks: Mutex<Vec<Ask>>,
    kept: Kept,
}

/// What keeps the streams.
pub enum Kept {
    /// A model of a broker.
    Model(Model),
    /// The broker of this repository, on a disk.
    Machine(Machine),
}

/// Streams that are kept. Everything happens in the call that asks for it.
pub trait Keep {
    /// [`Broker::append`].
    fn append(
        &self,
        at: StreamIndex,
        drafts: Vec<Draft>,
        luck: Luck,
    ) -> Vec<Result<Appended, Error>>;

    /// [`Broker::read`].
    ///
    /// # Errors
    /// As the broker says.
    fn read(&self, at: StreamIndex, after: Seq, bytes_max: usize) -> Result<Page, Error>;

    /// [`Broker::read_newest`].
    ///
    /// # Errors
    /// As the broker says.
    fn read_newest(&self, at: StreamIndex, after: Seq, bytes_max: usize) -> Result<Page, Error> {
        self.read(at, after, bytes_max)
    }

    /// [`Broker::locate`].
    ///
    /// # Errors
    /// As the broker says.
    fn locate(&self, at: StreamIndex, selector: &Selector, what: Locate) -> Result<Located, Error>;

    /// [`Broker::acknowledge`].
    ///
    /// # Errors
    /// As the broker says.
    fn acknowledge(
        &self,
        at: StreamIndex,
        device: Device,
        place: (Epoch, Seq),
        luck: Luck,
    ) -> Result<Cursor, Error>;

    /// [`Broker::cursor`].
    ///
    /// # Errors
    /// As the broker says.
    fn cursor(&self, at: StreamIndex, device: &Device) -> Result<Option<Cursor>, Error>;

    /// [`Broker::tail`].
    fn tail(&self, at: StreamIndex) -> Option<Arc<Tail>>;

    /// [`Broker::state`].
    fn state(&self, at: StreamIndex) -> Option<StreamState>;

    /// Looks at what happened so far.
    fn with_ledger(&self, at: usize, look: &mut dyn FnMut(&mut StreamLedger));
}

/// What a broker is asked.
pub enum Ask {
    /// [`Broker::append`].
    Append(StreamIndex, Vec<Draft>, Answer<Vec<Result<Appended, Error>>>),
    /// [`Broker::read`].
    Read(StreamIndex, Seq, usize, Answer<Result<Page, Error>>),
    /// [`Broker::read_newest`].
    Newest(StreamIndex, Seq, usize, Answer<Result<Page, Error>>),
    /// [`Broker::locate`].
    Locate(StreamIndex, Selector, Locate, Answer<Result<Located, Error>>),
    /// [`Broker::acknowledge`].
    Acknowledge(StreamIndex, Device, (Epoch, Seq), Answer<Result<Cursor, Error>>),
    /// [`Broker::cursor`].
    Cursor(StreamIndex, Device, Answer<Result<Option<Cursor>, Error>>),
}

/// How an ask goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Luck {
    /// As it should.
    Good,
    /// The broker cannot be reached.
    Refused,
    /// It is carried out, but the answer is lost: the outcome is unknown to who asked.
    Unknown,
    /// It is acknowledged and not carried out: no honest broker does that.
    Forgotten,
    /// A cursor is set back: nor does it that.
    Backwards,
}

/// An answer that was found and not given yet.
pub type Found = Box<dyn FnOnce() + Send>;

impl Store {
    /// A broker of what is kept.
    pub fn new(kept: Kept) -> Self {
        Self { asks: Mutex::default(), kept }
    }

    /// The model, where the streams are kept by one.
    pub fn model(&self) -> Option<&Model> {
        match &self.kept {
            Kept::Model(model) => Some(model),
            Kept::Machine(_) => None,
        }
    }

    /// The machine, where the streams are kept on the disk of one.
    pub fn machine(&self) -> Option<&Machine> {
        match &self.kept {
            Kept::Machine(machine) => Some(machine),
            Kept::Model(_) => None,
        }
    }

    fn keep(&self) -> &dyn Keep {
        match &self.kept {
            Kept::Model(model) => model,
            Kept::Machine(machine) => machine,
        }
    }

    /// What it was asked since the last call, in order.
    pub fn take_asks(&self) -> Vec<Ask> {
        std::mem::take(&mut self.asks.lock().unwrap())
    }

    /// Carries out an ask at this moment; the answer can be given later.
    pub fn carry_out(&self, ask: Ask, luck: Luck) -> Found {
        let broken = || Error::new(ErrorCode::BrokerUnavailable, "the broker is away");
        let is_refused = luck == Luck::Refused;
        match ask {
            Ask::Append(at, drafts, answer) => {
                let count = drafts.len();
                let refused = || (0..count).map(|_| Err(broken())).collect();
                if is_refused {
                    let results = refused();
                    return Box::new(move || answer(results));
                }
                let results = self.keep().append(at, drafts, luck);
                let results = if luck == Luck::Unknown { refused() } else { results };
                Box::new(move || answer(results))
            }
            Ask::Read(at, after, bytes_max, answer) => {
                let page =
                    if is_refused { Err(broken()) } else { self.keep().read(at, after, bytes_max) };
                Box::new(move || answer(page))
            }
            Ask::Newest(at, after, bytes_max, answer) => {
                let page = if is_refused {
                    Err(broken())
                } else {
                    self.keep().read_newest(at, after, bytes_max)
                };
                Box::new(move || answer(page))
            }
            Ask::Acknowledge(at, device, place, answer) => {
                let stored = if is_refused {
                    Err(broken())
                } else {
                    self.keep().acknowledge(at, device, place, luck)
                };
                let stored = if luck == Luck::Unknown { Err(broken()) } else { stored };
                Box::new(move || answer(stored))
            }
            Ask::Cursor(at, device, answer) => {
                let found =
                    if is_refused { Err(broken()) } else { self.keep().cursor(at, &device) };
                Box::new(move || answer(found))
            }
            Ask::Locate(at, selector, what, answer) => {
                let found = if is_refused {
                    Err(broken())
                } else {
                    self.keep().locate(at, &selector, what)
                };
                Box::new(move || answer(found))
            }
        }
    }

    /// Looks at what happened so far.
    pub fn with_ledger<T>(&self, at: usize, look: impl FnOnce(&StreamLedger) -> T) -> T {
        let (mut look, mut seen) = (Some(look), None);
        self.keep().with_ledger(at, &mut |ledger| seen = look.take().map(|look| look(ledger)));
        seen.unwrap()
    }

    /// What happened in so many streams, when nothing more will.
    pub fn take_ledgers(&self, streams: usize) -> Vec<StreamLedger> {
        let mut ledgers = Vec::new();
        for at in 0..streams {
            self.keep().with_ledger(at, &mut |ledger| {
                ledger.epochs.iter_mut().for_each(EpochLedger::close);
                ledgers.push(std::mem::take(ledger));
            });
        }
        ledgers
    }
}

impl Broker for Store {
    fn append(
        &self,
        stream: StreamIndex,
        drafts: Vec<Draft>,
        answer: Answer<Vec<Result<Appended, Error>>>,
    ) {
        self.asks.lock().unwrap().push(Ask::Append(stream, drafts, answer));
    }

    fn read(
        &self,
        stream: StreamIndex,
        after: Seq,
        bytes_max: usize,
        answer: Answer<Result<Page, Error>>,
    ) {
        self.asks.lock().unwrap().push(Ask::Read(stream, after, bytes_max, answer));
    }

    fn read_newest(
        &self,
        stream: StreamIndex,
        after: Seq,
        bytes_max: usize,
        answer: Answer<Result<Page, Error>>,
    ) {
        self.asks.lock().unwrap().push(Ask::Newest(stream, after, bytes_max, answer));
    }

    fn locate(
        &self,
        stream: StreamIndex,
        selector: Selector,
        what: Locate,
        answer: Answer<Result<Located, Error>>,
    ) {
        self.asks.lock().unwrap().push(Ask::Locate(stream, selector, what, answer));
    }

    fn acknowledge(
        &self,
        stream: StreamIndex,
        device: Device,
        epoch: Epoch,
        seq: Seq,
        answer: Answer<Result<Cursor, Error>>,
    ) {
        self.asks.lock().unwrap().push(Ask::Acknowledge(stream, device, (epoch, seq), answer));
    }

    fn cursor(
        &self,
        stream: StreamIndex,
        device: Device,
        answer: Answer<Result<Option<Cursor>, Error>>,
    ) {
        self.asks.lock().unwrap().push(Ask::Cursor(stream, device, answer));
    }

    fn cursors(
        &self,
        _: StreamIndex,
        _: CursorQuery,
        _: Answer<Result<Vec<(Device, Cursor)>, Error>>,
    ) {
        unreachable!("workers list no cursors")
    }

    fn tail(&self, stream: StreamIndex) -> Option<Arc<Tail>> {
        self.keep().tail(stream)
    }

    fn state(&self, stream: StreamIndex) -> Option<StreamState> {
        self.keep().state(stream)
    }

    fn maintain(&self) {}
}

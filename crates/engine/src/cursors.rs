use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use protocol::{Epoch, Error, Position, Seq};

use crate::broker::{Answer, Broker};
use crate::streams::StreamIndex;

/// Who acknowledges. A device without a user is whoever names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Device {
    /// The authenticated user whose device it is.
    pub user: Option<Arc<str>>,
    /// How the user's devices are told apart.
    pub name: Arc<str>,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => write!(f, "{:?} of {user:?}", self.name),
            None => write!(f, "{:?}", self.name),
        }
    }
}

/// How far a device has acknowledged a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The stream's epoch in which `seq` counts.
    pub epoch: Epoch,
    /// The device has everything up to this seq.
    pub seq: Seq,
    /// When it last acknowledged, in ms since 1970.
    pub at_ms: u64,
}

/// Which cursors of a stream are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CursorQuery {
    /// Only devices of this user.
    pub user: Option<Arc<str>>,
    /// Only devices behind this one.
    pub after: Option<Device>,
    /// At most so many.
    pub limit: usize,
}

impl CursorQuery {
    /// Whether the cursor of this device is asked for, the limit aside.
    pub fn selects(&self, device: &Device) -> bool {
        self.user.is_none() || self.user == device.user
    }
}

/// Acknowledgements of one command, of which some are not stored yet.
struct Gathering {
    left: usize,
    positions: Vec<Position>,
    error: Option<Error>,
    answer: Option<Answer<Result<Vec<Position>, Error>>>,
}

/// Stores how far a device has come in several streams; answers once, when all are stored or one
/// of them cannot be.
pub fn acknowledge(
    broker: &dyn Broker,
    device: &Device,
    positions: Vec<(StreamIndex, Position)>,
    answer: Answer<Result<Vec<Position>, Error>>,
) {
    let gathering = Arc::new(Mutex::new(Gathering {
        left: positions.len(),
        positions: positions.iter().map(|(_, position)| position.clone()).collect(),
        error: None,
        answer: Some(answer),
    }));
    for (place, (stream, position)) in positions.into_iter().enumerate() {
        let gathering = gathering.clone();
        let stored = move |stored| {
            let mut gathering = gathering.lock();
            let done = gathering.take(place, stored);
            drop(gathering);
            if let Some((answer, result)) = done {
                answer(result);
            }
        };
        let (device, Position { epoch, seq, .. }) = (device.clone(), position);
        broker.acknowledge(stream, device, epoch, seq, Box::new(stored));
    }
}

type Done = (Answer<Result<Vec<Position>, Error>>, Result<Vec<Position>, Error>);

impl Gathering {
    /// One was stored, or not; what there is to answer when it was the last.
    fn take(&mut self, place: usize, stored: Result<Cursor, Error>) -> Option<Done> {
        match (stored, self.positions.get_mut(place)) {
            (Ok(cursor), Some(position)) => position.seq = cursor.seq,
            (Ok(_), None) => {}
            (Err(error), _) => self.error = Some(error),
        }
        self.left = self.left.saturating_sub(1);
        if self.left > 0 {
            return None;
        }
        let result = match self.error.take() {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut self.positions)),
        };
        self.answer.take().map(|answer| (answer, result))
    }
}

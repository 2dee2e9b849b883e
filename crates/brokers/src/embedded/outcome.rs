use protocol::{Appended, Durability, Epoch, Error, ErrorCode, Seq, StreamName};
use smallvec::SmallVec;

/// What became of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Appended(Seq),
    Duplicate(Seq),
    Conflict,
}

pub(crate) type Outcomes = SmallVec<[Outcome; 4]>;

impl Outcome {
    /// What its publisher is told.
    pub(crate) fn answer(
        self,
        stream: &StreamName,
        epoch: &Epoch,
        durability: Durability,
    ) -> Result<Appended, Error> {
        let (seq, duplicate) = match self {
            Self::Appended(seq) => (seq, false),
            Self::Duplicate(seq) => (seq, true),
            Self::Conflict => {
                let message = "the id was used for an event with other content";
                return Err(Error::new(ErrorCode::IdConflict, message));
            }
        };
        let (stream, epoch) = (stream.clone(), epoch.clone());
        Ok(Appended { stream, epoch, seq, duplicate, durability })
    }
}

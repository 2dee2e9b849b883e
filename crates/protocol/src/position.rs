use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorCode};
use crate::topic::quoted;

/// An event's number in its stream, from 1, below 2⁵³. 0 is the place before the first event.
pub type Seq = u64;

/// The greatest seq: JSON numbers are exact up to here (RFC 8259, section 6).
pub const SEQ_MAX: Seq = (1 << 53) - 1;

/// The name of a stream: 1 to 64 of `a-z`, `0-9`, `_`, `-`; the system's begin with `$`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// Checks `text` and makes it a stream's name.
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`] where a rule is broken.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let body = text.strip_prefix('$').unwrap_or(text);
        let fits = (1..=64).contains(&text.len())
            && !body.is_empty()
            && body.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        if !fits {
            let rule = "1 to 64 of a-z, 0-9, `_` and `-` are allowed";
            let message = format!("{} is not a stream's name: {rule}", quoted(text));
            return Err(Error::new(ErrorCode::BadRequest, message));
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// The identity of a stream's continuity; it changes when continuity can no longer be proved.
///
/// An opaque word of 1 to 32 ASCII letters and digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// Checks `text` and makes it an epoch.
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`] where it is not 1 to 32 ASCII letters and digits.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if !(1..=32).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            let message = format!("{} is not an epoch", quoted(text));
            return Err(Error::new(ErrorCode::BadRequest, message));
        }
        Ok(Self(text.into()))
    }

    /// Spells 64 random bits as an epoch.
    pub fn from_bits(mut bits: u64) -> Self {
        const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut text = String::with_capacity(13);
        for _ in 0..13 {
            let letter = LETTERS.get((bits & 31) as usize).copied().unwrap_or(b'0');
            text.push(char::from(letter));
            bits >>= 5;
        }
        Self(text.into())
    }

    /// The epoch as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// A place in a stream: after the event `seq` of `epoch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The stream.
    pub stream: StreamName,
    /// The stream's epoch in which `seq` counts.
    pub epoch: Epoch,
    /// The last event before the place; 0 is the beginning.
    pub seq: Seq,
}

impl Position {
    /// Reads `stream:epoch:seq`, as the command line and `Last-Event-ID` spell it.
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`] where it has another form.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = text.splitn(3, ':');
        let (Some(stream), Some(epoch), Some(seq)) = (parts.next(), parts.next(), parts.next())
        else {
            let message = format!("{} is not a position (stream:epoch:seq)", quoted(text));
            return Err(Error::new(ErrorCode::BadRequest, message));
        };
        let seq = seq.parse().ok().filter(|seq| *seq <= SEQ_MAX).ok_or_else(|| {
            Error::new(ErrorCode::BadRequest, format!("{} is not a seq", quoted(seq)))
        })?;
        Ok(Self { stream: StreamName::parse(stream)?, epoch: Epoch::parse(epoch)?, seq })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.stream, self.epoch, self.seq)
    }
}

/// A range of seqs that a client will not get, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The stream.
    pub stream: StreamName,
    /// The epoch in which `from` and `to` count; for [`GapReason::Epoch`] the new one.
    pub epoch: Epoch,
    /// First seq of the range.
    pub from: Seq,
    /// Last seq of the range; `from - 1` where nothing is missing in the new epoch.
    pub to: Seq,
    /// Why.
    pub reason: GapReason,
}

/// Why a range of seqs cannot be delivered. Overload is never a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// Retention took it before the client read it.
    Retention,
    /// The stream's continuity could not be proved; positions of the old epoch mean nothing now.
    Epoch,
    /// The store found it damaged.
    Corruption,
    /// It was deleted on purpose.
    Deleted,
}

impl GapReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Epoch => "epoch",
            Self::Corruption => "corruption",
            Self::Deleted => "deleted",
        }
    }
}

/// What an acknowledged append has survived so far; never rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// In the memory of this process.
    Memory,
    /// Survives the process.
    Buffered,
    /// Survives loss of power.
    Fsync,
    /// A remote broker's own word.
    Broker,
}

impl Durability {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Buffered => "buffered",
            Self::Fsync => "fsync",
            Self::Broker => "broker",
        }
    }
}

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, ErrorCode};
use crate::position::Seq;
use crate::topic::{Topic, quoted};

/// Names one connection: 128 random or time-ordered bits, spelled as 32 hexadecimal digits.
///
/// Aligned as other numbers are: what is kept of each client would else be padded to 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(Rust, packed(8))]
pub struct ClientId(pub u128);

impl ClientId {
    /// Reads the 32 hexadecimal digits.
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`] where they have another form.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Self).ok_or_else(|| {
            Error::new(ErrorCode::BadRequest, format!("{} is not a client's id", quoted(text)))
        })
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", { self.0 })
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Who may see an event, besides what topic rules say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Everyone who may see the topic.
    #[default]
    Everyone,
    /// One user, on all devices.
    User(Arc<str>),
    /// The members of a group at the time of delivery.
    Group(Arc<str>),
    /// One connection.
    Client(ClientId),
}

/// What an event carries. Bytes pass through untouched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// JSON text, as it was published.
    Json(Bytes),
    /// Bytes with a content type.
    Binary {
        /// Media type, such as `image/jpeg`.
        content_type: Arc<str>,
        /// The bytes.
        bytes: Bytes,
    },
}

impl Payload {
    /// Size of the data in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(bytes) | Self::Binary { bytes, .. } => bytes.len(),
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Who published: the scope of idempotency ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Publisher {
    /// Programs on the admin side and the server itself are one publisher.
    #[default]
    Admin,
    /// An authenticated user.
    User(Arc<str>),
    /// A client without a user.
    Client(ClientId),
}

/// An event as it is published: it has no place in a stream yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What it is about.
    pub topic: Topic,
    /// Who may see it.
    pub audience: Audience,
    /// What it carries.
    pub payload: Payload,
    /// A JSON object of strings, as text.
    pub headers: Option<Bytes>,
    /// Idempotency id, scoped to stream and publisher; at most 255 bytes.
    pub id: Option<Arc<str>>,
    /// Who published it.
    pub publisher: Publisher,
}

impl Draft {
    /// A draft for everyone with neither headers nor id, published by the admin side.
    pub fn new(topic: Topic, payload: Payload) -> Self {
        let (audience, publisher) = (Audience::Everyone, Publisher::Admin);
        Self { topic, audience, payload, headers: None, id: None, publisher }
    }

    /// What it counts against limits on kept or queued bytes: data, names and a fixed overhead.
    pub fn bytes(&self) -> usize {
        const OVERHEAD: usize = 256;
        let headers = self.headers.as_ref().map_or(0, Bytes::len);
        self.payload.len() + self.topic.as_str().len() + headers + OVERHEAD
    }
}

/// One message in its place in a stream. Immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number in the stream.
    pub seq: Seq,
    /// When the broker took it, in ms since 1970; never goes back within a stream.
    pub time_ms: u64,
    /// What was published.
    pub draft: Draft,
}

impl Event {
    /// What it is about.
    pub fn topic(&self) -> &Topic {
        &self.draft.topic
    }
}

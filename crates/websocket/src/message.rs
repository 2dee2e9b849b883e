//! What a decoder yields.

use std::borrow::Cow;

use crate::close::Close;

/// A message or control frame, whole, unmasked, inflated and checked.
///
/// It borrows from the bytes that were read, or from the inflater; it is owned only when it came
/// in pieces or inflated to more than one step. `into_owned` and `Cow::into_owned` keep one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// A ping, to be answered by a pong with the same bytes (at most 125). A caller may answer
    /// only the newest of several (RFC 6455 section 5.5.3).
    Ping(Cow<'a, [u8]>),
    /// A pong, with at most 125 bytes.
    Pong(Cow<'a, [u8]>),
    /// The peer sends nothing more; what follows in its stream is ignored. `None` if it gave no
    /// code. Unless a close frame went out before, answer with one that repeats the code
    /// ([`Encoder::close_reply`](crate::Encoder::close_reply)), then close the socket.
    Close(Option<Close<'a>>),
}

impl Message<'_> {
    /// The same without a borrow, to be kept.
    #[must_use]
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Text(text) => Message::Text(Cow::Owned(text.into_owned())),
            Self::Binary(bytes) => Message::Binary(Cow::Owned(bytes.into_owned())),
            Self::Ping(bytes) => Message::Ping(Cow::Owned(bytes.into_owned())),
            Self::Pong(bytes) => Message::Pong(Cow::Owned(bytes.into_owned())),
            Self::Close(close) => Message::Close(close.map(Close::into_owned)),
        }
    }

    /// Length of the payload in bytes, a close frame's code included.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Ping(bytes) | Self::Pong(bytes) => bytes.len(),
            Self::Close(None) => 0,
            Self::Close(Some(close)) => 2 + close.reason.len(),
        }
    }
}

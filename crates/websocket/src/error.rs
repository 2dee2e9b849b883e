//! What a peer can do wrong on the read side, and the close code that it means.

use crate::close::CloseCode;

/// The peer's stream cannot be read any further.
///
/// Each one fails the connection (RFC 6455 section 7.1.7): send a close frame with
/// [`close_code`](Self::close_code), then close the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// RSV2, RSV3, or an RSV1 that no agreed extension gives a meaning (section 5.2).
    #[error("reserved bits are set")]
    ReservedBits,
    /// An opcode that nobody defined (section 5.2).
    #[error("opcode {0:#x} is reserved")]
    ReservedOpcode(u8),
    /// A ping, pong or close without FIN (section 5.5).
    #[error("control frame is fragmented")]
    FragmentedControl,
    /// A ping, pong or close with more than 125 bytes (section 5.5).
    #[error("control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A length in more bytes than it needs (section 5.2).
    #[error("frame length is not minimally encoded")]
    LengthNotMinimal,
    /// A 64-bit length with its highest bit set (section 5.2).
    #[error("frame length has its highest bit set")]
    LengthHighBit,
    /// A client's frame without a mask (section 5.1).
    #[error("frame from a client is not masked")]
    NotMasked,
    /// A server's frame with a mask (section 5.1).
    #[error("frame from a server is masked")]
    Masked,
    /// A continuation of nothing (section 5.4).
    #[error("continuation frame without a message to continue")]
    UnexpectedContinuation,
    /// A new message inside an unfinished one (section 5.4).
    #[error("new message before the last one's final fragment")]
    ExpectedContinuation,
    /// A close body of one byte (section 5.5.1).
    #[error("close frame with half a code")]
    CloseLength,
    /// A close code that must not be sent (section 7.4).
    #[error("close code {0} is not allowed on the wire")]
    CloseCode(u16),
    /// Text, or a close reason, that is not UTF-8 (section 8.1).
    #[error("text is not UTF-8")]
    InvalidUtf8,
    /// A compressed message that does not inflate (RFC 7692 section 7.2.2).
    #[error("compressed message does not inflate")]
    InvalidDeflate,
    /// More than [`Limits::frame_bytes_max`](crate::Limits::frame_bytes_max).
    #[error("frame is larger than allowed")]
    FrameTooBig,
    /// More than [`Limits::message_bytes_max`](crate::Limits::message_bytes_max).
    #[error("message is larger than allowed")]
    MessageTooBig,
    /// More than [`Limits::inflated_bytes_max`](crate::Limits::inflated_bytes_max).
    #[error("message inflates to more than allowed")]
    InflatedTooBig,
    /// More than [`Limits::fragments_max`](crate::Limits::fragments_max).
    #[error("message has more fragments than allowed")]
    TooManyFragments,
}

impl DecodeError {
    /// What to tell the peer: 1002 for a breach of the protocol, 1007 for data that is not what
    /// its type says, 1009 for what is within the protocol but beyond our limits.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::InvalidDeflate => CloseCode::INVALID_DATA,
            Self::FrameTooBig
            | Self::MessageTooBig
            | Self::InflatedTooBig
            | Self::TooManyFragments => CloseCode::TOO_BIG,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

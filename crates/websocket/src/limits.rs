//! How much of a peer's data is taken.

/// The least that a fragment other than the last counts towards
/// [`Limits::message_bytes_max`], in bytes.
///
/// Every frame costs work whatever its size, so a message cannot be bought in crumbs: within a
/// limit of 1 MiB fit 16,384 of them.
pub const FRAGMENT_CHARGE_BYTES: usize = 64;

/// Bounds on what one peer may send; going beyond one fails the connection with close code 1009.
///
/// Nothing is allocated for what was only announced: a length above its bound is refused when the
/// header is read, and a buffer grows with what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest payload of one data frame, in bytes.
    pub frame_bytes_max: usize,
    /// The longest payload of one message, in bytes: the sum of its fragments, each but the last
    /// counted as at least [`FRAGMENT_CHARGE_BYTES`].
    pub message_bytes_max: usize,
    /// The longest message after inflation, in bytes, for one that came compressed. Inflating
    /// stops there. `0` refuses every compressed message that is not empty, for a time in which
    /// nothing is to be inflated.
    pub inflated_bytes_max: usize,
    /// The most fragments of one message.
    pub fragments_max: u32,
}

impl Limits {
    /// Messages of at most this many bytes, in one frame or in as many fragments as their charge
    /// allows, compressed or not.
    #[must_use]
    pub const fn message(bytes_max: usize) -> Self {
        Self {
            frame_bytes_max: bytes_max,
            message_bytes_max: bytes_max,
            inflated_bytes_max: bytes_max,
            fragments_max: fragments_max(bytes_max),
        }
    }

    /// The bounds of a frame and of a message as they are on the wire.
    ///
    /// Data that cannot be compressed becomes a little longer when it is: a message that would
    /// have been taken plain must not be refused for that.
    pub(crate) const fn on_the_wire(&self, compressed: bool) -> (usize, usize) {
        if compressed {
            (
                with_deflate_overhead(self.frame_bytes_max),
                with_deflate_overhead(self.message_bytes_max),
            )
        } else {
            (self.frame_bytes_max, self.message_bytes_max)
        }
    }
}

impl Default for Limits {
    /// Messages of at most 1 MiB.
    fn default() -> Self {
        Self::message(1 << 20)
    }
}

/// As many as their charge leaves room for, and one that may be short.
const fn fragments_max(message_bytes_max: usize) -> u32 {
    let fragments = message_bytes_max / FRAGMENT_CHARGE_BYTES + 1;
    if fragments > u32::MAX as usize { u32::MAX } else { fragments as u32 }
}

/// Stored blocks of deflate cost 5 bytes each, and implementations with little memory cut them as
/// short as 128 bytes.
const fn with_deflate_overhead(bytes: usize) -> usize {
    bytes.saturating_add(bytes / 16).saturating_add(64)
}

/// I12: most bytes that wait in a client's write: what fills it, one page of chosen events on top,
/// answers to what it asked, and the largest event there is.
const PENDING_BYTES_MAX: usize = 320 << 10;

/// A client that takes nothing costs no more than its write.
pub fn check_outbox(pending: usize, held: usize) {
    assert!(pending <= PENDING_BYTES_MAX, "I12: {pending} bytes wait in a client's write");
    assert!(
        held <= 2 * PENDING_BYTES_MAX,
        "I12: a client's write holds {held} bytes for {pending}"
    );
}

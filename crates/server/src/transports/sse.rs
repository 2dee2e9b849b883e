use protocol::{Answer, Position};

use super::body::Frame;

/// Server-sent events begin with none; a comment shows that the server lives.
pub(crate) const FRAME: Frame = Frame { opening: b"", heartbeat: b":\n\n" };

/// The positions that an answer tells, from which the client could resume.
pub(crate) fn told(answer: &Answer) -> Vec<Position> {
    let subscriptions = match answer {
        Answer::Hello { subscriptions, .. } => subscriptions.as_slice(),
        Answer::Subscribed(subscribed) => std::slice::from_ref(subscribed),
        _ => &[],
    };
    subscriptions.iter().flat_map(|subscribed| subscribed.positions.clone()).collect()
}

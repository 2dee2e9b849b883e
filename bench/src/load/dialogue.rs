use crate::load::frames;

/// How a client of some server subscribes to a topic: what it sends, and what it makes of what it
/// hears before the events.
pub(crate) trait Dialogue {
    /// The request for a WebSocket.
    fn opening(&self, subscription: &Subscription<'_>) -> Vec<u8>;

    /// What is sent as soon as the request is granted.
    fn greeting(&self, _subscription: &Subscription<'_>) -> Vec<u8> {
        Vec::new()
    }

    /// Something came that is no event.
    fn heard(&self, subscription: &Subscription<'_>, payload: &[u8]) -> Heard;

    /// Whether the client is subscribed as soon as it is connected.
    fn is_subscribed_at_once(&self) -> bool {
        false
    }
}

/// What a client subscribes to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscription<'a> {
    pub(crate) topics: &'a [String],
    /// Where a client that comes back goes on, where its server knows that.
    pub(crate) resume: Option<&'a Place>,
    pub(crate) deflate: bool,
}

/// A client's position.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) epoch: String,
    pub(crate) seq: u64,
}

/// What a client makes of a message.
pub(crate) enum Heard {
    /// Nothing.
    Nothing,
    /// It answers.
    Answer(Vec<u8>),
    /// It is subscribed from now on, at a position where its server tells one.
    Subscribed(Option<Place>),
    /// It was refused.
    Refused(String),
}

/// A text frame to answer with.
pub(crate) fn text(message: &str) -> Heard {
    let mut out = Vec::new();
    frames::push(frames::TEXT, message.as_bytes(), &mut out);
    Heard::Answer(out)
}

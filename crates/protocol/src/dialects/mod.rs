use std::sync::Arc;

use crate::dialect::Dialect;
use crate::topic::Topic;

pub mod gesture;
pub mod native;
pub mod speech;
/// What dialects share in how they spell things; none decides anything.
pub mod spelling;
pub mod studio;
pub mod trainer;

/// The names of all dialects, as configurations have them.
pub const NAMES: &[&str] = &["native", "gesture", "speech", "studio", "trainer"];

/// What an endpoint sets for its dialect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The prefix of topics that clients don't see.
    pub root: Option<Topic>,
    /// What may be subscribed to, in dialects with a fixed vocabulary.
    pub names: Vec<String>,
}

/// The dialect of that name, which is one of [`NAMES`], and others of the same name that
/// subprotocols choose.
pub fn of(name: &str, settings: &Settings) -> (Arc<dyn Dialect>, Vec<Arc<dyn Dialect>>) {
    match name {
        "gesture" => (Arc::new(gesture::Gesture::new(settings)), Vec::new()),
        "speech" => (Arc::new(speech::Speech::new(settings)), Vec::new()),
        "studio" => (Arc::new(studio::Studio::new(settings)), Vec::new()),
        "trainer" => (Arc::new(trainer::Trainer::new(settings)), Vec::new()),
        _ => (Arc::new(native::Native), vec![Arc::new(native::NativeProtobuf)]),
    }
}

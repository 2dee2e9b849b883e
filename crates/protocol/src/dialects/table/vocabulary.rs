use crate::dialects::Settings;
use crate::dialects::spelling::root::Root;
use crate::pattern::Pattern;
use crate::topic::Topic;

/// The streams of every endpoint.
const EVERYWHERE: [&str; 6] = ["frame", "state", "trajectory", "alert", "config", "performance"];

/// The streams of an endpoint.
#[derive(Debug)]
pub(super) struct Vocabulary {
    root: Root,
    /// In the order in which they are told.
    streams: Vec<Stream>,
}

/// A stream as clients know it: one topic.
#[derive(Debug)]
struct Stream {
    name: Box<str>,
    topic: Topic,
    pattern: Pattern,
}

/// A stream's place in its vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamPlace(usize);

impl Vocabulary {
    pub(super) fn new(settings: &Settings) -> Self {
        let root = Root::new(settings.root.clone());
        let mut streams: Vec<Stream> = Vec::new();
        for name in EVERYWHERE.into_iter().chain(settings.names.iter().map(String::as_str)) {
            // What is no topic cannot be published either.
            let Ok(topic) = root.topic(name) else { continue };
            if streams.iter().all(|known| *known.name != *name) {
                let pattern = Pattern::from(&topic);
                streams.push(Stream { name: name.into(), topic, pattern });
            }
        }
        Self { root, streams }
    }

    /// The name by which clients know a topic.
    pub(super) fn name_of<'a>(&self, topic: &'a Topic) -> &'a str {
        self.root.name_of(topic)
    }

    /// The stream of that name.
    pub(super) fn find(&self, name: &str) -> Option<StreamPlace> {
        self.streams.iter().position(|stream| *stream.name == *name).map(StreamPlace)
    }

    /// A stream's name.
    pub(super) fn name(&self, place: StreamPlace) -> &str {
        self.streams.get(place.0).map_or("", |stream| &stream.name)
    }

    /// What is subscribed to for streams.
    pub(super) fn patterns(&self, places: &[StreamPlace]) -> Vec<Pattern> {
        let streams = places.iter().filter_map(|place| self.streams.get(place.0));
        streams.map(|stream| stream.pattern.clone()).collect()
    }

    /// The topic of a stream.
    pub(super) fn topic(&self, place: StreamPlace) -> Option<Topic> {
        self.streams.get(place.0).map(|stream| stream.topic.clone())
    }

    /// The name by which clients know what is subscribed to.
    pub(super) fn name_of_pattern<'a>(&self, pattern: &'a Pattern) -> &'a str {
        self.root.strip(pattern.as_str()).unwrap_or(pattern.as_str())
    }

    /// Names and topics.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Topic)> {
        self.streams.iter().map(|stream| (&*stream.name, &stream.topic))
    }

    /// All names, for people.
    pub(super) fn listed(&self) -> String {
        let names: Vec<&str> = self.streams.iter().map(|stream| &*stream.name).collect();
        names.join(", ")
    }
}

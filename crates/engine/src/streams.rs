use protocol::{Durability, Error, ErrorCode, Mode, Pattern, StreamName, Topic};
use smallvec::SmallVec;

/// A stream's place in its [`StreamTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamIndex(pub u32);

impl StreamIndex {
    /// The place as an index of a slice.
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

/// How long a stream keeps its events: until any one bound is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Most events.
    pub count: u64,
    /// Oldest event, in ms before now.
    pub age_ms: u64,
    /// Most bytes, as [`protocol::Draft::bytes`] counts them.
    pub bytes: u64,
}

impl Default for Retention {
    /// 10,000 events or 64 MiB, an hour.
    fn default() -> Self {
        Self { count: 10_000, age_ms: 3_600_000, bytes: 64 << 20 }
    }
}

/// What a stream is configured to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSpec {
    /// Its name.
    pub name: StreamName,
    /// The topics that it captures.
    pub topics: Vec<Pattern>,
    /// How long it keeps events.
    pub retention: Retention,
    /// What an acknowledged event must have survived.
    pub durability: Durability,
    /// Higher is served first.
    pub priority: i32,
    /// How its events are delivered; a subscription may narrow it.
    pub mode: Mode,
}

/// Every stream of a node, and which one captures a topic: the one with the most specific
/// matching pattern.
#[derive(Clone, Debug, Default)]
pub struct StreamTable {
    specs: Vec<StreamSpec>,
    /// Patterns with their streams, so that a pattern stands before every other that contains it.
    by_specificity: Vec<(Pattern, StreamIndex)>,
}

impl StreamTable {
    /// Makes the table. At most one stream should capture `>`; a topic that none captures cannot
    /// be published.
    pub fn new(specs: Vec<StreamSpec>) -> Self {
        let mut by_specificity = Vec::new();
        for (spec, at) in specs.iter().zip(0..) {
            for pattern in &spec.topics {
                by_specificity.push((pattern.clone(), StreamIndex(at)));
            }
        }
        by_specificity.sort_by_cached_key(|(pattern, _)| generality(pattern));
        Self { specs, by_specificity }
    }

    /// The streams in the order in which they were given.
    pub fn specs(&self) -> &[StreamSpec] {
        &self.specs
    }

    /// Every stream's place.
    pub fn indexes(&self) -> impl Iterator<Item = StreamIndex> + use<> {
        (0..self.specs.len() as u32).map(StreamIndex)
    }

    /// The stream at a place of this table.
    pub fn spec(&self, at: StreamIndex) -> Option<&StreamSpec> {
        self.specs.get(at.get())
    }

    /// The place of the stream of that name.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`].
    pub fn find(&self, name: &str) -> Result<StreamIndex, Error> {
        self.specs
            .iter()
            .zip(0..)
            .find(|(spec, _)| spec.name.as_str() == name)
            .map(|(_, at)| StreamIndex(at))
            .ok_or_else(|| Error::new(ErrorCode::NotFound, "there is no stream of that name"))
    }

    /// The stream that captures `topic`.
    pub fn stream_of(&self, topic: &Topic) -> Option<StreamIndex> {
        self.by_specificity.iter().find(|(pattern, _)| pattern.matches(topic)).map(|(_, at)| *at)
    }

    /// The streams that may hold topics of `pattern`, in the order of the table.
    pub fn streams_of(&self, pattern: &Pattern) -> SmallVec<[StreamIndex; 4]> {
        let mut streams = SmallVec::new();
        for (capture, at) in &self.by_specificity {
            if capture.overlaps(pattern) && !streams.contains(at) {
                streams.push(*at);
            }
            // What stands behind is more general still and captures none of these topics.
            if capture.contains(pattern) {
                break;
            }
        }
        streams.sort_unstable();
        streams
    }
}

/// Sorts a contained pattern before one that contains it: of two patterns of which one contains
/// the other, the contained one has a literal where they first differ, or `*` against `>`.
fn generality(pattern: &Pattern) -> Vec<u8> {
    let mut key: Vec<u8> = pattern
        .tokens()
        .map(|token| match token {
            ">" => 2,
            "*" => 1,
            _ => 0,
        })
        .collect();
    // Behind its last token a pattern without `>` is as narrow as can be.
    if key.last() != Some(&2) {
        key.push(0);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(streams: &[(&str, &[&str])]) -> StreamTable {
        let spec = |(name, topics): &(&str, &[&str])| StreamSpec {
            name: StreamName::parse(name).unwrap(),
            topics: topics.iter().map(|text| Pattern::parse(text).unwrap()).collect(),
            retention: Retention::default(),
            durability: Durability::Memory,
            priority: 0,
            mode: Mode::EVERY,
        };
        StreamTable::new(streams.iter().map(spec).collect())
    }

    fn name_of<'a>(table: &'a StreamTable, topic: &str) -> &'a str {
        let at = table.stream_of(&Topic::parse(topic).unwrap()).unwrap();
        table.spec(at).unwrap().name.as_str()
    }

    #[test]
    fn the_most_specific_pattern_captures() {
        let table = table(&[
            ("default", &[">"]),
            ("video", &["table.frame"]),
            ("table", &["table.>"]),
            ("logs", &["*.log", "a.*.log"]),
        ]);
        assert_eq!(name_of(&table, "x"), "default");
        assert_eq!(name_of(&table, "table.frame"), "video");
        assert_eq!(name_of(&table, "table.frame.x"), "table");
        assert_eq!(name_of(&table, "b.log"), "logs");
        assert_eq!(name_of(&table, "a.b.log"), "logs");
        assert_eq!(name_of(&table, "a.b.c"), "default");
    }

    #[test]
    fn a_pattern_reaches_every_stream_that_it_overlaps() {
        let table =
            table(&[("default", &[">"]), ("video", &["table.frame"]), ("table", &["table.>"])]);
        let reach = |text: &str| -> Vec<u32> {
            table.streams_of(&Pattern::parse(text).unwrap()).iter().map(|at| at.0).collect()
        };
        assert_eq!(reach(">"), [0, 1, 2]);
        assert_eq!(reach("table.*"), [1, 2]);
        assert_eq!(reach("table.state"), [2]);
        assert_eq!(reach("table.frame"), [1]);
        assert_eq!(reach("x.>"), [0]);
    }
}

use std::collections::HashMap;

use engine::Selector;
use protocol::Topic;

/// Most topics that a segment tells apart; of blocks with others nothing is known.
const TOPICS_MAX: usize = 256;
const WORDS: usize = TOPICS_MAX / 64;

/// The topics of a segment, numbered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topics {
    names: Vec<Topic>,
    numbers: HashMap<Topic, u8>,
    /// The last one and its number: neighbours often have one topic.
    last: Option<(Topic, u8)>,
}

/// Which of a segment's topics a block holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicSet {
    pub(super) words: [u64; WORDS],
    /// It may hold any besides.
    pub(super) is_open: bool,
}

impl Topics {
    /// The topics with the numbers of their places; of too many none is known.
    pub(crate) fn of(names: Vec<Topic>) -> Option<Self> {
        let numbers = names.iter().zip(0..=u8::MAX).map(|(name, at)| (name.clone(), at)).collect();
        (names.len() <= TOPICS_MAX).then_some(Self { names, numbers, last: None })
    }

    pub(crate) fn names(&self) -> &[Topic] {
        &self.names
    }

    /// Adds a topic to what a block holds.
    pub(crate) fn note(&mut self, set: &mut TopicSet, topic: &Topic) {
        match self.number(topic) {
            Some(number) => set.insert(number),
            None => set.is_open = true,
        }
    }

    fn number(&mut self, topic: &Topic) -> Option<u8> {
        if let Some((last, number)) = &self.last
            && (last.is_same(topic) || last == topic)
        {
            return Some(*number);
        }
        let number = match self.numbers.get(topic) {
            Some(number) => *number,
            None => {
                let number = u8::try_from(self.names.len()).ok()?;
                self.names.push(topic.clone());
                self.numbers.insert(topic.clone(), number);
                number
            }
        };
        self.last = Some((topic.clone(), number));
        Some(number)
    }

    /// The blocks of this segment in which a selector may find something.
    pub(crate) fn wanted(&self, selector: &Selector) -> TopicSet {
        let mut set = TopicSet { is_open: true, ..TopicSet::default() };
        for (topic, number) in self.names.iter().zip(0..=u8::MAX) {
            if selector.takes(topic) {
                set.insert(number);
            }
        }
        set
    }
}

impl TopicSet {
    fn insert(&mut self, number: u8) {
        if let Some(word) = self.words.get_mut(usize::from(number) / 64) {
            *word |= 1 << (number % 64);
        }
    }

    /// Whether both may hold a topic.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.is_open && other.is_open || self.words.iter().zip(other.words).any(|(a, b)| a & b != 0)
    }
}

#[cfg(test)]
mod tests {
    use protocol::Pattern;

    use super::*;

    #[test]
    fn blocks_are_passed_over_only_if_they_cannot_match() {
        let topic = |n: usize| Topic::parse(&format!("t.{n}")).unwrap();
        let mut topics = Topics::default();
        let mut sets = Vec::new();
        for n in 0..300 {
            let mut set = TopicSet::default();
            topics.note(&mut set, &topic(n));
            topics.note(&mut set, &topic(0));
            sets.push(set);
        }
        let of = |n: usize| {
            let topics = vec![Pattern::from(&topic(n))];
            Selector { topics, except: Vec::new(), filter: None, viewer: None }
        };
        for wanted in [3, 77, 255, 256, 299] {
            let wanted_set = topics.wanted(&of(wanted));
            for (n, set) in sets.iter().enumerate() {
                assert_eq!(set.meets(&wanted_set), n == wanted || n >= TOPICS_MAX, "{wanted} {n}");
            }
        }
        assert!(sets.iter().all(|set| set.meets(&topics.wanted(&of(0)))));
        let again = Topics::of(topics.names().to_vec()).unwrap();
        assert_eq!(again.wanted(&of(77)), topics.wanted(&of(77)));
    }
}

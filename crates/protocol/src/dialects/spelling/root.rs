use crate::error::Error;
use crate::pattern::Pattern;
use crate::topic::Topic;

/// The prefix of topics that the clients of an endpoint don't see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Root(Option<Topic>);

impl Root {
    /// This prefix; none where an endpoint has none.
    pub fn new(root: Option<Topic>) -> Self {
        Self(root)
    }

    /// What follows the prefix: the name that clients see of a topic, or of the text of a pattern.
    /// `None` where it is not below the prefix.
    pub fn strip<'a>(&self, text: &'a str) -> Option<&'a str> {
        let Some(root) = &self.0 else { return Some(text) };
        text.strip_prefix(root.as_str())?.strip_prefix('.')
    }

    /// The name that clients see of a topic; one that is not below the prefix keeps all of it.
    pub fn name_of<'a>(&self, topic: &'a Topic) -> &'a str {
        self.strip(topic.as_str()).unwrap_or(topic.as_str())
    }

    /// The topic that clients call so.
    ///
    /// # Errors
    /// [`crate::ErrorCode::InvalidTopic`].
    pub fn topic(&self, name: &str) -> Result<Topic, Error> {
        Topic::parse(&self.join(name))
    }

    /// The pattern that clients call so.
    ///
    /// # Errors
    /// [`crate::ErrorCode::InvalidPattern`].
    pub fn pattern(&self, name: &str) -> Result<Pattern, Error> {
        Pattern::parse(&self.join(name))
    }

    fn join(&self, name: &str) -> String {
        match &self.0 {
            Some(root) => format!("{root}.{name}"),
            None => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(text: &str) -> Root {
        Root::new(Some(Topic::parse(text).unwrap()))
    }

    #[test]
    fn names_are_what_follows_the_prefix() {
        let root = root("hall.speech");
        let topic = root.topic("audio.c1").unwrap();
        assert_eq!(topic.as_str(), "hall.speech.audio.c1");
        assert_eq!(root.name_of(&topic), "audio.c1");
        assert_eq!(root.pattern(">").unwrap().as_str(), "hall.speech.>");
        assert_eq!(root.strip("hall.speech"), None);
        assert_eq!(root.strip("hall.speeches.x"), None);
        assert_eq!(root.name_of(&Topic::parse("other.x").unwrap()), "other.x");
    }

    #[test]
    fn without_a_prefix_names_are_topics() {
        let topic = Root::default().topic("a.b").unwrap();
        assert_eq!(Root::default().name_of(&topic), "a.b");
    }

    #[test]
    fn a_name_obeys_the_rules_of_topics() {
        for bad in ["", "a b", "a..b", "x.>"] {
            assert!(root("r").topic(bad).is_err(), "{bad}");
        }
        assert!(root("r").pattern("a.>.b").is_err());
    }
}

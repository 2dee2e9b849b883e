use std::fmt;

use crate::error::{Error, ErrorCode};
use crate::topic::{Topic, check, quoted};

/// Selects topics: `*` stands for one token, a final `>` for one or more, a final `text>` for one or
/// more of which the first begins with `text`.
///
/// A wildcard in first place never covers the system's topics, whose first token begins with `$`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Checks `text` and makes it a pattern.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidPattern`], saying which rule is broken.
    pub fn parse(text: &str) -> Result<Self, Error> {
        check(text, true).map_err(|why| {
            let message = format!("{} is not a pattern: {why}", quoted(text));
            Error::new(ErrorCode::InvalidPattern, message)
        })?;
        Ok(Self(text.into()))
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tokens, first to last.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// The one topic that it selects, where it has no wildcard.
    pub fn as_topic(&self) -> Option<Topic> {
        if self.tokens().any(is_wildcard) { None } else { Topic::parse(&self.0).ok() }
    }

    /// Whether it selects `topic`.
    pub fn matches(&self, topic: &Topic) -> bool {
        if topic.is_system() && self.tokens().next().is_some_and(is_wildcard) {
            return false;
        }
        let mut topic = topic.tokens();
        for token in self.tokens() {
            let Some(other) = topic.next() else { return false };
            if let Some(start) = start_of_rest(token) {
                return other.starts_with(start);
            }
            if token != "*" && token != other {
                return false;
            }
        }
        topic.next().is_none()
    }

    /// Whether every topic that `other` selects is selected by it too.
    pub fn contains(&self, other: &Self) -> bool {
        if self.reserves_system_from(other) {
            return false;
        }
        let (mut mine, mut theirs) = (self.tokens(), other.tokens());
        loop {
            let (token, theirs) = match (mine.next(), theirs.next()) {
                (None, None) => return true,
                (Some(token), Some(theirs)) => (token, theirs),
                _ => return false,
            };
            match (start_of_rest(token), start_of_rest(theirs)) {
                (Some(""), _) => return true,
                (Some(start), Some(theirs)) => return theirs.starts_with(start),
                (Some(start), None) => return theirs.starts_with(start),
                (None, Some(_)) => return false,
                (None, None) if token == "*" || token == theirs => {}
                (None, None) => return false,
            }
        }
    }

    /// Orders patterns, the most specific first: at the first token in which two differ, a name
    /// comes before `*`, and `*` before `>`. A pattern within another one comes before it.
    pub fn generality(&self) -> Vec<u8> {
        let rank = |token| match token {
            ">" => 2,
            "*" => 1,
            _ => 0,
        };
        self.tokens().map(rank).collect()
    }

    /// Whether some topic is selected by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        if self.reserves_system_from(other) || other.reserves_system_from(self) {
            return false;
        }
        let (mut mine, mut theirs) = (self.tokens(), other.tokens());
        loop {
            let (a, b) = match (mine.next(), theirs.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) => (a, b),
                _ => return false,
            };
            let is_any = a == "*" || b == "*";
            match (start_of_rest(a), start_of_rest(b)) {
                (Some(a), Some(b)) => return a.starts_with(b) || b.starts_with(a),
                (Some(start), None) => return is_any || b.starts_with(start),
                (None, Some(start)) => return is_any || a.starts_with(start),
                (None, None) if is_any || a == b => {}
                (None, None) => return false,
            }
        }
    }

    /// Whether it ends in `text>`: not every broker's own patterns can say that.
    pub fn is_partial(&self) -> bool {
        self.tokens().last().and_then(start_of_rest).is_some_and(|start| !start.is_empty())
    }

    /// Whether its first wildcard would have to cover the system's topics of `other`.
    fn reserves_system_from(&self, other: &Self) -> bool {
        self.tokens().next().is_some_and(is_wildcard) && other.0.starts_with('$')
    }
}

fn is_wildcard(token: &str) -> bool {
    matches!(token, "*" | ">")
}

/// What the first token begins with for which a final token of a pattern stands, where it stands
/// for more than one: with nothing in the case of `>`.
pub fn start_of_rest(token: &str) -> Option<&str> {
    token.strip_suffix('>')
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::str::FromStr for Pattern {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl From<&Topic> for Pattern {
    fn from(topic: &Topic) -> Self {
        Self(topic.as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    /// Every topic of up to four tokens over a small alphabet that includes the system's.
    fn all_topics() -> Vec<Topic> {
        let mut topics: Vec<String> = ["a", "b", "ab", "$s"].map(String::from).to_vec();
        let mut longest = topics.clone();
        for _ in 0..3 {
            longest = longest
                .iter()
                .flat_map(|start| ["a", "b", "ab"].map(|token| format!("{start}.{token}")))
                .collect();
            topics.extend(longest.iter().cloned());
        }
        topics.iter().map(|text| Topic::parse(text).unwrap()).collect()
    }

    fn any_pattern() -> impl Strategy<Value = Pattern> {
        let first = prop::sample::select(vec!["a", "b", "ab", "*", "$s"]);
        let rest = prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "*"]), 0..3);
        let tail = prop::sample::select(vec!["", ">", "a>", "b>", "ab>"]);
        (first, rest, tail).prop_map(|(first, rest, tail)| {
            let mut tokens = vec![first];
            tokens.extend(rest);
            tokens.extend((!tail.is_empty()).then_some(tail));
            pattern(&tokens.join("."))
        })
    }

    proptest! {
        #[test]
        fn containment_and_overlap_agree_with_brute_force(a in any_pattern(), b in any_pattern()) {
            let topics = all_topics();
            let overlaps = topics.iter().any(|t| a.matches(t) && b.matches(t));
            prop_assert_eq!(a.overlaps(&b), overlaps, "{} overlaps {}", a, b);
            // Containment is judged on topics no longer than four tokens; a pattern that selects
            // none of them says nothing.
            if topics.iter().any(|t| b.matches(t)) && b.tokens().count() < 4 {
                let contained = topics.iter().all(|t| !b.matches(t) || a.matches(t));
                if a.contains(&b) {
                    prop_assert!(contained, "{} contains {}", a, b);
                } else if !contained {
                    prop_assert!(!a.contains(&b));
                }
            }
        }
    }

    #[test]
    fn the_most_specific_pattern_comes_first() {
        let sorted =
            ["a.b.c", "a.b.*", "a.b.>", "a.*.c", "a.*.*", "a.*.>", "a.>", "*.b.c", "*.>", ">"];
        for (at, narrow) in sorted.iter().enumerate() {
            for wide in sorted.iter().skip(at + 1) {
                let (narrow, wide) = (pattern(narrow), pattern(wide));
                assert!(narrow.generality() < wide.generality(), "{narrow} {wide}");
                assert!(!narrow.contains(&wide), "{narrow} {wide}");
            }
        }
    }

    #[test]
    fn contains_examples() {
        for (wide, narrow, expected) in [
            (">", "a.b", true),
            (">", ">", true),
            (">", "$s.a", false),
            ("*.b", "$s.b", false),
            ("$s.>", "$s.a", true),
            ("a.*", "a.>", false),
            ("a.>", "a.*.b", true),
            ("a.>", "a", false),
            ("a.*.>", "a.>", false),
            ("a.b>", "a.bc.*", true),
            ("a.b>", "a.bc>", true),
            ("a.b>", "a.*", false),
            ("a.b>", "a.>", false),
            ("a.>", "a.b>", true),
            ("$s>", "$stats.x", true),
        ] {
            assert_eq!(pattern(wide).contains(&pattern(narrow)), expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn only_a_final_token_may_say_how_the_rest_begins() {
        for bad in ["a.b*", ">.a", "a.>>", "*a", "a>.b", "a.*>", "a.>b", "a.b>>"] {
            assert_eq!(Pattern::parse(bad).unwrap_err().code, ErrorCode::InvalidPattern, "{bad}");
        }
    }
}

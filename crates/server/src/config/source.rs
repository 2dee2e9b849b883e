use std::fmt;
use std::ops::Range;

/// A kind of source. Sources that come later in this list override those before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nothing was written.
    BuiltIn,
    /// A profile, by name.
    Profile(String),
    /// The user's file, by the name under which it was given.
    File(String),
    /// An environment variable, by name.
    Environment(String),
    /// An option of the command line, such as `--listen`.
    Option(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("default"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::File(name) | Self::Environment(name) => f.write_str(name),
            Self::Option(name) => f.write_str(name),
        }
    }
}

/// A range of bytes in the text of a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    source: usize,
    start: usize,
    end: usize,
}

impl Place {
    /// The bytes in the source's text.
    pub(super) fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// A part of this place, `from` bytes behind its start.
    pub(super) fn part(&self, from: usize, length: usize) -> Self {
        let start = (self.start + from).min(self.end);
        Self { source: self.source, start, end: (start + length).min(self.end) }
    }

    /// Whether both lie in one text.
    pub(super) fn shares_source(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// A source with its text. The text of a variable or option is what a user would have typed.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) origin: Origin,
    pub(super) text: String,
}

/// All texts that one configuration was made of; a [`Place`] points into them.
#[derive(Clone, Default)]
pub(super) struct Sources(Vec<Source>);

/// Without the texts: they may hold passwords.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|source| &source.origin)).finish()
    }
}

impl Sources {
    /// Adds a text and returns the place of all of it.
    pub(super) fn add(&mut self, origin: Origin, text: impl Into<String>) -> Place {
        let text = text.into();
        let end = text.len();
        self.0.push(Source { origin, text });
        Place { source: self.0.len() - 1, start: 0, end }
    }

    /// The source that `place` points into.
    pub(super) fn get(&self, place: &Place) -> Option<&Source> {
        self.0.get(place.source)
    }

    /// `place` for people: `tidings.toml:3`, `TIDINGS_LOG__LEVEL`, `--listen`.
    pub(super) fn describe(&self, place: &Place) -> String {
        let Some(source) = self.get(place) else {
            return String::new();
        };
        match source.origin {
            Origin::Profile(_) | Origin::File(_) => {
                let before = source.text.get(..place.start).unwrap_or_default();
                format!("{}:{}", source.origin, before.matches('\n').count() + 1)
            }
            Origin::BuiltIn | Origin::Environment(_) | Origin::Option(_) => {
                source.origin.to_string()
            }
        }
    }
}

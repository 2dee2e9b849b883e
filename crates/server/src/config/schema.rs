//! What settings exist: the one table per section from which reading, suggestions, the reference
//! and `--effective` are derived.

/// A setting as a user knows it.
pub(super) struct Key {
    /// Its name in the file.
    pub(super) name: &'static str,
    /// What it means, one line each.
    pub(super) meaning: &'static [&'static str],
    /// What can be written for it.
    pub(super) shape: fn() -> Shape,
    /// What holds where it is not written.
    pub(super) default: Preset,
    /// The least and the greatest value.
    pub(super) bounds: Option<fn() -> String>,
    /// When a change takes hold.
    pub(super) reload: Reload,
}

impl Key {
    pub(super) fn shape(&self) -> Shape {
        (self.shape)()
    }
}

/// What holds where a setting is not written.
#[derive(Clone, Copy)]
pub(super) enum Preset {
    /// It must be written.
    Required,
    /// This value.
    Value(fn() -> Option<toml::Value>),
    /// Nothing, which means this.
    Unset(&'static str),
}

/// When a changed setting takes hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reload {
    /// At a reload; no client is dropped.
    Live,
    /// When the server starts.
    Restart,
}

impl Reload {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Live => "reload",
            Self::Restart => "restart",
        }
    }
}

/// What can be written for a setting.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// One value of the type that this word names.
    Value(&'static str),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Several values of the type that this word names.
    List(&'static str),
    /// Several of these words.
    Choices(&'static [&'static str]),
    /// A table with these keys.
    Section(&'static [Key]),
    /// A table whose keys are names that the user gives, with these keys under each.
    Map(&'static [Key]),
    /// Tables with these keys; the second names the key by which one replaces another.
    Items(&'static [Key], Option<&'static str>),
}

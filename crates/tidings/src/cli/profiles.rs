use server::config::Profile;

use super::failure::{Failure, Result};

/// A configuration that ships with Tidings.
pub(super) struct Shipped {
    pub(super) name: &'static str,
    /// TOML; its first line is a comment that says what it is for.
    pub(super) text: &'static str,
}

impl Shipped {
    /// What it is for.
    pub(super) fn summary(&self) -> &'static str {
        let first = self.text.lines().next().unwrap_or_default();
        first.trim_start_matches(['#', ' '])
    }
}

/// Every profile, in the order in which they are listed.
pub(super) const ALL: &[Shipped] =
    &[Shipped { name: "trainer", text: include_str!("../../../../profiles/trainer.toml") }];

/// The profile of that name.
pub(super) fn named(name: &str) -> Result<&'static Shipped> {
    ALL.iter().find(|shipped| shipped.name == name).ok_or_else(|| {
        let known: Vec<&str> = ALL.iter().map(|shipped| shipped.name).collect();
        Failure::usage(format!("no profile of the name `{name}` is known")).hint(format!(
            "profiles: {}; a file of your own is given with --config",
            known.join(", ")
        ))
    })
}

/// Reads `NAME` or `NAME@ADDR`, which moves its endpoints to another address.
pub(super) fn read(text: &str) -> Result<Profile> {
    let (name, listen) = match text.split_once('@') {
        Some((name, address)) => (name, Some(address.to_owned())),
        None => (text, None),
    };
    let shipped = named(name)?;
    Ok(Profile { name: shipped.name.to_owned(), text: shipped.text.to_owned(), listen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_what_it_is_for() {
        for shipped in ALL {
            assert!(shipped.text.starts_with("# "), "{}", shipped.name);
            assert!(!shipped.summary().is_empty(), "{}", shipped.name);
        }
    }
}

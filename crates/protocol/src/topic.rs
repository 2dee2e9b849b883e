use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorCode};

/// Most tokens that a topic or a pattern may have.
pub const TOKENS_MAX: usize = 16;
/// Most bytes that a topic or a pattern may have.
pub const BYTES_MAX: usize = 255;

/// What an event is about: 1 to 16 dot-separated tokens of visible UTF-8, at most 255 bytes.
///
/// Cloning is cheap; the text is shared.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Checks `text` and makes it a topic.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidTopic`], saying which rule is broken.
    pub fn parse(text: &str) -> Result<Self, Error> {
        check(text, false).map_err(|why| {
            Error::new(ErrorCode::InvalidTopic, format!("{} is not a topic: {why}", quoted(text)))
        })?;
        Ok(Self(text.into()))
    }

    /// The topic as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tokens, first to last.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether it belongs to the system: its first token begins with `$`, so that no wildcard in
    /// first place covers it.
    pub fn is_system(&self) -> bool {
        self.0.starts_with('$')
    }

    /// Whether both share one allocation, which makes them equal without comparing text.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::str::FromStr for Topic {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

/// Checks the rules that topics and patterns share; `wildcards` lets `*` and a final `>` stand as
/// tokens, and a final one end in `>`.
pub(crate) fn check(text: &str, wildcards: bool) -> Result<(), String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.len() > BYTES_MAX {
        return Err(format!("it has {} bytes; at most {BYTES_MAX} are allowed", text.len()));
    }
    let count = text.split('.').count();
    if count > TOKENS_MAX {
        return Err(format!("it has {count} tokens; at most {TOKENS_MAX} are allowed"));
    }
    for (at, token) in text.split('.').enumerate() {
        match token {
            "" => return Err("a token is empty".into()),
            "*" if wildcards => {}
            ">" if wildcards && at + 1 == count => {}
            ">" if wildcards => return Err("`>` may only be the last token".into()),
            _ => {
                let start = token.strip_suffix('>').filter(|_| wildcards && at + 1 == count);
                check_token(start.unwrap_or(token), wildcards)?;
            }
        }
    }
    Ok(())
}

fn check_token(token: &str, wildcards: bool) -> Result<(), String> {
    for c in token.chars() {
        if matches!(c, '*' | '>') {
            return Err(if wildcards {
                format!(
                    "a wildcard stands for a whole token, not for a part as in {}",
                    quoted(token)
                )
            } else {
                format!("`{c}` may not be part of a topic")
            });
        }
        if !is_visible(c) {
            return Err(match c {
                ' ' => "it contains a space".into(),
                '\t' => "it contains a tab".into(),
                '\n' | '\r' => "it contains a line break".into(),
                c => format!("it contains U+{:04X}, a character that cannot be seen", u32::from(c)),
            });
        }
    }
    Ok(())
}

/// Whether a person can see the character: no white space, no control, and none of the characters
/// that only steer direction or joining, with which two topics could look the same.
fn is_visible(c: char) -> bool {
    !(c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'))
}

/// `text` in quotes, shortened and escaped, so that a peer's bytes can stand in a message.
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_the_rules_allow() {
        for good in ["a", "a.b.c", "trainer.run-42.log", "größe.日本", "$system.x", "a.b$"] {
            assert!(Topic::parse(good).is_ok(), "{good}");
        }
        assert!(Topic::parse(&["a"; 16].join(".")).is_ok());
        assert!(Topic::parse(&"x".repeat(255)).is_ok());
    }

    #[test]
    fn names_the_rule_that_is_broken() {
        for (bad, why) in [
            ("", "empty"),
            (".a", "a token is empty"),
            ("a..b", "a token is empty"),
            ("a b", "contains a space"),
            ("a.*", "`*` may not"),
            ("a.>", "`>` may not"),
            ("a\u{200b}b", "U+200B, a character that cannot be seen"),
            ("a\nb", "contains a line break"),
        ] {
            let error = Topic::parse(bad).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidTopic);
            assert!(error.message.contains(why), "{bad:?}: {}", error.message);
        }
        assert!(Topic::parse(&["a"; 17].join(".")).is_err());
        assert!(Topic::parse(&"x".repeat(256)).is_err());
    }
}

use super::setting::Context;
use super::suggest::{among, nearest};
use super::tree::{Node, Value};
use super::values::quoted;

/// Defines an enumeration whose values are words of the file.
macro_rules! words {
    ($(
        $(#[doc = $about:literal])*
        $name:ident, $what:literal { $($(#[doc = $doc:literal])* $variant:ident $word:literal,)* }
    )*) => {$(
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[doc = $doc])* $variant,)* }

        impl $name {
            const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word in the file.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl $crate::config::setting::Setting for $name {
            fn shape() -> $crate::config::schema::Shape {
                $crate::config::schema::Shape::Choice(Self::WORDS)
            }

            fn read(
                node: &$crate::config::tree::Node,
                cx: &mut $crate::config::setting::Context<'_>,
            ) -> Option<Self> {
                let word = $crate::config::words::choose(node, cx, $what, Self::WORDS)?;
                match word { $($word => Some(Self::$variant),)* _ => None }
            }

            fn write(&self) -> Option<toml::Value> {
                Some(toml::Value::String(self.as_str().to_owned()))
            }
        }
    )*};
}
pub(super) use words;

/// Reads one of `words`.
pub(super) fn choose<'a>(
    node: &Node,
    cx: &mut Context<'_>,
    what: &str,
    words: &[&'a str],
) -> Option<&'a str> {
    let (Value::Text(text) | Value::Untyped(text)) = &node.value else {
        return cx.mismatch(node, &format!("one of {}", among(words, "and")));
    };
    if let Some(word) = words.iter().find(|word| *word == text) {
        return Some(word);
    }
    let label = match nearest(text, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("use {}", among(words, "or")),
    };
    cx.reject(format!("{} is not {what}", quoted(text)), &node.place, label)
}

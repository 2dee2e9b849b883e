use protocol::{Pattern, Topic};

use crate::config::CommandRoute;

/// The most specific route of a command.
pub(super) fn of<'a>(routes: &'a [CommandRoute], command: &Topic) -> Option<&'a CommandRoute> {
    let fitting = routes.iter().filter(|route| route.name.matches(command));
    fitting.min_by_key(|route| generality(&route.name))
}

/// Orders patterns, the most specific first: at the first token in which two differ, a name comes
/// before `*`, and `*` before `>`. A pattern within another one comes before it.
pub(super) fn generality(pattern: &Pattern) -> Vec<u8> {
    let rank = |token| match token {
        ">" => 2,
        "*" => 1,
        _ => 0,
    };
    pattern.tokens().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_pattern_comes_first() {
        let sorted =
            ["a.b.c", "a.b.*", "a.b.>", "a.*.c", "a.*.*", "a.*.>", "a.>", "*.b.c", "*.>", ">"];
        for (at, narrow) in sorted.iter().enumerate() {
            let narrow = Pattern::parse(narrow).unwrap();
            for wide in sorted.iter().skip(at + 1) {
                let wide = Pattern::parse(wide).unwrap();
                assert!(generality(&narrow) < generality(&wide), "{narrow} {wide}");
                assert!(!narrow.contains(&wide), "{narrow} {wide}");
            }
        }
    }
}

//! What the configuration can say and this version cannot do yet: refused, never ignored.
//!
//! A milestone that implements something deletes its line.

use super::problem::Problem;
use super::source::Place;
use super::suggest::among;
use super::tree::{Node, Value};

/// A setting by its path, `*` standing for each item or name, and which of its values are refused.
struct Refusal(&'static str, Refused);

enum Refused {
    /// Any.
    Whole,
    /// These words.
    Words(&'static [&'static str]),
}

use Refused::{Whole, Words};

const REFUSALS: &[Refusal] = &[
    Refusal("listen.tls", Whole),
    Refusal("broker.kind", Words(&["nats", "redis"])),
    Refusal("auth.jwks", Whole),
    Refusal("endpoint.*.cors", Whole),
];

/// What of the configuration this version refuses.
pub(super) fn refusals(tree: &Node) -> Vec<Problem> {
    let mut problems = Vec::new();
    for Refusal(path, refused) in REFUSALS {
        let name = path.replace(".*", "");
        for (place, node) in at(tree, &tree.place, path) {
            match (refused, &node.value) {
                // An empty list asks for nothing.
                (Whole, Value::Array(items)) if items.is_empty() => {}
                (Whole, _) => problems.push(unavailable(&name, place)),
                (Words(words), Value::Text(text) | Value::Untyped(text))
                    if words.contains(&text.as_str()) =>
                {
                    problems.push(unavailable(&format!("{name} = \"{text}\""), &node.place));
                }
                // Available, or told when it was read.
                (Words(_), _) => {}
            }
        }
    }
    problems
}

fn unavailable(what: &str, place: &Place) -> Problem {
    Problem::new(format!("`{what}` is not available in this version")).at(place, "")
}

/// What the reference says about the setting at `path`.
pub(super) fn note(path: &str) -> Option<String> {
    let Refusal(_, refused) = REFUSALS.iter().find(|Refusal(refused, _)| *refused == path)?;
    Some(match refused {
        Whole => "Not available in this version.".to_owned(),
        Words(words) => format!("Not available in this version: {}.", among(words, "and")),
    })
}

/// Every node at `path`, with the place of its key, or of itself where it is an item.
fn at<'a>(node: &'a Node, place: &'a Place, path: &str) -> Vec<(&'a Place, &'a Node)> {
    let Some((step, rest)) = path.split_once('.').or((!path.is_empty()).then_some((path, "")))
    else {
        return vec![(place, node)];
    };
    match &node.value {
        Value::Array(items) if step == "*" => {
            items.iter().flat_map(|item| at(item, &item.place, rest)).collect()
        }
        Value::Table(table) => table
            .entries()
            .iter()
            .filter(|entry| step == "*" || step == entry.key)
            .flat_map(|entry| at(&entry.node, &entry.place, rest))
            .collect(),
        _ => Vec::new(),
    }
}

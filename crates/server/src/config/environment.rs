//! Settings from environment variables: `TIDINGS_BROKER__KIND=nats`.
//!
//! Two underscores lead into a section; one that has named items takes the name next, spelled as
//! variables are: `TIDINGS_STREAM__NEWS__PRIORITY` for the stream `news`,
//! `TIDINGS_ENDPOINT__V1_WS__HEARTBEAT` for the endpoint `/v1/ws`. Lists are TOML or separated by
//! commas; whole sections are TOML.

use std::collections::BTreeMap;

use super::Config;
use super::load::Merging;
use super::problem::Problem;
use super::schema::{Key, Shape};
use super::setting::Setting;
use super::source::{Origin, Place, Sources};
use super::suggest::nearest;
use super::tree::{Node, Table, Value, parse_value};

const PREFIX: &str = "TIDINGS_";
const NEST: &str = "__";

/// Variables of the command line's clients, and the customary one for a key.
const KNOWN: [&str; 5] =
    ["TIDINGS_URL", "TIDINGS_TOKEN", "TIDINGS_ADMIN_URL", "TIDINGS_ADMIN_TOKEN", "TIDINGS_SECRET"];

/// Lays what variables say on top of the sources so far. Returns the names of those that name no
/// setting.
pub(super) fn apply(env: &BTreeMap<String, String>, merging: &mut Merging) -> Vec<String> {
    let mut unknown = Vec::new();
    for (name, value) in env {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let steps: Vec<&str> = path.split(NEST).collect();
        let Some(target) = find(Config::KEYS, Some(&merging.tree), &steps) else {
            unknown.push(name.clone());
            continue;
        };
        let origin = Origin::Environment(name.clone());
        let whole = merging.sources.add(origin, format!("{name}={value}"));
        let place = whole.part(name.len() + 1, value.len());
        match typed(target.shape, value, &place) {
            Ok(node) => merging.tree.put(&target.path, target.shape, node),
            Err(problem) => merging.problems.push(problem),
        }
    }
    unknown
}

/// A setting, and the steps that lead to it in the tree: keys and numbers of items.
struct Target {
    path: Vec<String>,
    shape: Shape,
}

fn find(keys: &[Key], node: Option<&Node>, steps: &[&str]) -> Option<Target> {
    let (first, rest) = steps.split_first()?;
    let key = keys.iter().find(|key| spelled(key.name) == *first)?;
    let inner = node.and_then(|node| node.find(key.name));
    let mut target = match (key.shape(), rest) {
        (shape, []) => Target { path: Vec::new(), shape },
        (Shape::Section(keys), rest) => find(keys, inner, rest)?,
        (Shape::Map(keys), [name, rest @ ..]) => find_named(keys, inner, name, rest)?,
        (Shape::Items(keys, Some(identity)), [name, rest @ ..]) => {
            let items = inner?.items();
            let number = items.iter().position(|item| is_called(item, identity, name))?;
            let mut target = find(keys, items.get(number), rest)?;
            target.path.insert(0, number.to_string());
            target
        }
        _ => return None,
    };
    target.path.insert(0, key.name.to_owned());
    Some(target)
}

/// Finds a setting under a name that the user gives, which need not exist yet.
fn find_named(
    keys: &'static [Key],
    node: Option<&Node>,
    name: &str,
    rest: &[&str],
) -> Option<Target> {
    let known = node.and_then(Node::table).and_then(|table| {
        table.entries().iter().map(|entry| entry.key.as_str()).find(|key| spelled(key) == name)
    });
    let key = known.map_or_else(|| name.to_ascii_lowercase(), str::to_owned);
    let mut target = match rest {
        [] => Target { path: Vec::new(), shape: Shape::Section(keys) },
        rest => find(keys, node.and_then(|node| node.find(&key)), rest)?,
    };
    target.path.insert(0, key);
    Some(target)
}

fn is_called(item: &Node, identity: &str, name: &str) -> bool {
    item.text(identity).is_some_and(|text| spelled(text) == name)
}

/// A name or path as variables spell it: `/v1/ws` is `V1_WS`.
fn spelled(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    let words = upper.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

/// The value of a variable for a setting of this shape. Single values get their type when they
/// are read.
fn typed(shape: Shape, text: &str, place: &Place) -> Result<Node, Problem> {
    let is_toml = match shape {
        Shape::Value(_) | Shape::Choice(_) => false,
        Shape::List(_) | Shape::Choices(_) => text.trim_start().starts_with('['),
        Shape::Section(_) | Shape::Map(_) | Shape::Items(..) => true,
    };
    if is_toml {
        return parse_value(text, place).map_err(|_| {
            let title = "the variable of a whole section or list must hold TOML";
            let example = if matches!(shape, Shape::Items(..)) { "[{ … }]" } else { "{ … }" };
            Problem::new(title).at(place, format!("such as `{example}`"))
        });
    }
    let value = match shape {
        Shape::List(_) | Shape::Choices(_) => Value::Array(separated(text, place)),
        _ => Value::Untyped(text.to_owned()),
    };
    Ok(Node { value, place: place.clone() })
}

/// `a, b` as two values with their places.
fn separated(text: &str, place: &Place) -> Vec<Node> {
    let mut start = 0;
    let parts = text.split(',').map(|part| {
        let trimmed = part.trim();
        let indent = part.len() - part.trim_start().len();
        let place = place.part(start + indent, trimmed.len());
        start += part.len() + 1;
        Node { value: Value::Untyped(trimmed.to_owned()), place }
    });
    parts.filter(|node| !matches!(&node.value, Value::Untyped(text) if text.is_empty())).collect()
}

/// Warns of variables that look like ours and set nothing. Their values are not shown: a mistyped
/// name may hold a secret.
pub(super) fn warnings(unknown: &[String], tree: &Node, sources: &mut Sources) -> Vec<Problem> {
    let named = variables_named_by(tree);
    let unknown = unknown.iter().filter(|name| !KNOWN.contains(&name.as_str()));
    let unknown: Vec<&String> = unknown.filter(|name| !named.contains(&name.as_str())).collect();
    if unknown.is_empty() {
        return Vec::new();
    }
    let mut settings = KNOWN.map(str::to_owned).to_vec();
    list(Config::KEYS, Some(tree), PREFIX.trim_end_matches('_'), "_", &mut settings);
    let warn = |name: &String| {
        let near = nearest(name, settings.iter().map(String::as_str));
        let label = near.map_or_else(
            || "sections and keys are joined by two underscores".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let place = sources.add(Origin::Environment(name.clone()), name.as_str());
        Problem::new(format!("the variable `{name}` sets nothing")).at(&place, label)
    };
    unknown.into_iter().map(warn).collect()
}

/// What settings such as `token_env` name.
fn variables_named_by(node: &Node) -> Vec<&str> {
    match &node.value {
        Value::Array(items) => items.iter().flat_map(variables_named_by).collect(),
        Value::Table(table) => {
            let entries = table.entries().iter();
            let named = |key: &str| {
                if key.ends_with("_env") { node.text(key) } else { None }
            };
            entries
                .flat_map(|entry| {
                    named(&entry.key).into_iter().chain(variables_named_by(&entry.node))
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Collects the names of all variables that would set something.
fn list(keys: &[Key], node: Option<&Node>, prefix: &str, joint: &str, names: &mut Vec<String>) {
    for key in keys {
        let name = format!("{prefix}{joint}{}", spelled(key.name));
        let inner = node.and_then(|node| node.find(key.name));
        match key.shape() {
            Shape::Section(keys) => list(keys, inner, &name, NEST, names),
            Shape::Map(keys) => {
                for entry in inner.and_then(Node::table).map(Table::entries).unwrap_or_default() {
                    let name = format!("{name}{NEST}{}", spelled(&entry.key));
                    list(keys, Some(&entry.node), &name, NEST, names);
                }
            }
            Shape::Items(keys, Some(identity)) => {
                for item in inner.map(Node::items).unwrap_or_default() {
                    let item_name = item.text(identity).map(spelled).unwrap_or_default();
                    list(keys, Some(item), &format!("{name}{NEST}{item_name}"), NEST, names);
                }
            }
            _ => {}
        }
        names.push(name);
    }
}

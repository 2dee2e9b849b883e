use toml::Value;

use super::Config;
use super::load::Loaded;
use super::schema::{Key, Shape};
use super::setting::Setting;
use super::source::Sources;
use super::tree::Node;

impl Loaded {
    /// The configuration as TOML, each value with a comment that says where it came from. Secrets
    /// and passwords are not in it.
    pub fn effective(&self) -> String {
        let Some(Value::Table(values)) = self.config.write() else {
            return String::new();
        };
        let mut page = Page { text: String::new(), sources: &self.sources };
        for key in Config::KEYS {
            let node = self.tree.find(key.name);
            match (key.shape(), values.get(key.name)) {
                (Shape::Section(keys), Some(Value::Table(values))) => {
                    page.section(key.name, keys, values, node);
                }
                (Shape::Items(keys, _), Some(Value::Array(items))) => {
                    let nodes = node.map(Node::items).unwrap_or_default();
                    for (item, node) in items.iter().zip(nodes) {
                        page.heading(&format!("[[{}]]", key.name));
                        page.lines(keys, item, Some(node));
                    }
                }
                _ => {}
            }
        }
        page.text
    }

    /// Every value that is set: its path as [`Loaded::origin`] takes it, itself, and where it came
    /// from. Secrets and passwords are not among them.
    pub fn values(&self) -> Vec<(String, serde_json::Value, String)> {
        let mut found = Vec::new();
        let Some(Value::Table(values)) = self.config.write() else { return found };
        for key in Config::KEYS {
            let node = self.tree.find(key.name);
            match (key.shape(), values.get(key.name)) {
                (Shape::Section(keys), Some(values)) => {
                    self.push_values(keys, values, key.name, node, &mut found);
                }
                (Shape::Items(keys, _), Some(Value::Array(items))) => {
                    let nodes = node.map(Node::items).unwrap_or_default();
                    for (at, (item, node)) in items.iter().zip(nodes).enumerate() {
                        let path = format!("{}.{at}", key.name);
                        self.push_values(keys, item, &path, Some(node), &mut found);
                    }
                }
                _ => {}
            }
        }
        found
    }

    fn push_values(
        &self,
        keys: &[Key],
        values: &Value,
        path: &str,
        node: Option<&Node>,
        found: &mut Vec<(String, serde_json::Value, String)>,
    ) {
        for key in keys {
            let Some(value) = values.get(key.name) else { continue };
            let path = format!("{path}.{}", key.name);
            let node = node.and_then(|node| node.find(key.name));
            if let (Shape::Map(keys), Value::Table(entries)) = (key.shape(), value) {
                for (entry, value) in entries {
                    let node = node.and_then(Node::table).and_then(|table| table.get(entry));
                    let node = node.map(|entry| &entry.node);
                    self.push_values(keys, value, &format!("{path}.{entry}"), node, found);
                }
                continue;
            }
            let value = serde_json::to_value(value).unwrap_or_default();
            found.push((path, value, describe(&self.sources, node)));
        }
    }

    /// Where the setting at `path` came from, such as `tidings.toml:3` for `log.level`; items are
    /// counted from 0: `stream.0.retain`. `default` where nothing was written.
    pub fn origin(&self, path: &str) -> String {
        describe(&self.sources, self.tree.find(path))
    }
}

fn describe(sources: &Sources, node: Option<&Node>) -> String {
    node.map_or_else(|| "default".to_owned(), |node| sources.describe(&node.place))
}

struct Page<'a> {
    text: String,
    sources: &'a Sources,
}

impl Page<'_> {
    fn heading(&mut self, heading: &str) {
        let before = if self.text.is_empty() { "" } else { "\n" };
        self.text.push_str(&format!("{before}{heading}\n"));
    }

    fn section(&mut self, name: &str, keys: &[Key], values: &toml::Table, node: Option<&Node>) {
        if keys.iter().any(|key| values.contains_key(key.name)) {
            self.heading(&format!("[{name}]"));
            self.lines(keys, &Value::Table(values.clone()), node);
        }
        for key in keys {
            let (Shape::Map(keys), Some(Value::Table(entries))) =
                (key.shape(), values.get(key.name))
            else {
                continue;
            };
            let node = node.and_then(|node| node.find(key.name));
            for (entry, value) in entries {
                self.heading(&format!("[{name}.{}.{}]", key.name, quoted_key(entry)));
                let node = node.and_then(Node::table).and_then(|table| table.get(entry));
                self.lines(keys, value, node.map(|entry| &entry.node));
            }
        }
    }

    /// One line for each value that is set.
    fn lines(&mut self, keys: &[Key], values: &Value, node: Option<&Node>) {
        for key in keys.iter().filter(|key| !matches!(key.shape(), Shape::Map(_))) {
            let Some(value) = values.get(key.name) else {
                continue;
            };
            let origin = describe(self.sources, node.and_then(|node| node.find(key.name)));
            self.text.push_str(&format!("{} = {value}  # {origin}\n", key.name));
        }
    }
}

/// A key that needs no quotes, or with them.
fn quoted_key(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if !key.is_empty() && key.chars().all(is_bare) {
        key.to_owned()
    } else {
        Value::String(key.to_owned()).to_string()
    }
}

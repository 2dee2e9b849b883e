use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::schema::{Key, Shape};
use super::source::Place;

/// A value with its place.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// What TOML can say. No setting is a truth value or a date, so theirs are not kept.
#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    /// Text of a variable or option, which becomes whatever type its setting has.
    Untyped(String),
    Integer(i64),
    /// An integer that does not fit.
    HugeInteger,
    Float(f64),
    Bool(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Table),
}

impl Value {
    /// What it is, for messages.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Untyped(_) => "text",
            Self::Integer(_) | Self::HugeInteger => "a whole number",
            Self::Float(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::Datetime => "a date",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Keys and values in the order in which they were written.
#[derive(Clone, Default)]
pub(super) struct Table(Vec<Entry>);

/// One key of a table, with the key's own place.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

/// How a document is laid on top of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// Its items take the place of those of the same name or path.
    Replace,
    /// Its items stand beside the others.
    Append,
    /// It only fills in: those of its items are taken whose name or path no other has.
    Beneath,
}

impl Table {
    pub(super) fn entries(&self) -> &[Entry] {
        &self.0
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.key == key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }

    /// The tables of the list under `key`.
    pub(super) fn items_mut(&mut self, key: &str) -> impl Iterator<Item = &mut Self> {
        let items = match self.get_mut(key).map(|node| &mut node.value) {
            Some(Value::Array(items)) => items.as_mut_slice(),
            _ => &mut [],
        };
        items.iter_mut().filter_map(|item| match &mut item.value {
            Value::Table(table) => Some(table),
            _ => None,
        })
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.0.retain(|entry| entry.key != key);
    }

    /// Sets `key`, in the place of what it was before.
    pub(super) fn set(&mut self, key: &str, node: Node) {
        self.put(Entry { key: key.to_owned(), place: node.place.clone(), node });
    }

    fn put(&mut self, entry: Entry) {
        match self.0.iter_mut().find(|old| old.key == entry.key) {
            Some(old) => *old = entry,
            None => self.0.push(entry),
        }
    }

    /// Lays `over` on top of this table.
    pub(super) fn merge(&mut self, over: Self, keys: &[Key], how: Merge) {
        for entry in over.0 {
            let shape = keys.iter().find(|key| key.name == entry.key).map(Key::shape);
            match (self.get_mut(&entry.key), shape) {
                (Some(old), Some(shape)) => old.merge(entry.node, shape, how),
                _ => self.put(entry),
            }
        }
    }
}

impl Node {
    /// The node at `path`, whose steps are keys of tables and numbers of items, joined by dots.
    pub(super) fn find(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |node, step| match &node.value {
            Value::Table(table) => table.get(step).map(|entry| &entry.node),
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// The table that this is, if it is one.
    pub(super) fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The items of the list that this is, if it is one.
    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    /// Lays `node` on top of what is at `path`; makes the tables that lead there.
    pub(super) fn put(&mut self, path: &[String], shape: Shape, node: Self) {
        let Some((step, rest)) = path.split_first() else {
            return self.merge(node, shape, Merge::Replace);
        };
        let inner = match &mut self.value {
            Value::Array(items) => {
                step.parse().ok().and_then(|number: usize| items.get_mut(number))
            }
            Value::Table(table) => {
                if rest.is_empty() && table.get(step).is_none() {
                    return table.set(step, node);
                }
                if table.get(step).is_none() {
                    let value = Value::Table(Table::default());
                    table.set(step, Self { value, place: node.place.clone() });
                }
                table.get_mut(step)
            }
            _ => None,
        };
        if let Some(inner) = inner {
            inner.put(rest, shape, node);
        }
    }

    /// The text under `key`, where this is a table that has it.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match &self.find(key)?.value {
            Value::Text(text) | Value::Untyped(text) => Some(text),
            _ => None,
        }
    }

    fn merge(&mut self, over: Self, shape: Shape, how: Merge) {
        let Self { value, place } = over;
        match (&mut self.value, value, shape) {
            (Value::Table(old), Value::Table(new), Shape::Section(keys)) => {
                self.place = place;
                old.merge(new, keys, how);
            }
            // A role is replaced as a whole, like every item that has a name.
            (Value::Table(old), Value::Table(new), Shape::Map(_)) => {
                new.0.into_iter().for_each(|entry| old.put(entry));
            }
            (Value::Array(old), Value::Array(new), Shape::Items(_, identity)) => {
                merge_items(old, new, identity, how);
            }
            (_, value, _) if how != Merge::Beneath => *self = Self { value, place },
            _ => {}
        }
    }
}

fn merge_items(old: &mut Vec<Node>, mut new: Vec<Node>, identity: Option<&str>, how: Merge) {
    if let Some(identity) = identity {
        match how {
            Merge::Replace => {
                old.retain(|item| !new.iter().any(|other| is_same(other, item, identity)));
            }
            Merge::Beneath => {
                new.retain(|item| !old.iter().any(|other| is_same(other, item, identity)));
            }
            Merge::Append => {}
        }
    }
    old.extend(new);
}

/// Whether two items are about the same thing: same name or path and, where both say so, the same
/// listener.
fn is_same(a: &Node, b: &Node, identity: &str) -> bool {
    let same = |key| a.text(key).is_some() && a.text(key) == b.text(key);
    let apart = a.text("listen").is_some() && b.text("listen").is_some() && !same("listen");
    same(identity) && !apart
}

/// Parses a document. Several syntax errors come at once.
pub(super) fn parse_document(text: &str, whole: &Place) -> Result<Table, Vec<toml::de::Error>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(from_table(table.get_ref(), whole))
}

/// Parses one value, such as `{ count = 5 }`, whose text stands at `whole`.
pub(super) fn parse_value(text: &str, whole: &Place) -> Result<Node, toml::de::Error> {
    DeValue::parse(text).map(|value| from_value(&value, whole))
}

fn from_table(table: &DeTable<'_>, whole: &Place) -> Table {
    let place = |span: std::ops::Range<usize>| whole.part(span.start, span.len());
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            place: place(key.span()),
            node: from_value(value, whole),
        })
        .collect();
    entries.sort_by(|a, b| a.place.cmp(&b.place));
    Table(entries)
}

fn from_value(value: &Spanned<DeValue<'_>>, whole: &Place) -> Node {
    let span = value.span();
    let place = whole.part(span.start, span.len());
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Value::Integer(integer),
            Err(_) => Value::HugeInteger,
        },
        DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| from_value(item, whole)).collect())
        }
        DeValue::Table(table) => Value::Table(from_table(table, whole)),
    };
    Node { value, place }
}

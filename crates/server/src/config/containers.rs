use std::collections::BTreeMap;

use super::changes::{Changes, join};
use super::schema::{Key, Reload, Shape};
use super::setting::{Context, Setting};
use super::tree::{Node, Value};

impl<T: Setting> Setting for Option<T> {
    fn shape() -> Shape {
        T::shape()
    }

    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        T::read(node, cx).map(Some)
    }

    fn write(&self) -> Option<toml::Value> {
        self.as_ref().and_then(T::write)
    }

    fn compare(&self, new: &Self, path: &str, reload: Reload, changes: &mut Changes) {
        match (self, new) {
            (Some(old), Some(new)) => old.compare(new, path, reload, changes),
            (None, None) => {}
            _ => changes.add(path, reload),
        }
    }

    fn adopt(&mut self, new: Self, reload: Reload) {
        match (self, new) {
            (Some(old), Some(new)) => old.adopt(new, reload),
            (old, new) if reload == Reload::Live => *old = new,
            _ => {}
        }
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn shape() -> Shape {
        match T::shape() {
            Shape::Section(keys) => Shape::Items(keys, T::IDENTITY),
            Shape::Value(word) => Shape::List(word),
            Shape::Choice(words) => Shape::Choices(words),
            shape => shape,
        }
    }

    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let items = match &node.value {
            Value::Array(items) => items,
            Value::Table(_) if matches!(T::shape(), Shape::Section(_)) => {
                let title = format!("`{}` must be a list of tables", cx.key());
                let label = format!("write `[[{}]]`", cx.key());
                return cx.reject(title, &node.place, label);
            }
            _ => return cx.mismatch(node, "a list"),
        };
        // Reads all of them before giving up, so that all that is wrong is told.
        let items: Vec<Option<T>> = items.iter().map(|item| T::read(item, cx)).collect();
        items.into_iter().collect()
    }

    fn write(&self) -> Option<toml::Value> {
        Some(toml::Value::Array(self.iter().filter_map(T::write).collect()))
    }

    fn compare(&self, new: &Self, path: &str, reload: Reload, changes: &mut Changes) {
        if T::IDENTITY.is_none() {
            if self != new {
                changes.add(path, reload);
            }
            return;
        }
        let by_name = |items: &Self| BTreeMap::from_iter(named(items.clone()));
        by_name(self).compare(&by_name(new), path, reload, changes);
    }

    fn adopt(&mut self, new: Self, reload: Reload) {
        let lives = reload == Reload::Live;
        if T::IDENTITY.is_none() {
            if lives {
                *self = new;
            }
            return;
        }
        let (old, new) = (named(std::mem::take(self)), named(new));
        let order: Vec<String> =
            if lives { &new } else { &old }.iter().map(|(name, _)| name.clone()).collect();
        let mut items = BTreeMap::from_iter(old);
        items.adopt(BTreeMap::from_iter(new), reload);
        self.extend(order.iter().filter_map(|name| items.remove(name)));
    }
}

/// Items with what tells them apart: of several alike, the order, too.
fn named<T: Setting>(items: Vec<T>) -> Vec<(String, T)> {
    let mut named: Vec<(String, T)> = Vec::new();
    for item in items {
        let Some(mut name) = item.identity() else { continue };
        while named.iter().any(|(known, _)| *known == name) {
            name.push_str(" again");
        }
        named.push((name, item));
    }
    named
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn shape() -> Shape {
        const NONE: &[Key] = &[];
        match T::shape() {
            Shape::Section(keys) => Shape::Map(keys),
            _ => Shape::Map(NONE),
        }
    }

    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let Value::Table(table) = &node.value else {
            return cx.mismatch(node, "a table");
        };
        let entries = table.entries().iter().map(|entry| {
            let value = cx.under(&entry.key, |cx| T::read(&entry.node, cx));
            value.map(|value| (entry.key.clone(), value))
        });
        let entries: Vec<Option<(String, T)>> = entries.collect();
        entries.into_iter().collect()
    }

    fn write(&self) -> Option<toml::Value> {
        let entries = self.iter().filter_map(|(name, value)| Some((name.clone(), value.write()?)));
        Some(toml::Value::Table(entries.collect()))
    }

    fn compare(&self, new: &Self, path: &str, reload: Reload, changes: &mut Changes) {
        for (name, old) in self {
            match new.get(name) {
                Some(new) => old.compare(new, &join(path, name), reload, changes),
                None => changes.add(&join(path, name), reload),
            }
        }
        for name in new.keys().filter(|name| !self.contains_key(*name)) {
            changes.add(&join(path, name), reload);
        }
    }

    fn adopt(&mut self, new: Self, reload: Reload) {
        // Items come and go with a restart only, unless they live; those that stay may change.
        let lives = reload == Reload::Live;
        if lives {
            self.retain(|name, _| new.contains_key(name));
        }
        for (name, new) in new {
            match self.get_mut(&name) {
                Some(old) => old.adopt(new, reload),
                None if lives => drop(self.insert(name, new)),
                None => {}
            }
        }
    }
}

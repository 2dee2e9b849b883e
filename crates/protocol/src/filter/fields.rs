use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::{SmallVec, smallvec};

use super::pointer::Pointer;
use crate::event::Payload;

/// The root of the tree.
const ROOT: usize = 0;

/// Fields to look up, as a tree of their names: data are walked once, and only where a field may
/// be.
#[derive(Clone, Debug)]
pub(super) struct FieldTree {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// The place of the field that ends here, among those that are looked up.
    slot: Option<usize>,
    /// By name, sorted.
    members: Vec<(Box<str>, usize)>,
    /// By number, sorted: those of the names that are items of a list.
    items: Vec<(usize, usize)>,
}

impl FieldTree {
    /// The tree of these fields, each at its place in the list.
    pub(super) fn new(pointers: &[Pointer]) -> Self {
        let mut tree = Self { nodes: vec![Node::default()] };
        for (slot, pointer) in pointers.iter().enumerate() {
            let mut at = ROOT;
            for name in pointer.names() {
                at = tree.child(at, &name);
            }
            if let Some(node) = tree.nodes.get_mut(at) {
                node.slot = Some(slot);
            }
        }
        tree
    }

    /// The node below `at` of that name, made where it is new.
    fn child(&mut self, at: usize, name: &str) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else { return ROOT };
        let place = match node.place(name) {
            Ok(known) => return node.members.get(known).map_or(ROOT, |(_, child)| *child),
            Err(place) => place,
        };
        node.members.insert(place, (name.into(), new));
        // RFC 6901 section 4: digits without leading zeros.
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit())
            && (name == "0" || !name.starts_with('0'));
        if let Some(number) = name.parse().ok().filter(|_| is_number) {
            let place = node.items.partition_point(|(other, _)| *other < number);
            node.items.insert(place, (number, new));
        }
        self.nodes.push(Node::default());
        new
    }

    /// Looks the fields up in data; whether the data have fields at all. Of members of one name
    /// the last counts, as in most readers of JSON.
    pub(super) fn find<'a>(
        &self,
        payload: &'a Payload,
        found: &mut [Option<&'a RawValue>],
    ) -> bool {
        let Payload::Json(text) = payload else { return false };
        let Ok(raw) = serde_json::from_slice::<&RawValue>(text) else { return false };
        self.take(ROOT, raw, found).is_ok()
    }

    /// Keeps `raw`, which stands at the node, where it is looked up, and looks into it.
    fn take<'a>(
        &self,
        at: usize,
        raw: &'a RawValue,
        found: &mut [Option<&'a RawValue>],
    ) -> serde_json::Result<()> {
        let Some(node) = self.nodes.get(at) else { return Ok(()) };
        if let Some(slot) = node.slot.and_then(|slot| found.get_mut(slot)) {
            *slot = Some(raw);
        }
        if node.members.is_empty() {
            return Ok(());
        }
        let mut text = serde_json::Deserializer::from_str(raw.get());
        let walk = Walk { tree: self, node, found };
        match raw.get().as_bytes().first() {
            Some(b'{') => text.deserialize_map(walk),
            Some(b'[') if !node.items.is_empty() => text.deserialize_seq(walk),
            _ => Ok(()),
        }
    }
}

impl Node {
    /// The place of the child of that name, or where it would stand.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.members.binary_search_by(|(known, _)| (**known).cmp(name))
    }
}

/// Looks through an object or a list.
struct Walk<'t, 'f, 'a> {
    tree: &'t FieldTree,
    node: &'t Node,
    found: &'f mut [Option<&'a RawValue>],
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Of members of one name the last counts: none is looked into before all are known.
        let mut last: SmallVec<[Option<&RawValue>; 8]> = smallvec![None; self.node.members.len()];
        while let Some(place) = map.next_key_seed(Name(self.node))? {
            match place.and_then(|place| last.get_mut(place)) {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some(member) => *member = Some(map.next_value()?),
            }
        }
        for ((_, child), raw) in self.node.members.iter().zip(last) {
            let Some(raw) = raw else { continue };
            self.tree.take(*child, raw, self.found).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut at = 0;
        for (number, child) in &self.node.items {
            while at < *number {
                if seq.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(());
                }
                at += 1;
            }
            let Some(raw) = seq.next_element()? else { return Ok(()) };
            at += 1;
            self.tree.take(*child, raw, self.found).map_err(serde::de::Error::custom)?;
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Reads a member's name: its place among those that are looked up, without a copy of it.
struct Name<'t>(&'t Node);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.place(name).ok())
    }
}

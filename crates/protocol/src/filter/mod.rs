//! Conditions on the fields of an event's data.
//!
//! A filter is kept in one canonical form, so that two that say the same are equal whatever their
//! spelling, and its events are looked through once however many fields it names. Bytes have no
//! fields: no filter accepts them, not even one that negates.

/// Which field: a JSON pointer.
mod pointer;
/// Numbers, compared exactly.
mod number;
/// Fields are looked up in JSON text.
mod fields;
/// The canonical text.
mod spelling;
/// Whether a condition holds.
mod verdict;
/// Filters that look through an event together.
mod set;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::{Hash, Hasher};

use serde_json::value::RawValue;
use smallvec::{SmallVec, smallvec};

pub use number::Number;
pub use pointer::Pointer;
pub use set::FilterSet;

use crate::event::Payload;
use fields::FieldTree;

/// Most conditions of a filter, those that join others counted.
pub const FILTER_NODES_MAX: usize = 32;
/// Most values of one `in`.
pub const FILTER_VALUES_MAX: usize = 100;
/// Longest JSON text of a filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 8_192;

/// What holds of an event's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Something holds of one field.
    Field(Pointer, Test),
    /// All of these hold.
    All(Vec<Condition>),
    /// One of these holds.
    Any(Vec<Condition>),
    /// This does not hold.
    Not(Box<Condition>),
}

/// What holds of a field. Things of different types are never compared: the test fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// It stands in this relation to the value.
    Compare(Comparison, Scalar),
    /// It equals one of these.
    In(Vec<Scalar>),
    /// It is there, whatever it is.
    Exists,
    /// It is a string that begins so.
    Prefix(Box<str>),
}

/// A relation of a field to a value. Strings are ordered by code points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Of the same type, and not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Box<str>),
}

/// A condition on the data of events.
#[derive(Clone)]
pub struct Filter {
    condition: Condition,
    /// Its fields, in the order in which they first stand in the condition.
    pointers: Vec<Pointer>,
    fields: FieldTree,
    text: Box<str>,
}

/// The values of a filter's fields in one event.
type Found<'a> = SmallVec<[Option<&'a RawValue>; 4]>;

impl Filter {
    /// The filter of a condition.
    pub fn new(condition: Condition) -> Self {
        let condition = condition.canonical();
        let mut pointers = Vec::new();
        condition.collect(&mut pointers);
        let fields = FieldTree::new(&pointers);
        let text = condition.to_string().into();
        Self { condition, pointers, fields, text }
    }

    /// Its canonical JSON text, which is the same for filters that say the same.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether data are of this kind.
    pub fn accepts(&self, payload: &Payload) -> bool {
        let mut found: Found<'_> = smallvec![None; self.pointers.len()];
        if !self.fields.find(payload, &mut found) {
            return false;
        }
        let value = |pointer: &Pointer| {
            let place = self.pointers.iter().position(|known| known == pointer)?;
            found.get(place).copied().flatten()
        };
        self.condition.holds(&value)
    }
}

impl Condition {
    /// Collects the fields that it names, each once.
    fn collect(&self, pointers: &mut Vec<Pointer>) {
        match self {
            Self::Field(pointer, _) if pointers.contains(pointer) => {}
            Self::Field(pointer, _) => pointers.push(pointer.clone()),
            Self::All(list) | Self::Any(list) => {
                list.iter().for_each(|condition| condition.collect(pointers));
            }
            Self::Not(condition) => condition.collect(pointers),
        }
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({})", self.text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

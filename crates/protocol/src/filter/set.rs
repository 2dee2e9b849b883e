use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::pointer::Pointer;
use super::{FieldTree, Filter};
use crate::event::Payload;

/// Filters that look at the same events: the data are walked once for all of them.
#[derive(Clone, Debug)]
pub struct FilterSet {
    filters: Vec<Member>,
    /// How many fields they name together.
    field_count: usize,
    fields: FieldTree,
}

#[derive(Clone, Debug)]
struct Member {
    filter: Arc<Filter>,
    /// Where its fields stand among those of the set.
    slots: Box<[usize]>,
}

impl FilterSet {
    /// The set of these filters, in order.
    pub fn new(filters: impl IntoIterator<Item = Arc<Filter>>) -> Self {
        let mut pointers: Vec<Pointer> = Vec::new();
        let mut places = std::collections::HashMap::new();
        let mut members = Vec::new();
        for filter in filters {
            let slot = |pointer: &Pointer| {
                *places.entry(pointer.clone()).or_insert_with(|| {
                    pointers.push(pointer.clone());
                    pointers.len() - 1
                })
            };
            let slots = filter.pointers.iter().map(slot).collect();
            members.push(Member { filter, slots });
        }
        let (field_count, fields) = (pointers.len(), FieldTree::new(&pointers));
        Self { filters: members, field_count, fields }
    }

    /// How many filters it has.
    pub fn len(&self) -> usize {
        self.filters.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Tells of each filter, in order, whether it accepts the data.
    pub fn judge(&self, payload: &Payload, mut tell: impl FnMut(usize, bool)) {
        let mut found: SmallVec<[_; 16]> = smallvec![None; self.field_count];
        let has_fields = self.fields.find(payload, &mut found);
        for (place, Member { filter, slots }) in self.filters.iter().enumerate() {
            let value = |pointer: &Pointer| {
                let of_filter = filter.pointers.iter().position(|known| known == pointer)?;
                found.get(*slots.get(of_filter)?).copied().flatten()
            };
            tell(place, has_fields && filter.condition.holds(&value));
        }
    }
}

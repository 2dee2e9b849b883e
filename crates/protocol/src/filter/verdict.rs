use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::value::RawValue;

use super::pointer::Pointer;
use super::{Comparison, Condition, Scalar, Test};

impl Condition {
    /// Whether it holds of data in which the fields have these values.
    pub(super) fn holds<'a>(&self, value: &impl Fn(&Pointer) -> Option<&'a RawValue>) -> bool {
        match self {
            Self::Field(pointer, test) => value(pointer).is_some_and(|raw| test.holds(raw.get())),
            Self::All(list) => list.iter().all(|condition| condition.holds(value)),
            Self::Any(list) => list.iter().any(|condition| condition.holds(value)),
            Self::Not(condition) => !condition.holds(value),
        }
    }
}

impl Test {
    fn holds(&self, json: &str) -> bool {
        match self {
            Self::Compare(Comparison::Eq, value) => value.equals(json),
            Self::Compare(comparison, value) => {
                value.compared(json).is_some_and(|order| comparison.holds(order))
            }
            Self::In(values) => values.iter().any(|value| value.equals(json)),
            Self::Exists => true,
            Self::Prefix(prefix) => text(json).is_some_and(|text| text.starts_with(&**prefix)),
        }
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }
}

impl Scalar {
    /// Whether a JSON value is equal to this one.
    fn equals(&self, json: &str) -> bool {
        // A text takes between one and six bytes of JSON for each of its own.
        let is_far =
            |value: &str| !(value.len()..=6 * value.len()).contains(&json.len().saturating_sub(2));
        match self {
            Self::Text(value) if is_far(value) => false,
            _ => self.compared(json) == Some(Ordering::Equal),
        }
    }

    /// How a JSON value compares with this one; `None` where it is of another type.
    fn compared(&self, json: &str) -> Option<Ordering> {
        match self {
            Self::Null => (json == "null").then_some(Ordering::Equal),
            Self::Bool(value) => match json {
                "true" => Some(true.cmp(value)),
                "false" => Some(false.cmp(value)),
                _ => None,
            },
            Self::Number(number) => number.compared(json),
            // The order of UTF-8 is that of code points.
            Self::Text(value) => text(json).map(|text| (*text).cmp(value)),
        }
    }
}

/// The text of a JSON string.
fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        // Escapes that stand for no character are text to nobody.
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

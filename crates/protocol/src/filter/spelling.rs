use std::fmt;

use super::{Comparison, Condition, Scalar, Test};
use crate::json::push_str;

impl Condition {
    /// The same condition in the one form that all its spellings share.
    pub(super) fn canonical(self) -> Self {
        match self {
            Self::Field(pointer, test) => Self::Field(pointer, test.canonical()),
            Self::All(list) => joined(list, Self::All),
            Self::Any(list) => joined(list, Self::Any),
            Self::Not(condition) => Self::Not(Box::new(condition.canonical())),
        }
    }
}

/// Neither order nor repetition nor joining a single one changes what holds.
fn joined(list: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    let list = list.into_iter().map(Condition::canonical);
    let mut list: Vec<(String, Condition)> =
        list.map(|condition| (condition.to_string(), condition)).collect();
    list.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    list.dedup_by(|(a, _), (b, _)| a == b);
    let mut list: Vec<Condition> = list.into_iter().map(|(_, condition)| condition).collect();
    match list.pop() {
        Some(only) if list.is_empty() => only,
        last => {
            list.extend(last);
            join(list)
        }
    }
}

impl Test {
    fn canonical(self) -> Self {
        let Self::In(mut values) = self else { return self };
        values.sort_by_cached_key(Scalar::to_string);
        values.dedup();
        match values.pop() {
            Some(only) if values.is_empty() => Self::Compare(Comparison::Eq, only),
            last => {
                values.extend(last);
                Self::In(values)
            }
        }
    }

    /// The word for it in `op`.
    fn op(&self) -> &'static str {
        match self {
            Self::Compare(comparison, _) => comparison.as_str(),
            Self::In(_) => "in",
            Self::Exists => "exists",
            Self::Prefix(_) => "prefix",
        }
    }
}

impl Comparison {
    /// Every relation.
    pub const ALL: [Self; 6] = [Self::Eq, Self::Ne, Self::Lt, Self::Le, Self::Gt, Self::Ge];

    /// The word for it in `op`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Lt => "lt",
            Self::Le => "le",
            Self::Gt => "gt",
            Self::Ge => "ge",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(pointer, test) => {
                write!(f, "{{\"field\":")?;
                write_text(f, pointer.as_str())?;
                write!(f, ",\"op\":\"{}\"", test.op())?;
                match test {
                    Test::Exists => {}
                    Test::Compare(_, value) => write!(f, ",\"value\":{value}")?,
                    Test::In(values) => {
                        f.write_str(",\"value\":")?;
                        write_list(f, values)?;
                    }
                    Test::Prefix(text) => {
                        f.write_str(",\"value\":")?;
                        write_text(f, text)?;
                    }
                }
                f.write_str("}")
            }
            Self::All(list) => write_joined(f, "all", list),
            Self::Any(list) => write_joined(f, "any", list),
            Self::Not(condition) => write!(f, "{{\"not\":{condition}}}"),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => f.write_str(number.as_str()),
            Self::Text(text) => write_text(f, text),
        }
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, name: &str, list: &[Condition]) -> fmt::Result {
    write!(f, "{{\"{name}\":")?;
    write_list(f, list)?;
    f.write_str("}")
}

fn write_list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, list: &[T]) -> fmt::Result {
    f.write_str("[")?;
    for (at, item) in list.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        write!(f, "{comma}{item}")?;
    }
    f.write_str("]")
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut json = Vec::with_capacity(text.len() + 2);
    push_str(&mut json, text);
    f.write_str(&String::from_utf8_lossy(&json))
}

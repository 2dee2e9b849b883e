//! How a value gets its type: the contract of everything that can be configured, and the macro
//! that makes a section of one table.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

use super::changes::Changes;
use super::problem::Problem;
use super::schema::{Key, Reload, Shape};
use super::source::Place;
use super::suggest::{among, nearest};
use super::tree::{Node, Table, Value};
use super::units::grouped;

/// Something that can be configured.
pub(super) trait Setting: Sized + Clone + PartialEq {
    /// Every setting of a section.
    const KEYS: &'static [Key] = &[];

    /// The key by which an item of a list is told from others.
    const IDENTITY: Option<&'static str> = None;

    /// What can be written for it.
    fn shape() -> Shape;

    /// Gives `node` its type. What is wrong with it goes to `cx`, and then there is no value.
    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self>;

    /// The value as TOML, without secrets; nothing where it is not set.
    fn write(&self) -> Option<toml::Value>;

    /// The name or path of an item of a list.
    fn identity(&self) -> Option<String> {
        None
    }

    /// Notes in `changes` how `new` differs.
    fn compare(&self, new: &Self, path: &str, reload: Reload, changes: &mut Changes) {
        if self != new {
            changes.add(path, reload);
        }
    }

    /// Takes from `new` what can change while the server runs.
    fn adopt(&mut self, new: Self, reload: Reload) {
        if reload == Reload::Live {
            *self = new;
        }
    }
}

/// What reading needs besides the tree.
pub(super) struct Context<'a> {
    /// The environment, for settings that name a variable.
    pub(super) env: &'a BTreeMap<String, String>,
    /// The folder of the user's file, where there is one.
    pub(super) folder: Option<&'a Path>,
    problems: Vec<Problem>,
    path: Vec<String>,
}

impl<'a> Context<'a> {
    pub(super) fn new(env: &'a BTreeMap<String, String>, folder: Option<&'a Path>) -> Self {
        Self { env, folder, problems: Vec::new(), path: Vec::new() }
    }

    pub(super) fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Reports that the value at `place` is wrong.
    pub(super) fn reject<T>(
        &mut self,
        title: String,
        place: &Place,
        label: impl Into<String>,
    ) -> Option<T> {
        self.report(Problem::new(title).at(place, label));
        None
    }

    /// Reports that `node` is of the wrong type.
    pub(super) fn mismatch<T>(&mut self, node: &Node, wanted: &str) -> Option<T> {
        let title = format!("`{}` must be {wanted}", self.key().escape_debug());
        self.reject(title, &node.place, format!("this is {}", node.value.describe()))
    }

    /// The key that is being read.
    pub(super) fn key(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Reads what is under `key` with `read`, so that messages can name the path to it.
    pub(super) fn under<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.to_owned());
        let value = read(self);
        self.path.pop();
        value
    }
}

/// A table that is being read into a section.
pub(super) struct Fields<'a> {
    table: &'a Table,
    place: &'a Place,
}

impl<'a> Fields<'a> {
    /// Opens `node`; reports keys that `keys` doesn't have.
    pub(super) fn open(node: &'a Node, keys: &[Key], cx: &mut Context<'_>) -> Option<Self> {
        let Value::Table(table) = &node.value else {
            return cx.mismatch(node, "a table");
        };
        for entry in table.entries() {
            if !keys.iter().any(|key| key.name == entry.key) {
                cx.report(unknown_key(&entry.key, &entry.place, keys, &cx.path));
            }
        }
        Some(Self { table, place: &node.place })
    }

    /// The value of `key`, where it was written and is right.
    pub(super) fn get<T: Setting>(&self, key: &str, cx: &mut Context<'_>) -> Option<T> {
        let node = &self.table.get(key)?.node;
        cx.under(key, |cx| T::read(node, cx))
    }

    /// Reports that `key` was not written.
    pub(super) fn require(&self, key: &str, cx: &mut Context<'_>) {
        if self.table.get(key).is_none() {
            let title = format!("`{}` needs `{key}`", cx.path.join("."));
            cx.report(Problem::new(title).at(self.place, format!("`{key}` is missing")));
        }
    }

    /// Lets `value` through if it is within `bounds`.
    pub(super) fn within<T: Within<B>, B: Display>(
        &self,
        key: &str,
        value: Option<T>,
        bounds: &RangeInclusive<B>,
        cx: &mut Context<'_>,
    ) -> Option<T> {
        let value = value?;
        if value.is_within(bounds) {
            return Some(value);
        }
        let place = self.table.get(key).map_or(self.place, |entry| &entry.node.place);
        let (least, most) = (grouped(bounds.start()), grouped(bounds.end()));
        cx.reject(format!("`{key}` must be between {least} and {most}"), place, "")
    }
}

fn unknown_key(name: &str, place: &Place, keys: &[Key], path: &[String]) -> Problem {
    let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
    let label = nearest(name, known.iter().copied())
        .map_or_else(String::new, |near| format!("did you mean `{near}`?"));
    let wher = if path.is_empty() { String::new() } else { format!(" in `{}`", path.join(".")) };
    Problem::new(format!("unknown key `{}`{wher}", name.escape_debug()))
        .at(place, label)
        .help(format!("known are {}", among(&known, "and")))
}

/// A value that may have bounds.
pub(super) trait Within<B> {
    fn is_within(&self, bounds: &RangeInclusive<B>) -> bool;
}

impl<T: PartialOrd> Within<T> for T {
    fn is_within(&self, bounds: &RangeInclusive<T>) -> bool {
        bounds.contains(self)
    }
}

impl<T: PartialOrd> Within<T> for Option<T> {
    fn is_within(&self, bounds: &RangeInclusive<T>) -> bool {
        self.as_ref().is_none_or(|value| bounds.contains(value))
    }
}

/// Defines sections: a struct, its default, and the table of its settings, of one list.
///
/// A `section` has a default; an `item` has settings that must be written, and is told from others
/// by the one behind `by` or, where the one behind `at` is set, by both. After `=` stands what
/// holds where nothing is written, or `unset` with the words for it.
macro_rules! settings {
    ($(
        $(#[doc = $about:literal])*
        $kind:ident $name:ident $(by $identity:ident $(at $place:ident)?)? {
            $(
                $(#[doc = $doc:literal])*
                $field:ident $(as $key:literal)? : $type:ty
                    $(= $default:expr)? $(, unset $unset:literal)? $(, within $bounds:expr)?
                    => $reload:ident;
            )*
        }
    )*) => {$(
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])* pub $field: $type,)*
        }

        settings!(@default_impl $kind $name {
            $($field: $type $(= $default)? $(, unset $unset)?;)*
        });

        impl $crate::config::setting::Setting for $name {
            $(const IDENTITY: Option<&'static str> = Some(stringify!($identity));)?

            const KEYS: &'static [$crate::config::schema::Key] = &[$(
                $crate::config::schema::Key {
                    name: settings!(@key $field $(as $key)?),
                    meaning: &[$($doc),*],
                    shape: <$type as $crate::config::setting::Setting>::shape,
                    default: settings!(@preset $type $(= $default)? $(, unset $unset)?),
                    bounds: settings!(@bounds $($bounds)?),
                    reload: $crate::config::schema::Reload::$reload,
                },
            )*];

            fn shape() -> $crate::config::schema::Shape {
                $crate::config::schema::Shape::Section(Self::KEYS)
            }

            fn read(
                node: &$crate::config::tree::Node,
                cx: &mut $crate::config::setting::Context<'_>,
            ) -> Option<Self> {
                let fields = $crate::config::setting::Fields::open(node, Self::KEYS, cx)?;
                $(
                    let key = settings!(@key $field $(as $key)?);
                    let $field: Option<$type> = fields.get(key, cx);
                    $(let $field = fields.within(key, $field, &$bounds, cx);)?
                    let $field: Option<$type> = settings!(
                        @or_default fields, cx, key, $field, $type $(= $default)? $(, unset $unset)?
                    );
                )*
                Some(Self { $($field: $field?),* })
            }

            fn write(&self) -> Option<toml::Value> {
                let mut table = toml::Table::new();
                $(
                    let value = $crate::config::setting::Setting::write(&self.$field);
                    if let Some(value) = value {
                        table.insert(settings!(@key $field $(as $key)?).to_owned(), value);
                    }
                )*
                Some(toml::Value::Table(table))
            }

            $(fn identity(&self) -> Option<String> {
                let name = self.$identity.to_string();
                $(if let Some(place) = &self.$place {
                    return Some(format!("{name}@{place}"));
                })?
                Some(name)
            })?

            fn compare(
                &self,
                new: &Self,
                path: &str,
                _: $crate::config::schema::Reload,
                changes: &mut $crate::config::changes::Changes,
            ) {
                $(
                    let key = settings!(@key $field $(as $key)?);
                    let inner = $crate::config::changes::join(path, key);
                    let reload = $crate::config::schema::Reload::$reload;
                    self.$field.compare(&new.$field, &inner, reload, changes);
                )*
            }

            fn adopt(&mut self, new: Self, _: $crate::config::schema::Reload) {
                $(
                    let reload = $crate::config::schema::Reload::$reload;
                    self.$field.adopt(new.$field, reload);
                )*
            }
        }
    )*};

    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident as $key:literal) => { $key };

    (@bounds) => { None };
    (@bounds $bounds:expr) => {
        Some(|| { let bounds = $bounds; format!(
            "{} to {}",
            $crate::config::units::grouped(bounds.start()),
            $crate::config::units::grouped(bounds.end()),
        ) })
    };

    (@preset $type:ty) => { $crate::config::schema::Preset::Required };
    (@preset $type:ty, unset $unset:literal) => { $crate::config::schema::Preset::Unset($unset) };
    (@preset $type:ty = $default:expr) => {
        $crate::config::schema::Preset::Value(|| {
            let value: $type = $default;
            $crate::config::setting::Setting::write(&value)
        })
    };

    (@or_default $fields:ident, $cx:ident, $key:ident, $value:ident, $type:ty) => {{
        $fields.require($key, $cx);
        $value
    }};
    (@or_default $fields:ident, $cx:ident, $key:ident, $value:ident, $type:ty, unset $unset:literal) => {
        Some($value.flatten())
    };
    (@or_default $fields:ident, $cx:ident, $key:ident, $value:ident, $type:ty = $default:expr) => {
        Some($value.unwrap_or_else(|| $default))
    };

    (@default_impl item $name:ident { $($rest:tt)* }) => {};
    (@default_impl section $name:ident {
        $($field:ident: $type:ty $(= $default:expr)? $(, unset $unset:literal)?;)*
    }) => {
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: settings!(@value $(= $default)? $(, unset $unset)?)),* }
            }
        }
    };
    (@value = $default:expr) => { $default };
    (@value , unset $unset:literal) => { None };
}
pub(super) use settings;

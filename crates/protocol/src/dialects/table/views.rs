use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How a client wants the events of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct View {
    /// Only these members of the data, sorted; all of them where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) fields: Vec<String>,
    /// Bytes as they are, in binary frames.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) binary: bool,
}

/// How a client wants the events of each stream of which it does not want them plainly. Sorted, so
/// that the same wishes make the same text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Views(BTreeMap<String, View>);

impl View {
    pub(super) fn new(mut fields: Vec<String>, binary: bool) -> Self {
        fields.sort_unstable();
        fields.dedup();
        Self { fields, binary }
    }

    /// Whether a member of the data is wanted, whose name is compared by `is`.
    pub(super) fn wants(&self, is: impl Fn(&str) -> bool) -> bool {
        self.fields.is_empty() || self.fields.iter().any(|field| is(field))
    }
}

impl Views {
    /// Reads the text that [`Views::text`] wrote.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The wishes as text; `None` where all is wanted plainly.
    pub(super) fn text(&self) -> Option<Arc<str>> {
        if self.0.is_empty() {
            return None;
        }
        serde_json::to_string(&self.0).ok().map(Arc::from)
    }

    /// How the events of a stream are wanted.
    pub(super) fn of(&self, stream: &str) -> Option<&View> {
        self.0.get(stream)
    }

    /// From now on the events of a stream are wanted so.
    pub(super) fn set(&mut self, stream: &str, view: &View) {
        if *view == View::default() {
            self.0.remove(stream);
        } else {
            self.0.insert(stream.to_owned(), view.clone());
        }
    }

    /// A stream is not wanted any more.
    pub(super) fn forget(&mut self, stream: &str) {
        self.0.remove(stream);
    }

    /// Takes what it does not have from others.
    pub(super) fn fill_in(&mut self, others: Self) {
        for (stream, view) in others.0 {
            self.0.entry(stream).or_insert(view);
        }
    }
}

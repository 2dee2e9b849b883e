use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::schema::Shape;
use super::setting::{Context, Setting};
use super::tree::Node;
use super::values::quoted;
use crate::schema::Validator;

/// Largest schema file.
const BYTES_MAX: u64 = 1 << 20;

/// A file with a JSON Schema, as it was when the configuration was read.
#[derive(Clone)]
pub struct SchemaFile {
    path: PathBuf,
    text: Arc<str>,
    validator: Arc<Validator>,
}

impl SchemaFile {
    /// What it checks.
    pub(crate) fn validator(&self) -> &Validator {
        &self.validator
    }
}

impl PartialEq for SchemaFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.text == other.text
    }
}

impl fmt::Debug for SchemaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SchemaFile({})", self.path.display())
    }
}

impl Setting for SchemaFile {
    fn shape() -> Shape {
        PathBuf::shape()
    }

    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let path = PathBuf::read(node, cx)?;
        let beside = cx.folder.map(|folder| folder.join(&path)).filter(|file| file.is_file());
        let name = quoted(&path.display().to_string());
        let text = match read(beside.as_deref().unwrap_or(&path)) {
            Ok(text) => text,
            Err(why) => return cx.reject(format!("cannot read {name}"), &node.place, why),
        };
        match Validator::compile(&text) {
            Ok(validator) => Some(Self { path, text: text.into(), validator: Arc::new(validator) }),
            Err(why) => {
                cx.reject(format!("{name} is not a JSON Schema that can be used"), &node.place, why)
            }
        }
    }

    fn write(&self) -> Option<toml::Value> {
        self.path.write()
    }
}

fn read(path: &Path) -> Result<String, String> {
    let bytes = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if bytes > BYTES_MAX {
        return Err(format!("it has {bytes} bytes; at most {BYTES_MAX} are read"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

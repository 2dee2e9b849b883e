use std::fmt;

use super::schema::Shape;
use super::setting::{Context, Setting};
use super::tree::{Node, Value};
use super::values::quoted;

/// A secret and the environment variable that holds it. Only the variable's name is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretVariable {
    name: String,
    secret: String,
}

impl SecretVariable {
    /// The variable's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The secret; not empty. Compare it in constant time.
    pub fn reveal(&self) -> &str {
        &self.secret
    }
}

impl fmt::Debug for SecretVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretVariable({})", self.name)
    }
}

impl Setting for SecretVariable {
    fn shape() -> Shape {
        Shape::Value("variable name")
    }

    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let (Value::Text(name) | Value::Untyped(name)) = &node.value else {
            return cx.mismatch(node, "the name of an environment variable, in quotes");
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(fits) {
            // What was written may be the secret itself, so it is not repeated in the title.
            let title = format!("`{}` must be the name of an environment variable", cx.key());
            return cx.reject(title, &node.place, "not the secret itself");
        }
        match cx.env.get(name).filter(|secret| !secret.is_empty()) {
            Some(secret) => Some(Self { name: name.clone(), secret: secret.clone() }),
            None => {
                let title = format!("the environment variable {} is not set", quoted(name));
                cx.reject(title, &node.place, "it should hold a secret")
            }
        }
    }

    fn write(&self) -> Option<toml::Value> {
        Some(toml::Value::String(self.name.clone()))
    }
}

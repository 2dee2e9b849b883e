use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::units::ParseError;

/// JSON in which `"${/name}"` stands for what a JSON pointer (RFC 6901) finds in other JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    text: Box<str>,
    value: Value,
}

impl FromStr for Template {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            ParseError::new(format!("it stops being JSON at {place}"))
        })?;
        check(&value)?;
        Ok(Self { text: text.into(), value })
    }
}

fn check(value: &Value) -> Result<(), ParseError> {
    match value {
        Value::String(text) => match pointer(text) {
            Some(pointer) if !(pointer.is_empty() || pointer.starts_with('/')) => {
                let hint = format!("a JSON pointer begins with `/`: write `${{/{pointer}}}`");
                Err(ParseError::new(hint))
            }
            _ => Ok(()),
        },
        Value::Array(items) => items.iter().try_for_each(check),
        Value::Object(members) => members.values().try_for_each(check),
        _ => Ok(()),
    }
}

fn pointer(text: &str) -> Option<&str> {
    text.strip_prefix("${")?.strip_suffix('}')
}

impl Template {
    /// The JSON with what `data` has. A member for which there is nothing is left out, an item of a
    /// list becomes `null`.
    pub(crate) fn filled(&self, data: &Value) -> Value {
        filled(&self.value, data).unwrap_or(Value::Null)
    }
}

fn filled(template: &Value, data: &Value) -> Option<Value> {
    match template {
        Value::String(text) => match pointer(text) {
            Some(pointer) => data.pointer(pointer).cloned(),
            None => Some(template.clone()),
        },
        Value::Array(items) => {
            Some(items.iter().map(|item| filled(item, data).unwrap_or(Value::Null)).collect())
        }
        Value::Object(members) => {
            let members = members.iter();
            let kept =
                members.filter_map(|(name, value)| Some((name.clone(), filled(value, data)?)));
            Some(Value::Object(kept.collect()))
        }
        other => Some(other.clone()),
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pointers_are_filled_in() {
        let text = r#"{"model":"m","prompt":"${/query}","system":"${/context/text}",
            "options":{"seed":7,"all":"${}"},"list":["${/query}","${/none}","$x"]}"#;
        let template: Template = text.parse().unwrap();
        let data = json!({ "query": "why?" });
        let expected = json!({
            "model": "m", "prompt": "why?",
            "options": { "seed": 7, "all": { "query": "why?" } },
            "list": ["why?", null, "$x"],
        });
        assert_eq!(template.filled(&data), expected);
        assert_eq!(template.to_string(), text);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let why = |text: &str| text.parse::<Template>().unwrap_err().to_string();
        assert!(why("{").contains("stops being JSON"));
        assert!(why(r#"{"a":["${query}"]}"#).contains("${/query}"));
    }
}

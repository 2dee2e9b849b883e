use std::collections::HashMap;

use jsonschema::{Draft, PatternOptions};
use protocol::{Error, ErrorCode, Payload};
use serde_json::{Map, Value};

/// Ways through the parts of a schema that look at the same value. With more, it could take long
/// to check a small value.
const WAYS_MAX: u32 = 10_000;
/// Most references after each other.
const DEPTH_MAX: u32 = 200;
const TOO_MANY: &str = "there are too many ways in it to check one value";
/// Most memory of a compiled regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// Longest explanation of what is wrong with data, in characters.
const EXPLANATION_MAX: usize = 300;

/// Keywords whose value is a schema that the same value must satisfy, or decides about.
const IN_PLACE: [&str; 4] = ["not", "if", "then", "else"];
/// Keywords whose value is a list of such schemas.
const IN_PLACE_LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// A compiled JSON Schema.
pub(crate) struct Validator(jsonschema::Validator);

impl Validator {
    /// Compiles a schema. It refers to nothing but itself, and its regular expressions are of the
    /// kind that takes linear time.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        let schema: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ways::new(&schema).check()?;
        let patterns = PatternOptions::regex().size_limit(REGEX_BYTES_MAX);
        jsonschema::options()
            .with_draft(draft_of(&schema))
            .offline()
            .with_pattern_options(patterns)
            .build(&schema)
            .map(Self)
            .map_err(|error| shortened(&format!("at `{}`: {error}", error.instance_path())))
    }

    /// Refuses data that are not as the schema wants them, naming the field.
    ///
    /// # Errors
    /// `invalid_data`.
    pub(crate) fn check(&self, payload: &Payload) -> Result<(), Error> {
        let invalid = |message: String| Err(Error::new(ErrorCode::InvalidData, message));
        let Payload::Json(text) = payload else {
            return invalid("the schema of this topic wants JSON, and the data are bytes".into());
        };
        let data: Value = match serde_json::from_slice(text) {
            Ok(data) => data,
            Err(error) => return invalid(format!("the data are not JSON: {error}")),
        };
        match self.0.validate(&data) {
            Ok(()) => Ok(()),
            Err(error) => {
                let field = match error.instance_path().as_str() {
                    "" => "the data".to_owned(),
                    path => format!("`{path}`"),
                };
                // The value itself may be long, and is nobody else's business.
                let why = error.masked_with("it").to_string();
                invalid(shortened(&format!("{field} is not as its schema wants it: {why}")))
            }
        }
    }
}

/// The draft that the schema names, or the newest.
fn draft_of(schema: &Value) -> Draft {
    let named = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let of = |part: &str| named.contains(part);
    match () {
        () if of("draft-04") => Draft::Draft4,
        () if of("draft-06") => Draft::Draft6,
        () if of("draft-07") => Draft::Draft7,
        () if of("2019-09") => Draft::Draft201909,
        () => Draft::Draft202012,
    }
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(EXPLANATION_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Looks for schemas that never come to an end, or take very long, whatever the value.
struct Ways<'a> {
    root: &'a Value,
    /// By address: how many ways go through a part; none while it is being looked at.
    known: HashMap<*const Value, Option<u32>>,
}

impl<'a> Ways<'a> {
    fn new(root: &'a Value) -> Self {
        Self { root, known: HashMap::new() }
    }

    fn check(mut self) -> Result<(), String> {
        let mut parts = vec![self.root];
        while let Some(part) = parts.pop() {
            self.through(part, 0)?;
            match part {
                Value::Object(fields) => parts.extend(fields.values()),
                Value::Array(items) => parts.extend(items),
                _ => {}
            }
        }
        Ok(())
    }

    fn through(&mut self, part: &'a Value, depth: u32) -> Result<u32, String> {
        match self.known.get(&std::ptr::from_ref(part)) {
            Some(Some(ways)) => return Ok(*ways),
            Some(None) => return Err("a `$ref` in it leads back to itself".into()),
            None => {}
        }
        let Value::Object(fields) = part else { return Ok(1) };
        if depth > DEPTH_MAX {
            return Err(TOO_MANY.into());
        }
        self.known.insert(part, None);
        let mut next: Vec<&'a Value> = Vec::new();
        next.extend(IN_PLACE.iter().filter_map(|name| fields.get(*name)));
        for name in IN_PLACE_LISTS {
            next.extend(fields.get(name).and_then(Value::as_array).into_iter().flatten());
        }
        let dependent = fields.get("dependentSchemas").and_then(Value::as_object);
        next.extend(dependent.into_iter().flat_map(|schemas| schemas.values()));
        next.extend(self.referred(fields)?);
        let mut ways: u32 = 1;
        for part in next {
            ways = ways.saturating_add(self.through(part, depth + 1)?);
        }
        if ways > WAYS_MAX {
            return Err(TOO_MANY.into());
        }
        self.known.insert(part, Some(ways));
        Ok(ways)
    }

    /// What a schema refers to, of which only one form is taken, so that it can be followed here.
    fn referred(&self, fields: &'a Map<String, Value>) -> Result<Option<&'a Value>, String> {
        for keyword in ["$dynamicRef", "$recursiveRef"] {
            if fields.get(keyword).is_some_and(Value::is_string) {
                return Err(format!("it has `{keyword}`; write `$ref`"));
            }
        }
        let Some(reference) = fields.get("$ref").and_then(Value::as_str) else { return Ok(None) };
        let pointer = reference.strip_prefix('#');
        match pointer.and_then(|pointer| self.root.pointer(pointer)) {
            Some(part) => Ok(Some(part)),
            None => {
                let reference = shortened(reference);
                Err(format!("`$ref` may only be like `#/$defs/name`, and `{reference}` is not"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(schema: &Value, data: &str) -> String {
        let validator = Validator::compile(&schema.to_string()).unwrap();
        let payload = Payload::Json(bytes::Bytes::copy_from_slice(data.as_bytes()));
        validator.check(&payload).err().map_or_else(String::new, |error| error.message)
    }

    #[test]
    fn names_the_field_and_not_its_value() {
        let schema = serde_json::json!({
            "type": "object",
            "required": ["text"],
            "properties": { "text": { "type": "string" }, "at": { "items": { "type": "integer" } } },
        });
        assert_eq!(refusal(&schema, r#"{"text":"x"}"#), "");
        let wrong = refusal(&schema, r#"{"text":"x","at":[1,"canary"]}"#);
        assert!(wrong.starts_with("`/at/1` is not") && wrong.contains("integer"), "{wrong}");
        assert!(!wrong.contains("canary"), "{wrong}");
        assert!(refusal(&schema, "{}").contains("\"text\""), "{}", refusal(&schema, "{}"));
        let long = format!("{{\"text\":[\"{}\"]}}", "x".repeat(100_000));
        assert!(refusal(&schema, &long).len() < 400);
    }

    #[test]
    fn bytes_are_not_what_a_schema_wants() {
        let validator = Validator::compile("true").unwrap();
        let bytes = bytes::Bytes::from_static(b"{}");
        let payload = Payload::Binary { content_type: "image/jpeg".into(), bytes };
        assert_eq!(validator.check(&payload).unwrap_err().code, ErrorCode::InvalidData);
    }

    #[test]
    fn what_would_not_end_or_leave_this_machine_is_refused() {
        let mut doubling = serde_json::json!({ "$ref": "#/$defs/d30" });
        for at in 1..=30 {
            let below = serde_json::json!({ "$ref": format!("#/$defs/d{}", at - 1) });
            doubling["$defs"][format!("d{at}")] = serde_json::json!({ "anyOf": [below, below] });
        }
        doubling["$defs"]["d0"] = serde_json::json!({ "type": "string" });
        for (schema, why) in [
            ("{", "EOF"),
            (r##"{"$ref":"#"}"##, "leads back to itself"),
            (r##"{"$defs":{"a":{"allOf":[{"$ref":"#/$defs/a"}]}}}"##, "leads back to itself"),
            (&doubling.to_string(), "too many ways"),
            (r#"{"$ref":"https://schemas.example/a.json"}"#, "schemas.example"),
            (r#"{"type":"strnig"}"#, "strnig"),
            (r#"{"pattern":"(a"}"#, "(a"),
        ] {
            let error = Validator::compile(schema).err().unwrap_or_default();
            assert!(error.contains(why), "{schema}: {error}");
        }
        // One that recurs into smaller values ends with them.
        let tree = r##"{"properties":{"next":{"$ref":"#"}}}"##;
        assert!(Validator::compile(tree).is_ok());
    }
}

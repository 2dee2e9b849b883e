use super::fields::{Fields, Key, Path, Raw, Value};
use super::wire::Reader;
use crate::error::Error;
use crate::filter::{
    Comparison, Condition, FILTER_BYTES_MAX, FILTER_NODES_MAX, FILTER_VALUES_MAX, Filter, Number,
    Pointer, Scalar, Test,
};
use crate::json::check_depth;
use crate::topic::quoted;

const WHAT: &str = r#"{"field","op","value"}, {"all":[…]}, {"any":[…]} or {"not":…}"#;
const SCALAR: &str = "a string, a number, true, false or null";

const FIELD: Key = ("field", 1);
const OP: Key = ("op", 2);
const VALUE: Key = ("value", 3);
const ALL: Key = ("all", 4);
const ANY: Key = ("any", 5);
const NOT: Key = ("not", 6);

/// Reads a filter from JSON text.
///
/// # Errors
/// `bad_request`, naming the place in the filter.
pub fn read_filter(text: &str) -> Result<Filter, Error> {
    let wrong = |error: Error| Error::bad_request(format!("filter: {}", error.message));
    check_depth(text.as_bytes()).map_err(wrong)?;
    let raw = serde_json::from_str(text)
        .map_err(|error| Error::bad_request(format!("filter is not JSON: {error}")))?;
    filter(Value { raw: Raw::Json(raw), path: Path::Verb("filter") })
}

/// Reads the `filter` of a subscription.
pub(super) fn filter(value: Value<'_, '_>) -> Result<Filter, Error> {
    if value.len() > FILTER_BYTES_MAX {
        return Err(value.must_be(format_args!("at most {FILTER_BYTES_MAX} bytes long")));
    }
    condition(value, &mut 0).map(Filter::new)
}

/// `nodes` counts the conditions so far, which also bounds the recursion.
fn condition(value: Value<'_, '_>, nodes: &mut usize) -> Result<Condition, Error> {
    *nodes += 1;
    if *nodes > FILTER_NODES_MAX {
        let message = format!("{}: a filter has at most {FILTER_NODES_MAX} conditions", value.path);
        return Err(Error::bad_request(message));
    }
    let (fields, path) = (value.object(WHAT)?, value.path);
    if let Some(field) = fields.get(&path, FIELD) {
        only(&fields, &path, &[FIELD, OP, VALUE])?;
        let field = field.parse("a JSON pointer", Pointer::parse)?;
        return Ok(Condition::Field(field, test(&fields, &path)?));
    }
    if let Some(list) = fields.get(&path, ALL) {
        only(&fields, &path, &[ALL])?;
        return conditions(list, nodes).map(Condition::All);
    }
    if let Some(list) = fields.get(&path, ANY) {
        only(&fields, &path, &[ANY])?;
        return conditions(list, nodes).map(Condition::Any);
    }
    if let Some(negated) = fields.get(&path, NOT) {
        only(&fields, &path, &[NOT])?;
        return Ok(Condition::Not(Box::new(condition(negated, nodes)?)));
    }
    Err(value.must_be(WHAT))
}

/// Unlike elsewhere, what is not known is refused: a filter that is understood in part selects
/// other events than were meant.
fn only(fields: &Fields<'_>, path: &Path<'_>, keys: &[Key]) -> Result<(), Error> {
    let other = match fields {
        Fields::Json(object) => {
            let mut names = object.iter().map(|(name, _)| name);
            names.find(|name| keys.iter().all(|(known, _)| known != name)).map(quoted)
        }
        Fields::Protobuf(message) => {
            let mut numbers = Reader::new(message).flatten().map(|(number, _)| number);
            numbers.find(|number| keys.iter().all(|(_, known)| known != number)).map(called)
        }
    };
    match other {
        None => Ok(()),
        Some(other) => Err(Error::bad_request(format!("{path} must not have the field {other}"))),
    }
}

/// What JSON calls a field of Protobuf; its number where that is none of a filter's.
fn called(number: u32) -> String {
    let key = [FIELD, OP, VALUE, ALL, ANY, NOT].into_iter().find(|(_, known)| *known == number);
    key.map_or_else(|| number.to_string(), |(name, _)| quoted(name))
}

/// What is compared with is JSON in either encoding.
fn as_json<'p, 'a>(value: Value<'p, 'a>) -> Result<Value<'p, 'a>, Error> {
    Ok(Value { raw: Raw::Json(value.json()?), path: value.path })
}

fn conditions(list: Value<'_, '_>, nodes: &mut usize) -> Result<Vec<Condition>, Error> {
    let items = list.list("a list of filters", FILTER_NODES_MAX)?;
    if items.is_empty() {
        return Err(list.must_be("a list of at least one filter"));
    }
    let items = items.into_iter().enumerate();
    items
        .map(|(at, raw)| condition(Value { raw, path: Path::Item(&list.path, at) }, nodes))
        .collect()
}

fn test(fields: &Fields<'_>, path: &Path<'_>) -> Result<Test, Error> {
    let op = fields.require(path, OP)?;
    let word = op.text("a string")?;
    if word == "exists" {
        return match fields.get(path, VALUE) {
            None => Ok(Test::Exists),
            Some(value) => Err(value.must_be("left out: `exists` has no value")),
        };
    }
    let value = || as_json(fields.require(path, VALUE)?);
    if word == "prefix" {
        return Ok(Test::Prefix(value()?.text("a string")?.into()));
    }
    if word == "in" {
        return values(value()?).map(Test::In);
    }
    let comparison = Comparison::ALL.into_iter().find(|comparison| comparison.as_str() == word);
    let Some(comparison) = comparison else {
        return Err(op.must_be("one of eq, ne, lt, le, gt, ge, in, exists and prefix"));
    };
    compared(comparison, value()?)
}

fn compared(comparison: Comparison, value: Value<'_, '_>) -> Result<Test, Error> {
    let scalar = scalar(value)?;
    match (comparison, &scalar) {
        (Comparison::Eq, _) | (_, Scalar::Number(_) | Scalar::Text(_)) => {}
        (Comparison::Ne, Scalar::Bool(_)) => {}
        // Only `null` has the type of `null`.
        (Comparison::Ne, Scalar::Null) => {
            return Err(value.must_be(r#"other than null; write {"not":…} around an eq"#));
        }
        _ => return Err(value.must_be("a number or a string")),
    }
    Ok(Test::Compare(comparison, scalar))
}

fn values(list: Value<'_, '_>) -> Result<Vec<Scalar>, Error> {
    let items = list.list("a list of values", FILTER_VALUES_MAX)?;
    if items.is_empty() {
        return Err(list.must_be("a list of at least one value"));
    }
    let items = items.into_iter().enumerate();
    items.map(|(at, raw)| scalar(Value { raw, path: Path::Item(&list.path, at) })).collect()
}

fn scalar(value: Value<'_, '_>) -> Result<Scalar, Error> {
    match value.json()?.get() {
        "null" => Ok(Scalar::Null),
        "true" => Ok(Scalar::Bool(true)),
        "false" => Ok(Scalar::Bool(false)),
        text if text.starts_with('"') => Ok(Scalar::Text(value.text(SCALAR)?.into())),
        text => Number::parse(text).map(Scalar::Number).ok_or_else(|| value.must_be(SCALAR)),
    }
}

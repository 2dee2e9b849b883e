use super::fields::{Fields, Path, Value};
use crate::error::Error;
use crate::filter::{
    Comparison, Condition, FILTER_BYTES_MAX, FILTER_NODES_MAX, FILTER_VALUES_MAX, Filter, Number,
    Pointer, Scalar, Test,
};
use crate::json::check_depth;
use crate::topic::quoted;

const WHAT: &str = r#"{"field","op","value"}, {"all":[…]}, {"any":[…]} or {"not":…}"#;
const VALUE: &str = "a string, a number, true, false or null";

/// Reads a filter from JSON text.
///
/// # Errors
/// `bad_request`, naming the place in the filter.
pub fn read_filter(text: &str) -> Result<Filter, Error> {
    let wrong = |error: Error| Error::bad_request(format!("filter: {}", error.message));
    check_depth(text.as_bytes()).map_err(wrong)?;
    let raw = serde_json::from_str(text)
        .map_err(|error| Error::bad_request(format!("filter is not JSON: {error}")))?;
    filter(Value { raw, path: Path::Verb("filter") })
}

/// Reads the `filter` of a subscription.
pub(super) fn filter(value: Value<'_, '_>) -> Result<Filter, Error> {
    if value.raw.get().len() > FILTER_BYTES_MAX {
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
    if let Some(field) = fields.get(&path, "field") {
        only(&fields, &path, &["field", "op", "value"])?;
        let field = field.parse("a JSON pointer", Pointer::parse)?;
        return Ok(Condition::Field(field, test(&fields, &path)?));
    }
    if let Some(list) = fields.get(&path, "all") {
        only(&fields, &path, &["all"])?;
        return conditions(list, nodes).map(Condition::All);
    }
    if let Some(list) = fields.get(&path, "any") {
        only(&fields, &path, &["any"])?;
        return conditions(list, nodes).map(Condition::Any);
    }
    if let Some(negated) = fields.get(&path, "not") {
        only(&fields, &path, &["not"])?;
        return Ok(Condition::Not(Box::new(condition(negated, nodes)?)));
    }
    Err(value.must_be(WHAT))
}

/// Unlike elsewhere, what is not known is refused: a filter that is understood in part selects
/// other events than were meant.
fn only(fields: &Fields<'_>, path: &Path<'_>, names: &[&str]) -> Result<(), Error> {
    match fields.iter().find(|(name, _)| !names.contains(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let message = format!("{path} must not have the field {}", quoted(name));
            Err(Error::bad_request(message))
        }
    }
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
    let op = fields.require(path, "op")?;
    let word = op.text("a string")?;
    if word == "exists" {
        return match fields.get(path, "value") {
            None => Ok(Test::Exists),
            Some(value) => Err(value.must_be("left out: `exists` has no value")),
        };
    }
    let value = || fields.require(path, "value");
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
    match value.raw.get() {
        "null" => Ok(Scalar::Null),
        "true" => Ok(Scalar::Bool(true)),
        "false" => Ok(Scalar::Bool(false)),
        text if text.starts_with('"') => Ok(Scalar::Text(value.text(VALUE)?.into())),
        text => Number::parse(text).map(Scalar::Number).ok_or_else(|| value.must_be(VALUE)),
    }
}

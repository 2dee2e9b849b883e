use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Filter, FilterSet};
use crate::dialects::native::read_filter;
use crate::event::Payload;

fn filter(value: &Value) -> Filter {
    read_filter(&value.to_string()).unwrap()
}

fn data(text: &str) -> Payload {
    Payload::Json(Bytes::copy_from_slice(text.as_bytes()))
}

fn field(field: &str, op: &str, value: Value) -> Value {
    json!({ "field": field, "op": op, "value": value })
}

#[track_caller]
fn check(filter_of: &Value, text: &str, accepts: bool) {
    let read = filter(filter_of);
    assert_eq!(read.accepts(&data(text)), accepts, "{filter_of} {text}");
    let set = FilterSet::new([Arc::new(filter(&field("/other", "eq", json!(1)))), Arc::new(read)]);
    set.judge(&data(text), |place, verdict| assert!(place == 0 || verdict == accepts));
}

#[test]
fn fields_are_compared() {
    let text = r#"{"confidence":0.85,"name":"anna","is_final":true,"none":null,
        "tags":["a","b"],"box":{"x":-3,"y":{"z":"é"}},"big":9007199254740993}"#;
    for (of, accepts) in [
        (field("/confidence", "ge", json!(0.8)), true),
        (field("/confidence", "gt", json!(0.85)), false),
        (field("/confidence", "le", json!(0.85)), true),
        (field("/name", "prefix", json!("an")), true),
        (field("/name", "prefix", json!("")), true),
        (field("/name", "lt", json!("bert")), true),
        (field("/name", "ne", json!("bert")), true),
        (field("/name", "in", json!(["x", 1, null, "anna"])), true),
        (field("/is_final", "eq", json!(true)), true),
        (field("/is_final", "ne", json!(true)), false),
        (field("/none", "eq", json!(null)), true),
        (json!({"field":"/none","op":"exists"}), true),
        (json!({"field":"/nothing","op":"exists"}), false),
        (json!({"field":"/tags/1","op":"exists"}), true),
        (json!({"field":"/tags/2","op":"exists"}), false),
        (json!({"field":"/tags/01","op":"exists"}), false),
        (json!({"field":"/tags/-","op":"exists"}), false),
        (json!({"field":"","op":"exists"}), true),
        (field("/tags/1", "eq", json!("b")), true),
        (field("/box/y/z", "eq", json!("é")), true),
        (field("/box/x", "lt", json!(0)), true),
        (field("/big", "eq", json!(9_007_199_254_740_993_u64)), true),
        (field("/big", "eq", json!(9_007_199_254_740_992_u64)), false),
        (json!({"all":[field("/box/x", "lt", json!(0)), field("/box", "eq", json!(1))]}), false),
        (json!({"any":[field("/box/x", "lt", json!(0)), field("/box", "eq", json!(1))]}), true),
        (json!({"not":field("/nothing", "eq", json!(1))}), true),
    ] {
        check(&of, text, accepts);
    }
}

#[test]
fn other_types_are_never_equal_less_or_different() {
    for text in [r#"{"a":"1"}"#, r#"{"a":[1]}"#, r#"{"a":{"b":1}}"#, r#"{"a":null}"#, "{}", "1"] {
        for op in ["eq", "ne", "lt", "le", "gt", "ge"] {
            check(&field("/a", op, json!(1)), text, false);
        }
        check(&field("/a", "in", json!([1, true])), text, false);
    }
    check(&field("/a", "prefix", json!("1")), r#"{"a":1}"#, false);
}

#[test]
fn data_as_a_whole_have_the_empty_pointer() {
    check(&field("", "ge", json!(3)), " 4 ", true);
    check(&field("/0", "eq", json!("x")), r#"["x"]"#, true);
    check(&field("/a~1b/~0", "eq", json!(1)), r#"{"a/b":{"~":1}}"#, true);
    check(&field("/\u{e9}", "eq", json!(1)), r#"{"\u00e9":1}"#, true);
}

#[test]
fn of_members_of_one_name_the_last_counts() {
    let both =
        json!({"all":[field("/a", "eq", json!(2)), json!({"not":{"field":"/a/b","op":"exists"}})]});
    check(&both, r#"{"a":{"b":1},"a":2}"#, true);
    check(&both, r#"{"a":2,"a":{"b":1}}"#, false);
}

#[test]
fn bytes_and_what_is_no_json_have_no_fields() {
    let bytes = Payload::Binary { content_type: "image/jpeg".into(), bytes: Bytes::from("{}") };
    for of in [json!({"field":"","op":"exists"}), json!({"not":{"field":"/a","op":"exists"}})] {
        assert!(!filter(&of).accepts(&bytes));
        assert!(!filter(&of).accepts(&data("{\"a\"")));
        let set = FilterSet::new([Arc::new(filter(&of))]);
        set.judge(&bytes, |_, verdict| assert!(!verdict));
    }
}

#[test]
fn filters_that_say_the_same_are_equal() {
    let a = field("/a", "in", json!(["x", 1.0, "x"]));
    let b = field("/b", "eq", json!(10));
    let same = [
        json!({"all":[a, b]}).to_string(),
        json!({"all":[b, a, {"any":[b]}]}).to_string(),
        r#"{"all":[{"op":"in","field":"/b","value":[1e1]},
            {"value":["\u0078",1],"op":"in","field":"/a"}]}"#
            .to_owned(),
    ];
    for text in &same {
        let read = read_filter(text).unwrap();
        assert_eq!(read, read_filter(same.first().unwrap()).unwrap());
        assert_eq!(read_filter(read.as_str()).unwrap(), read, "its text says the same");
    }
    assert_ne!(filter(&json!({"not":a})), filter(&a));
}

#[test]
fn errors_name_the_place() {
    let many = format!("[{}]", ["1"; 101].join(","));
    let nodes: Vec<Value> = (0..32).map(|n| field("/a", "eq", json!(n))).collect();
    for (text, message) in [
        ("{", "filter is not JSON"),
        ("[]", "filter must be {\"field\""),
        ("{}", "filter must be {\"field\""),
        (r#"{"field":"/a"}"#, "filter.op is missing"),
        (r#"{"field":"/a","op":"eq"}"#, "filter.value is missing"),
        (r#"{"field":"/a","op":"like","value":1}"#, "filter.op must be one of eq, ne"),
        (r#"{"field":"a","op":"exists"}"#, "filter.field: \"a\" is no JSON pointer"),
        (r#"{"field":"/a~2","op":"exists"}"#, "filter.field: \"/a~2\" is no JSON pointer"),
        (r#"{"field":"/a","op":"exists","value":true}"#, "filter.value must be left out"),
        (r#"{"field":"/a","op":"eq","value":[1]}"#, "filter.value must be a string, a number"),
        (r#"{"field":"/a","op":"lt","value":true}"#, "filter.value must be a number or a string"),
        (r#"{"field":"/a","op":"ne","value":null}"#, "filter.value must be other than null"),
        (r#"{"field":"/a","op":"prefix","value":1}"#, "filter.value must be a string"),
        (r#"{"field":"/a","op":"in","value":[]}"#, "filter.value must be a list of at least one"),
        (r#"{"field":"/a","op":"in","value":[1,{}]}"#, "filter.value[1] must be a string"),
        (r#"{"all":[]}"#, "filter.all must be a list of at least one filter"),
        (r#"{"all":[{"not":{"any":[1]}}]}"#, "filter.all[0].not.any[0] must be {\"field\""),
        (
            r#"{"all":[{"field":"","op":"exists"}],"any":[]}"#,
            "filter must not have the field \"any\"",
        ),
        (r#"{"field":"/a","op":"exists","case":1}"#, "filter must not have the field \"case\""),
        (r#"{"field":"/a","op":"exists","op":"eq"}"#, "filter has the field \"op\" twice"),
        (
            &format!(r#"{{"field":"/a","op":"in","value":{many}}}"#),
            "filter.value has more than 100 items",
        ),
        (
            &json!({ "all": nodes }).to_string(),
            "filter.all[31]: a filter has at most 32 conditions",
        ),
        (
            &format!(r#"{{"field":"/{}","op":"exists"}}"#, "a".repeat(8_192)),
            "filter must be at most 8192 bytes long",
        ),
        (
            &format!("{}1{}", r#"{"not":"#.repeat(40), "}".repeat(40)),
            "filter: the JSON nests deeper than 32 levels",
        ),
    ] {
        let error = read_filter(text).unwrap_err().message;
        assert!(error.starts_with(message), "{text}: {error}");
    }
}

/// Names of members that meet often, and need escapes.
fn any_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "0", "1", "", "a/b", "~", "é", "\""]).prop_map(String::from)
}

/// Quarters are held exactly by the model, too.
fn any_leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        (-8_i64..9).prop_map(|quarters| Value::from(quarters as f64 / 4.0)),
        prop::sample::select(vec![u64::MAX, u64::MAX - 1, (1 << 53) + 1, 1 << 53])
            .prop_map(Value::from),
        prop::sample::select(vec!["", "a", "ab", "é", "\"", "a\u{10ffff}", "1"])
            .prop_map(Value::from),
    ]
}

fn any_data() -> impl Strategy<Value = Value> {
    any_leaf().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any_name(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_pointer() -> impl Strategy<Value = String> {
    prop::collection::vec(any_name(), 0..3).prop_map(|names| {
        let escaped = names.iter().map(|name| name.replace('~', "~0").replace('/', "~1"));
        escaped.map(|name| format!("/{name}")).collect()
    })
}

fn any_filter() -> impl Strategy<Value = Value> {
    let ordered = any_leaf().prop_filter("has an order", |v| v.is_number() || v.is_string());
    let leaf =
        prop_oneof![
            (any_pointer(), any_leaf()).prop_map(|(at, value)| field(&at, "eq", value)),
            (any_pointer(), prop::sample::select(vec!["ne", "lt", "le", "gt", "ge"]), ordered)
                .prop_map(|(at, op, value)| field(&at, op, value)),
            (any_pointer(), prop::collection::vec(any_leaf(), 1..4))
                .prop_map(|(at, values)| field(&at, "in", Value::from(values))),
            any_pointer().prop_map(|at| json!({"field":at,"op":"exists"})),
            (any_pointer(), "(a|é|1)?").prop_map(|(at, text)| field(&at, "prefix", json!(text))),
        ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|list| json!({ "all": list })),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|list| json!({ "any": list })),
            inner.prop_map(|one| json!({ "not": one })),
        ]
    })
}

/// What a filter says, read naively from its JSON.
fn holds(filter: &Value, data: &Value) -> bool {
    let list = |name: &str| filter.get(name).and_then(Value::as_array);
    if let Some(list) = list("all") {
        return list.iter().all(|one| holds(one, data));
    }
    if let Some(list) = list("any") {
        return list.iter().any(|one| holds(one, data));
    }
    if let Some(one) = filter.get("not") {
        return !holds(one, data);
    }
    let text = |name: &str| filter.get(name).and_then(Value::as_str).unwrap();
    let Some(found) = data.pointer(text("field")) else { return false };
    let value = filter.get("value").unwrap_or(&Value::Null);
    let order = |value: &Value| compared(found, value);
    match text("op") {
        "eq" => order(value).is_some_and(|order| order.is_eq()),
        "ne" => order(value).is_some_and(|order| order.is_ne()),
        "lt" => order(value).is_some_and(|order| order.is_lt()),
        "le" => order(value).is_some_and(|order| order.is_le()),
        "gt" => order(value).is_some_and(|order| order.is_gt()),
        "ge" => order(value).is_some_and(|order| order.is_ge()),
        "in" => value.as_array().unwrap().iter().any(|v| order(v).is_some_and(|o| o.is_eq())),
        "exists" => true,
        "prefix" => found.as_str().is_some_and(|found| found.starts_with(value.as_str().unwrap())),
        op => panic!("{op}"),
    }
}

fn compared(left: &Value, right: &Value) -> Option<std::cmp::Ordering> {
    let quarters = |value: &Value| {
        let whole = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
        whole.map(|whole| whole * 4).or(value.as_f64().map(|float| (float * 4.0) as i128))
    };
    match (left, right) {
        (Value::Null, Value::Null) => Some(std::cmp::Ordering::Equal),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Number(_), Value::Number(_)) => Some(quarters(left)?.cmp(&quarters(right)?)),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

proptest! {
    #[test]
    fn filters_judge_like_a_naive_model(
        filters in prop::collection::vec(any_filter(), 1..5),
        data_of in any_data(),
    ) {
        let payload = data(&data_of.to_string());
        let read: Vec<Arc<Filter>> = filters.iter().map(|one| Arc::new(filter(one))).collect();
        let set = FilterSet::new(read.iter().cloned());
        let mut verdicts = Vec::new();
        set.judge(&payload, |_, verdict| verdicts.push(verdict));
        for ((text, filter), verdict) in filters.iter().zip(&read).zip(verdicts) {
            let expected = holds(text, &data_of);
            prop_assert_eq!(filter.accepts(&payload), expected, "{} {}", text, data_of);
            prop_assert_eq!(verdict, expected, "{} {} in a set", text, data_of);
            prop_assert_eq!(&read_filter(filter.as_str()).unwrap(), &**filter);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{}\":,a-z0-9/~.\\\\-]{0,60}", of in any_filter(), cut in 0_usize..200) {
        let _ = read_filter(&text);
        let spelled = of.to_string();
        let _ = read_filter(spelled.get(..cut).unwrap_or(&spelled));
        let _ = filter(&of).accepts(&data(&text));
    }
}

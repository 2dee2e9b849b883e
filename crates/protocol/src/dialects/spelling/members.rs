/// The members of a JSON object as they stand, in order. What is not JSON ends them.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    /// What follows the last member that was taken.
    rest: &'a [u8],
}

/// A member of a JSON object, as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Name, colon and value.
    pub text: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// With its quotes.
    name: &'a [u8],
}

impl<'a> Members<'a> {
    /// The members of JSON text; `None` where it is no object.
    pub fn of(text: &'a [u8]) -> Option<Self> {
        let inner = text.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?;
        Some(Self { rest: inner })
    }

    /// The value of the last member of that name: of those that stand twice, most readers take it.
    pub fn value(self, name: &str) -> Option<&'a [u8]> {
        self.filter(|member| member.is(name)).last().map(|member| member.value)
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let start = self.rest.trim_ascii_start();
        let start = start.strip_prefix(b",").unwrap_or(start).trim_ascii_start();
        let name = start.get(..string_len(start)?)?;
        let after = start.get(name.len()..)?.trim_ascii_start().strip_prefix(b":")?;
        let length = value_len(after);
        let (value, rest) = (after.get(..length)?.trim_ascii(), after.get(length..)?);
        self.rest = rest;
        let text = start.get(..start.len() - rest.len())?.trim_ascii_end();
        Some(Member { text, value, name })
    }
}

impl Member<'_> {
    /// Whether it has that name, however it is escaped.
    pub fn is(&self, name: &str) -> bool {
        let Some(inner) = self.name.strip_prefix(b"\"").and_then(|n| n.strip_suffix(b"\"")) else {
            return false;
        };
        if !inner.contains(&b'\\') {
            return inner == name.as_bytes();
        }
        serde_json::from_slice::<String>(self.name).is_ok_and(|unescaped| unescaped == name)
    }
}

/// Appends the members of a JSON object, each behind a comma and untouched, except those with a name
/// that the envelope has. `false` where `text` is no object, and then nothing is appended.
pub fn push_members(text: &[u8], except: &[&str], out: &mut Vec<u8>) -> bool {
    let Some(members) = Members::of(text) else { return false };
    for member in members {
        if !except.iter().any(|name| member.is(name)) {
            out.push(b',');
            out.extend_from_slice(member.text);
        }
    }
    true
}

/// The length of the string that `text` begins with, quotes included.
fn string_len(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let inner = text.strip_prefix(b"\"")?;
    let end = inner.iter().position(|&byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    })?;
    Some(end + 2)
}

/// The length of the value that `text` begins with, up to the comma behind it or to the end.
fn value_len(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                let string = text.get(at..).and_then(string_len);
                at += string.unwrap_or(text.len() - at);
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => break,
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn flat(text: &str, except: &[&str]) -> Option<String> {
        let mut out = Vec::new();
        push_members(text.as_bytes(), except, &mut out).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn members_stand_as_they_were_published() {
        let text = "{\"z\": 12345678901234567890,\n \"a\":1.50, \"ü\":\"\\u00e9,}\\\"\",\"o\":{\"x\":[1,{}]} }";
        let expected =
            ",\"z\": 12345678901234567890,\"a\":1.50,\"ü\":\"\\u00e9,}\\\"\",\"o\":{\"x\":[1,{}]}";
        assert_eq!(flat(text, &[]).unwrap(), expected);
        assert_eq!(flat(" {} ", &[]).unwrap(), "");
        assert_eq!(flat("{ }", &[]).unwrap(), "");
    }

    #[test]
    fn names_of_the_envelope_are_left_out_however_they_are_spelled() {
        let text = r#"{"type":"a","b":{"type":1},"typ\u0065":2,"types":3}"#;
        assert_eq!(flat(text, &["type", "event"]).unwrap(), r#","b":{"type":1},"types":3"#);
        assert_eq!(flat(r#"{"type":1}"#, &["type"]).unwrap(), "");
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["1", "\"{}\"", "[{}]", "null", "", "{"] {
            assert_eq!(flat(text, &[]), None, "{text}");
        }
    }

    #[test]
    fn a_value_is_found_by_its_name() {
        let members = Members::of(br#"{"a":1,"timestamp": [2, 3] ,"a":4}"#).unwrap();
        assert_eq!(members.value("timestamp"), Some(&b"[2, 3]"[..]));
        assert_eq!(members.value("a"), Some(&b"4"[..]));
        assert_eq!(members.value("b"), None);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~ü\\\\\"\n]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-c\\\\\"{}:,]{0,3}", inner), 0..4)
                    .prop_map(|all| Value::Object(Map::from_iter(all))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_appended_says_the_same(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            let members = flat(&text, &["a"]);
            let Value::Object(mut object) = value else {
                prop_assert_eq!(members, None);
                return Ok(());
            };
            object.remove("a");
            let members = members.unwrap();
            let read: Value =
                serde_json::from_str(&format!("{{{}}}", members.trim_start_matches(','))).unwrap();
            prop_assert_eq!(read, Value::Object(object));
        }

        #[test]
        fn what_is_not_json_does_no_harm(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let braced = [b"{".as_slice(), &text, b"}"].concat();
            push_members(&braced, &["a"], &mut Vec::new());
            push_members(&text, &["a"], &mut Vec::new());
        }
    }
}

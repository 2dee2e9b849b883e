use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use protocol::{Pattern, StreamName, Topic};

use super::routes::Backend;
use super::schema::Shape;
use super::setting::{Context, Setting};
use super::template::Template;
use super::tree::{Node, Value};
use super::units::{
    ByteSize, EndpointPath, HostName, Rate, Timespan, Url, WebOrigin, digits_with_underscores,
    grouped, without_password,
};

/// `word` with its article.
pub(super) fn a(word: &str) -> String {
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {word}", if vowel { "an" } else { "a" })
}

/// What was written, short enough for the title of a message and without a password.
pub(super) fn quoted(text: &str) -> String {
    let mut short: String = without_password(text).chars().take(60).collect();
    if short.chars().count() < text.chars().count() {
        short.push('…');
    }
    format!("`{}`", short.escape_debug())
}

fn read_text<T>(
    node: &Node,
    cx: &mut Context<'_>,
    word: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let (Value::Text(text) | Value::Untyped(text)) = &node.value else {
        return cx.mismatch(node, &format!("{} in quotes", a(word)));
    };
    match parse(text) {
        Ok(value) => Some(value),
        Err(why) => cx.reject(format!("{} is not {}", quoted(text), a(word)), &node.place, why),
    }
}

fn from_str<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|why: T::Err| why.to_string())
}

macro_rules! text_settings {
    ($($type:ty: $word:literal, $parse:expr;)*) => {$(
        impl Setting for $type {
            fn shape() -> Shape {
                Shape::Value($word)
            }

            fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
                read_text(node, cx, $word, $parse)
            }

            fn write(&self) -> Option<toml::Value> {
                Some(toml::Value::String(self.to_string()))
            }
        }
    )*};
}

text_settings! {
    String: "text", |text| Ok(text.to_owned());
    Timespan: "duration", from_str;
    Rate: "rate", from_str;
    EndpointPath: "path", from_str;
    HostName: "host name", from_str;
    WebOrigin: "web origin", from_str;
    Url: "URL", from_str;
    SocketAddr: "address", address;
    Pattern: "pattern", |text| Pattern::parse(text).map_err(|error| reason(&error.message));
    Backend: "backend", from_str;
    Template: "JSON", from_str;
    Topic: "topic", |text| Topic::parse(text).map_err(|error| reason(&error.message));
    StreamName: "stream name", stream_name;
}

/// The part of `"a..b" is not a pattern: a token is empty` that the title doesn't say.
fn reason(message: &str) -> String {
    message.rsplit_once(": ").map_or(message, |(_, reason)| reason).to_owned()
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| {
        "write an IP address and a port, such as `127.0.0.1:8080`, or `0.0.0.0:8080` for every \
         interface"
            .to_owned()
    })
}

fn stream_name(text: &str) -> Result<StreamName, String> {
    if text.starts_with('$') {
        return Err("names that begin with `$` are the system's".to_owned());
    }
    StreamName::parse(text).map_err(|error| reason(&error.message))
}

impl Setting for bool {
    fn shape() -> Shape {
        Shape::Choice(&["true", "false"])
    }

    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        match &node.value {
            Value::Bool(value) => Some(*value),
            Value::Untyped(text) if text == "true" => Some(true),
            Value::Untyped(text) if text == "false" => Some(false),
            _ => cx.mismatch(node, "true or false"),
        }
    }

    fn write(&self) -> Option<toml::Value> {
        Some(toml::Value::Boolean(*self))
    }
}

impl Setting for PathBuf {
    fn shape() -> Shape {
        Shape::Value("file path")
    }

    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let parse = |text: &str| match text {
            "" => Err("it is empty".to_owned()),
            _ => Ok(Self::from(text)),
        };
        read_text(node, cx, "file path", parse)
    }

    fn write(&self) -> Option<toml::Value> {
        Some(toml::Value::String(self.display().to_string()))
    }
}

impl Setting for ByteSize {
    fn shape() -> Shape {
        Shape::Value("size")
    }

    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        match node.value {
            Value::Integer(_) | Value::HugeInteger => u64::read(node, cx).map(Self::from_bytes),
            _ => read_text(node, cx, "size", from_str),
        }
    }

    fn write(&self) -> Option<toml::Value> {
        Some(toml::Value::String(self.to_string()))
    }
}

impl Setting for u64 {
    fn shape() -> Shape {
        Shape::Value("whole number")
    }

    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let wanted = "a whole number";
        let number = match &node.value {
            Value::Integer(number) => Self::try_from(*number).ok(),
            Value::HugeInteger => None,
            Value::Untyped(text) => digits_with_underscores(text),
            _ => return cx.mismatch(node, wanted),
        };
        if number.is_none() {
            let label = match &node.value {
                Value::Integer(_) => "this is less than zero",
                Value::HugeInteger => "this is too large",
                _ => "write digits, with `_` between them as you like",
            };
            let title = format!("`{}` must be {wanted}", cx.key());
            return cx.reject(title, &node.place, label);
        }
        number
    }

    fn write(&self) -> Option<toml::Value> {
        Some(toml::Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX)))
    }
}

impl Setting for u32 {
    fn shape() -> Shape {
        u64::shape()
    }

    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let number = u64::read(node, cx)?;
        match Self::try_from(number) {
            Ok(number) => Some(number),
            Err(_) => cx.reject(
                format!("`{}` must be at most {}", cx.key(), grouped(Self::MAX)),
                &node.place,
                "this is too large",
            ),
        }
    }

    fn write(&self) -> Option<toml::Value> {
        Some(toml::Value::Integer(i64::from(*self)))
    }
}

impl Setting for i32 {
    fn shape() -> Shape {
        u64::shape()
    }

    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let number = match &node.value {
            Value::Integer(number) => Self::try_from(*number).ok(),
            Value::Untyped(text) => text.parse().ok(),
            _ => None,
        };
        number.or_else(|| cx.mismatch(node, "a whole number"))
    }

    fn write(&self) -> Option<toml::Value> {
        Some(toml::Value::Integer(i64::from(*self)))
    }
}

impl Setting for f64 {
    fn shape() -> Shape {
        Shape::Value("number")
    }

    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let number = match &node.value {
            Value::Float(number) => Some(*number),
            Value::Integer(number) => Some(*number as Self),
            Value::Untyped(text) => text.parse().ok(),
            _ => None,
        };
        number.or_else(|| cx.mismatch(node, "a number"))
    }

    fn write(&self) -> Option<toml::Value> {
        Some(toml::Value::Float(*self))
    }
}

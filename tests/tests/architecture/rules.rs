use super::source::{Kind, Source, Token};

/// What a pure crate does not touch.
const OUTSIDE: &[&[&str]] = &[
    &["std", "env"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "os"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["hyper"],
    &["mio"],
    &["socket2"],
    &["tokio"],
];

/// Dialects, transports and brokers. The dialect `table` is not among them: it is a word of the
/// engine's own.
const NAMES: &[&str] = &[
    "native",
    "speech",
    "trainer",
    "gesture",
    "studio",
    "websocket",
    "sse",
    "mjpeg",
    "embedded",
    "nats",
    "redis",
];

/// Names that say nothing.
const DRAWERS: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc"];

const LEFTOVERS: &[&str] = &["todo", "unimplemented", "dbg"];

/// Most lines with code of a file, tests aside.
pub(crate) const LINES_MAX: usize = 400;

/// Sockets, files, clocks, threads and runtimes.
pub(crate) fn outside(source: &Source) -> Vec<String> {
    let is_outside = |segments: &[String]| {
        OUTSIDE.iter().any(|outside| {
            let all = segments.iter().zip(*outside).all(|(a, b)| a == b);
            // A module that is imported whole brings what is forbidden in it.
            let is_whole = segments.last().is_some_and(|last| last == "*");
            let whole = segments.len().saturating_sub(1);
            all || is_whole && whole < outside.len() && segments[..whole] == outside[..whole]
        })
    };
    let found = source.paths.iter().filter(|path| is_outside(&path.segments));
    found.map(|path| source.breach(path.line, &path.segments.join("::"))).collect()
}

/// Names of dialects, transports and brokers, in words of code and in literals.
pub(crate) fn names(source: &Source) -> Vec<String> {
    let is_code = |token: &&Token| match token.kind {
        Kind::Word => true,
        Kind::Literal => !token.is_test,
        Kind::Sign => false,
    };
    let found = source.tokens.iter().filter(is_code).filter(|token| says(&token.text, NAMES));
    found.map(|token| source.breach(token.line, &token.text)).collect()
}

pub(crate) fn length(source: &Source) -> Vec<String> {
    let lines = source.code_lines();
    let breach = (lines > LINES_MAX).then(|| source.breach(lines, "lines of code"));
    breach.into_iter().collect()
}

/// Modules for things that nobody found a place for.
pub(crate) fn drawers(source: &Source) -> Vec<String> {
    let path = source.path.trim_end_matches(".rs");
    let file = says(path, DRAWERS).then(|| source.breach(1, "the name says nothing"));
    let pairs = source.tokens.iter().zip(source.tokens.iter().skip(1));
    let modules = pairs.filter(|(keyword, _)| keyword.text == "mod").map(|(_, name)| name);
    let named = modules.filter(|name| says(&name.text, DRAWERS));
    let named = named.map(|name| source.breach(name.line, &name.text));
    file.into_iter().chain(named).collect()
}

/// Macros of unfinished work.
pub(crate) fn leftovers(source: &Source) -> Vec<String> {
    let pairs = source.tokens.iter().zip(source.tokens.iter().skip(1));
    let found = pairs.filter(|(name, sign)| {
        name.kind == Kind::Word && LEFTOVERS.contains(&name.text.as_str()) && sign.text == "!"
    });
    found.map(|(name, _)| source.breach(name.line, &name.text)).collect()
}

pub(crate) fn unsafe_code(source: &Source) -> Vec<String> {
    let is_unsafe = |token: &&Token| token.kind == Kind::Word && token.text == "unsafe";
    let found = source.tokens.iter().filter(is_unsafe);
    found.map(|token| source.breach(token.line, "unsafe")).collect()
}

/// Whether a text says a name, as one of its words or as neighbours: `WebSocketFrame`,
/// `web_socket` and `websocket` all say `websocket`, and `assert` does not say `sse`.
fn says(text: &str, names: &[&str]) -> bool {
    let mut words: Vec<String> = vec![String::new()];
    let mut was_lower = false;
    for letter in text.chars() {
        if !letter.is_alphanumeric() || letter.is_uppercase() && was_lower {
            words.push(String::new());
        }
        was_lower = letter.is_lowercase() || letter.is_numeric();
        if letter.is_alphanumeric() {
            words.last_mut().unwrap().extend(letter.to_lowercase());
        }
    }
    let is_name = |words: &[String]| names.contains(&words.concat().as_str());
    words.windows(1).any(is_name) || words.windows(2).any(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn caught(rule: fn(&Source) -> Vec<String>, text: &str) {
        assert!(!rule(&Source::parse("crates/a/src/b.rs", text)).is_empty(), "missed: {text}");
    }

    #[track_caller]
    fn fine(rule: fn(&Source) -> Vec<String>, text: &str) {
        assert_eq!(rule(&Source::parse("crates/a/src/b.rs", text)), Vec::<String>::new());
    }

    #[test]
    fn the_outside_is_found_however_it_is_written() {
        caught(outside, "use std::net::TcpStream;");
        caught(outside, "use std::{collections::HashMap, fs};");
        caught(outside, "use std::time::{Duration, Instant};");
        caught(outside, "use std::time;");
        caught(outside, "use std::time::*;");
        caught(outside, "use std::*;");
        caught(outside, "use std as s;");
        caught(outside, "fn f() { ::std::thread::sleep(d) }");
        caught(outside, "fn f() { g(|| std::time::SystemTime::now()) }");
        caught(outside, "async fn f() { tokio::spawn(g()); }");
        caught(outside, "#[cfg(test)] mod tests { use tokio::net as n; }");
        caught(outside, "macro_rules! m { () => { std::fs::read(\"a\") } }");
    }

    #[test]
    fn what_is_not_the_outside_is_left_alone() {
        fine(outside, "use std::time::Duration; use std::io::{self, IoSlice};");
        fine(outside, "// std::fs::read\n/// `std::net`\nfn f() { g(\"std::net\") }");
        fine(outside, "fn f(thread: u8, time: crate::time::Instant) { self.fs.tokio_like() }");
    }

    #[test]
    fn names_are_found_in_words_and_in_literals() {
        caught(names, "struct NativeSession;");
        caught(names, "fn f() { open_web_socket() }");
        caught(names, "enum Kind { WebSocket }");
        caught(names, "use brokers::nats::Nats;");
        caught(names, "fn f(dialect: &str) -> bool { dialect == \"native\" }");
        caught(names, "const PATH: &str = \"/v1/sse\";");
        caught(names, "fn is_r#gesture() {}");
        caught(names, "#[cfg(test)] mod tests { fn redis() {} }");
    }

    #[test]
    fn other_words_and_comments_are_no_names() {
        fine(names, "/// A native client.\nfn f(alternative: u8) { assert!(passes(assess)) }");
        fine(names, "#[cfg(test)] mod tests { const TOPIC: &str = \"studio.blob\"; }");
        fine(names, "struct StreamTable; fn g(nationality: u8, signature: u8) {}");
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let code = "const A: u8 = 1;\n".repeat(LINES_MAX);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{code}}}\n");
        fine(length, &format!("{code}\n\n// {}\n{tests}", "and a comment"));
        caught(length, &format!("{code}const B: u8 = 1;"));
    }

    #[test]
    fn drawers_are_found_by_file_and_by_module() {
        caught(drawers, "mod string_utils { }");
        caught(drawers, "pub(crate) mod common;");
        fine(drawers, "mod commands; struct Commons; fn helpers() {}");
        let file = Source::parse("crates/a/src/connection_manager.rs", "");
        assert!(!drawers(&file).is_empty());
    }

    #[test]
    fn leftovers_are_found() {
        caught(leftovers, "fn f() { todo!() }");
        caught(leftovers, "fn f() { std::unimplemented!(\"later\") }");
        caught(leftovers, "fn f() { g(dbg!(1)) }");
        fine(leftovers, "// todo!()\nfn todo() -> bool { todo() != dbg }");
    }

    #[test]
    fn unsafe_is_found_and_its_lint_is_not() {
        caught(unsafe_code, "fn f() { unsafe { g() } }");
        caught(unsafe_code, "unsafe impl Send for A {}");
        fine(unsafe_code, "#![forbid(unsafe_code)]\n// unsafe\nfn f() { g(\"unsafe\") }");
    }
}

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A Rust file as its compiler's tokens: comments are none of them, and tests are marked.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) tokens: Vec<Token>,
    /// Every path that is written or imported, `use` trees taken apart.
    pub(crate) paths: Vec<Route>,
}

pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) line: usize,
    /// In a test, or in a module that is compiled for tests only.
    pub(crate) is_test: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    Literal,
    Sign,
}

/// `std::time::Instant`, `std::time::*`.
pub(crate) struct Route {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

impl Source {
    pub(crate) fn read(path: String) -> Self {
        let text = super::repository::read(&path);
        Self::parse(&path, &text)
    }

    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|e| panic!("{path}: {e}"));
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let is_test = path.split('/').any(|part| matches!(part, "tests" | "tests.rs"));
        let (mut tokens, mut paths) = (Vec::new(), Vec::new());
        flatten(&trees, is_test, &mut tokens);
        find_paths(&trees, &[], &mut paths);
        Self { path: path.to_owned(), tokens, paths }
    }

    /// Lines that hold code other than tests.
    pub(crate) fn code_lines(&self) -> usize {
        let code = self.tokens.iter().filter(|token| !token.is_test);
        code.map(|token| token.line).collect::<BTreeSet<_>>().len()
    }

    /// A breach in this file, as it is shown.
    pub(crate) fn breach(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

fn flatten(trees: &[TokenTree], is_test: bool, tokens: &mut Vec<Token>) {
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        if let Some(attribute) = attribute_at(trees, at) {
            let end = at + attribute.trees;
            let end = if attribute.marks_test { item_end(trees, end) } else { end };
            if !attribute.is_doc {
                flatten_all(&trees[at..end], is_test || attribute.marks_test, tokens);
            }
            at = end;
            continue;
        }
        flatten_all(std::slice::from_ref(tree), is_test, tokens);
        at += 1;
    }
}

fn flatten_all(trees: &[TokenTree], is_test: bool, tokens: &mut Vec<Token>) {
    for tree in trees {
        let mut push = |kind, text: String, span: proc_macro2::Span| {
            tokens.push(Token { kind, text, line: span.start().line, is_test });
        };
        match tree {
            TokenTree::Ident(word) => {
                let text = word.to_string();
                push(Kind::Word, text.trim_start_matches("r#").to_owned(), word.span());
            }
            TokenTree::Literal(literal) => push(Kind::Literal, literal.to_string(), literal.span()),
            TokenTree::Punct(sign) => push(Kind::Sign, sign.to_string(), sign.span()),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(Kind::Sign, open.to_owned(), group.span_open());
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                flatten(&inner, is_test, tokens);
                let (kind, line) = (Kind::Sign, group.span_close().start().line);
                tokens.push(Token { kind, text: close.to_owned(), line, is_test });
            }
        }
    }
}

struct Attribute {
    /// How many trees it takes.
    trees: usize,
    is_doc: bool,
    marks_test: bool,
}

/// The attribute that begins there: `#[…]` or `#![…]`.
fn attribute_at(trees: &[TokenTree], at: usize) -> Option<Attribute> {
    let is = |tree: Option<&TokenTree>, sign| matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == sign);
    if !is(trees.get(at), '#') {
        return None;
    }
    let is_inner = is(trees.get(at + 1), '!');
    let trees_before = if is_inner { 2 } else { 1 };
    let Some(TokenTree::Group(group)) = trees.get(at + trees_before) else { return None };
    let text = group.stream().to_string().replace(' ', "");
    let name = text.split('(').next().unwrap_or_default();
    let is_test = name == "test" || name.ends_with("::test") || text == "cfg(test)";
    Some(Attribute {
        trees: trees_before + 1,
        is_doc: text.starts_with("doc=") || text == "doc",
        marks_test: is_test && !is_inner,
    })
}

/// Where an item ends: behind its first `;` or its block.
fn item_end(trees: &[TokenTree], from: usize) -> usize {
    let ends = |tree: &TokenTree| match tree {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    };
    let end = trees.iter().skip(from).position(ends);
    end.map_or(trees.len(), |end| from + end + 1)
}

/// Collects paths; `before` is what a `use` tree stands behind.
fn find_paths(trees: &[TokenTree], before: &[String], paths: &mut Vec<Route>) {
    let is_sign = |at: usize, sign| matches!(trees.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == sign);
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                find_paths(&inner, &[], paths);
            }
            TokenTree::Ident(word) => {
                let mut segments = before.to_vec();
                if word != "self" || before.is_empty() {
                    segments.push(word.to_string());
                }
                let mut is_tree = false;
                while is_sign(at + 1, ':') && is_sign(at + 2, ':') {
                    match trees.get(at + 3) {
                        Some(TokenTree::Ident(word)) => segments.push(word.to_string()),
                        Some(TokenTree::Punct(sign)) if sign.as_char() == '*' => {
                            segments.push("*".to_owned());
                        }
                        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                            find_paths(&inner, &segments, paths);
                            is_tree = true;
                        }
                        _ => break,
                    }
                    at += 3;
                }
                if !is_tree {
                    paths.push(Route { segments, line });
                }
            }
            TokenTree::Punct(sign) if sign.as_char() == '*' && !before.is_empty() => {
                let segments = [before, &["*".to_owned()]].concat();
                paths.push(Route { segments, line });
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        at += 1;
    }
}

#[test]
fn use_trees_are_taken_apart() {
    let text = "use std::{io::{self, Read as _}, net, time::*}; fn f() { ::std::fs::read(x) }";
    let source = Source::parse("a.rs", text);
    let paths: Vec<String> = source.paths.iter().map(|path| path.segments.join("::")).collect();
    for expected in ["std::io", "std::io::Read", "std::net", "std::time::*", "std::fs::read"] {
        assert!(paths.iter().any(|path| path == expected), "{expected} is not in {paths:?}");
    }
}

#[test]
fn comments_are_no_code_and_tests_are_marked() {
    let text =
        "//! a\n/// b\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n// c\nfn h() {}\n";
    let source = Source::parse("a.rs", text);
    assert_eq!(source.code_lines(), 2);
    assert!(source.tokens.iter().all(|token| token.text != "doc"));
    let test = source.tokens.iter().find(|token| token.text == "g").unwrap();
    assert!(test.is_test && test.line == 7);
    assert_eq!(Source::parse("a/tests/b.rs", text).code_lines(), 0);
}

use std::path::Path;

use super::source::{Kind, Source};

/// Hosts of package registries: a clone asks those that its machine is configured with.
const HOSTS: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("registry.", "yarnpkg.com"),
    concat!("py", "pi.org"),
    concat!("python", "hosted.org"),
    concat!("deb.", "debian.org"),
    concat!("security.", "debian.org"),
    concat!("proxy.", "golang.org"),
    concat!("arti", "factory"),
];

/// Folders that exist on somebody's machine.
const FOLDERS: &[&str] =
    &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

/// Registries and folders of a machine that a text names.
pub(crate) fn machines(path: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let lower = line.to_lowercase();
        let hosts = HOSTS.iter().filter(|host| lower.contains(*host));
        let folders = FOLDERS.iter().filter(|folder| begins_with(line, folder));
        for found in hosts.chain(folders) {
            breaches.push(format!("{path}:{number}: {found}"));
        }
    }
    breaches
}

/// Whether a path in the line begins with the folder, rather than having it inside.
fn begins_with(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && !"._-~*})]>".contains(before))
    })
}

/// Notes in `docs/decisions` that no other document links, and links of these notes that lead
/// nowhere; `documents` are paths with texts.
pub(crate) fn unlinked_decisions(documents: &[(String, String)]) -> Vec<String> {
    let folder = "docs/decisions/";
    let is_note = |path: &str| {
        path.strip_prefix(folder).is_some_and(|name| name.starts_with(|c: char| c.is_ascii_digit()))
    };
    let all_links: Vec<(&str, String)> = documents
        .iter()
        .flat_map(|(path, text)| links(path, text).into_iter().map(|to| (path.as_str(), to)))
        .collect();
    let notes = documents.iter().filter(|(path, _)| is_note(path));
    let is_linked = |note: &str| all_links.iter().any(|(from, to)| *from != note && to == note);
    let unlinked = notes.filter(|(path, _)| !is_linked(path));
    let unlinked = unlinked.map(|(path, _)| format!("{path}: no document links it"));
    let exists = |to: &str| {
        documents.iter().any(|(path, _)| path == to) || super::repository::root().join(to).exists()
    };
    let from_notes = all_links.iter().filter(|(from, to)| from.starts_with(folder) && !exists(to));
    let dangling = from_notes.map(|(from, to)| format!("{from}: {to} does not exist"));
    unlinked.chain(dangling).collect()
}

/// Where the relative links of a document lead, as paths from the root.
fn links(path: &str, text: &str) -> Vec<String> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    let mut found = Vec::new();
    for target in targets {
        let mut parts: Vec<&str> = folder.to_str().into_iter().flat_map(|f| f.split('/')).collect();
        for part in target.split('#').next().unwrap_or_default().split('/') {
            match part {
                ".." => drop(parts.pop()),
                "." => {}
                part => parts.push(part),
            }
        }
        parts.retain(|part| !part.is_empty());
        found.push(parts.join("/"));
    }
    found
}

/// Invariants that name no test, or one that does not exist. They are the numbered items below a
/// heading `Invariants`; each says `test:` and then, in backticks, one or more of
///
/// - a file: `tests/tests/architecture.rs`
/// - a test in a file: `tests/tests/architecture.rs::files_are_short`
/// - a test by its path: `engine::index::tests::finds_what_patterns_match`
pub(crate) fn untested_invariants(document: &str, sources: &[Source]) -> Vec<String> {
    let items = invariants(document);
    if items.is_empty() {
        return vec!["there is no numbered list below a heading `Invariants`".to_owned()];
    }
    let mut breaches = Vec::new();
    for item in items {
        let number = item.split('.').next().unwrap_or_default();
        let tests: Vec<&str> = match item.split_once("test:") {
            Some((_, named)) => named.split('`').skip(1).step_by(2).collect(),
            None => Vec::new(),
        };
        if tests.is_empty() {
            breaches.push(format!("invariant {number} names no test"));
        }
        let missing = tests.into_iter().filter(|test| !exists(test, sources));
        breaches.extend(missing.map(|test| format!("invariant {number}: there is no `{test}`")));
    }
    breaches
}

/// Rows of the table of faults whose last column names no test in backticks, or one that does not
/// exist, spelled as for [`untested_invariants`].
pub(crate) fn untested_faults(document: &str, sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut is_empty = true;
    for line in document.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [row, .., tests] = &cells[..] else { continue };
        if row.parse::<u32>().is_err() {
            continue;
        }
        is_empty = false;
        let tests: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() {
            breaches.push(format!("fault {row} names no test"));
        }
        let missing = tests.into_iter().filter(|test| !exists(test, sources));
        breaches.extend(missing.map(|test| format!("fault {row}: there is no `{test}`")));
    }
    if is_empty {
        breaches.push("there is no table whose rows begin with numbers".to_owned());
    }
    breaches
}

fn invariants(document: &str) -> Vec<String> {
    let is_heading = |line: &str| line.starts_with('#');
    let lines = document.lines().skip_while(|l| !(is_heading(l) && l.contains("Invariants")));
    let mut items: Vec<String> = Vec::new();
    for line in lines.skip(1).take_while(|line| !is_heading(line)) {
        let digits = line.chars().take_while(char::is_ascii_digit).count();
        if digits > 0 && line[digits..].starts_with(". ") {
            items.push(String::new());
        }
        if let Some(item) = items.last_mut() {
            *item += line;
            *item += "\n";
        }
    }
    items
}

fn exists(test: &str, sources: &[Source]) -> bool {
    let (place, name) = match test.rsplit_once("::") {
        Some((place, name)) => (place, Some(name)),
        None => (test, None),
    };
    sources.iter().any(|source| {
        let is_there = match place.contains('/') {
            true => source.path == place,
            false => has_modules(source, place),
        };
        is_there && name.is_none_or(|name| has_test(source, name))
    })
}

/// Whether a file can hold the module of that path: its names stand in the file's path in order,
/// or are modules in the file.
fn has_modules(source: &Source, module: &str) -> bool {
    let mut parts = source.path.split(['/', '.']);
    let is_inside = |name: &str| {
        let mut pairs = source.tokens.windows(2);
        pairs.any(|pair| pair[0].text == "mod" && pair[1].text == name)
    };
    module.split("::").all(|name| parts.any(|part| part == name) || is_inside(name))
}

/// Whether there is a function of that name with a `#[test]` of whatever kind before it.
fn has_test(source: &Source, name: &str) -> bool {
    let tokens = &source.tokens;
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.text == text);
    (1..tokens.len()).any(|at| {
        let is_it = tokens[at].kind == Kind::Word && is(at, name) && is(at - 1, "fn");
        is_it && {
            let before = tokens[..at - 1].iter().rev().take_while(|t| !";{}".contains(&*t.text));
            before.into_iter().any(|token| token.text == "test")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_found() {
        let found = |line: &str| !machines("a", line).is_empty();
        assert!(found(concat!("resolved = \"https://registry.", "npmjs.org/x\"")));
        assert!(found(concat!("index-url = https://PyPI", ".org/simple")));
        assert!(found(concat!("cd /ho", "me/ann/tidings")));
        assert!(found(concat!("path=/wo", "rk/main")));
        assert!(found(concat!("file:///ro", "ot/.cargo")));
        assert!(!found("source = \"registry+https://github.com/rust-lang/crates.io-index\""));
        assert!(!found("$HOME/work/x, ~/work/x, docs/work/x, at work/home"));
    }

    #[test]
    fn forgotten_decisions_and_dead_links_are_found() {
        let document = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let index = document("docs/decisions/README.md", "[one](0001-one.md) [x](https://x.y)");
        let one = document("docs/decisions/0001-one.md", "[up](../../Cargo.toml#a)");
        let two = document("docs/decisions/0002-two.md", "[self](0002-two.md) [no](gone.md)");
        assert_eq!(unlinked_decisions(&[index.clone(), one.clone()]), Vec::<String>::new());
        let breaches = unlinked_decisions(&[index, one, two]);
        assert_eq!(breaches.len(), 2);
        assert!(breaches[0].contains("0002-two.md: no document"));
        assert!(breaches[1].contains("docs/decisions/gone.md"));
    }

    #[test]
    fn untested_invariants_are_found() {
        let text =
            "#[cfg(test)] mod tests { proptest! { #[test] fn holds(a in 0..1) {} } fn no() {} }";
        let sources =
            [Source::parse("crates/engine/src/index.rs", text), Source::parse("tests/a.rs", "")];
        let judge =
            |list: &str| untested_invariants(&format!("## Invariants\n\n{list}\n## B"), &sources);
        let fine = "1. One, test: `engine::index::tests::holds`\n2. Two.\n   test: `tests/a.rs`,\n   \
                    `crates/engine/src/index.rs::holds`\n";
        assert_eq!(judge(fine), Vec::<String>::new());
        assert_eq!(judge("1. One.").len(), 1);
        assert_eq!(judge("1. One, test: `engine::index::no`").len(), 1);
        assert_eq!(judge("1. One, test: `brokers::index::holds`").len(), 1);
        assert_eq!(judge("1. One, test: `tests/b.rs`").len(), 1);
        assert_eq!(judge("1. One, test: `tests/a.rs::holds`").len(), 1);
        assert_eq!(judge("No list.").len(), 1);
    }

    #[test]
    fn untested_faults_are_found() {
        let text = "#[tokio::test] async fn holds() {} fn no() {}";
        let sources = [Source::parse("tests/a.rs", text)];
        let judge = |rows: &str| untested_faults(&format!("| # | fault |\n{rows}"), &sources);
        assert_eq!(judge("| 1 | `x` | `tests/a.rs::holds`, `tests/a.rs` |"), Vec::<String>::new());
        assert_eq!(judge("| 1 | `tests/a.rs` | none |").len(), 1);
        assert_eq!(judge("| 1 | x | `tests/a.rs::no`, `tests/b.rs::holds` |").len(), 2);
        assert_eq!(judge("| x | y |").len(), 1);
    }
}

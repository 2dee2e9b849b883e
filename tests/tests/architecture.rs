//! The walls: what a crate may know, and what its source may not say. ARCHITECTURE.md tells why.
//!
//! Each rule is a function of a text or a dependency, and is tried on a planted breach beside it.
// Helpers of tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod architecture {
    /// The repository's files.
    pub(crate) mod repository;
    /// Rust source as tokens.
    pub(crate) mod source;
    /// What source may not say.
    pub(crate) mod rules;
    /// What a crate may depend on.
    pub(crate) mod walls;
    /// What documents and other files must and may not say.
    pub(crate) mod documents;
}

use architecture::repository::{self, files, read};
use architecture::source::Source;
use architecture::{documents, rules, walls};

/// Crates that hold pure state machines and words.
const PURE: [&str; 3] = ["crates/protocol/src/", "crates/websocket/src/", "crates/engine/src/"];

/// Files that may be longer than [`rules::LINES_MAX`], and why.
const LONG: &[(&str, &str)] = &[];

/// Files that may say `unsafe`, and why.
const UNSAFE: &[(&str, &str)] = &[];

/// Applies a rule to the Rust files below some folders.
fn sources(folders: &[&str], rule: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    let is_below = |path: &String| folders.iter().any(|folder| path.starts_with(folder));
    let sources: Vec<Source> = files("rs").filter(is_below).map(Source::read).collect();
    assert!(!sources.is_empty(), "nothing is below {folders:?}");
    sources.iter().flat_map(rule).collect()
}

/// Applies a rule from which some files are excused; an excuse that is not needed is a breach too.
fn excused(
    folders: &[&str],
    excuses: &[(&str, &str)],
    rule: impl Fn(&Source) -> Vec<String>,
) -> Vec<String> {
    let found = sources(folders, rule);
    let is_of = |breach: &str, path: &str| breach.split(':').next() == Some(path);
    let is_stale = |path: &str| !found.iter().any(|breach| is_of(breach, path));
    let stale = excuses.iter().filter(|(path, _)| is_stale(path));
    let stale: Vec<String> = stale.map(|(path, _)| format!("{path}: needs no excuse")).collect();
    let is_excused = |breach: &String| excuses.iter().any(|(path, _)| is_of(breach, path));
    found.into_iter().filter(|breach| !is_excused(breach)).chain(stale).collect()
}

#[track_caller]
fn none(breaches: Vec<String>) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[test]
fn crates_depend_on_what_they_may_know() {
    none(walls::edges(&repository::metadata()));
}

#[test]
fn pure_crates_reach_no_runtime_and_no_socket() {
    none(walls::reached(&repository::metadata()));
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let manifests = files("toml").filter(|path| path.ends_with("/Cargo.toml"));
    let manifests = manifests.filter(|path| !path.starts_with("fuzz/"));
    none(manifests.filter_map(|path| walls::lints(&path, &read(&path))).collect());
}

#[test]
fn pure_crates_use_neither_sockets_nor_files_nor_clocks_nor_threads() {
    none(sources(&PURE, rules::outside));
}

#[test]
fn the_engine_names_no_dialect_no_transport_and_no_broker() {
    none(sources(&["crates/engine/src/"], rules::names));
}

#[test]
fn files_are_short() {
    none(excused(&["crates/"], LONG, rules::length));
}

#[test]
fn modules_are_named_for_what_they_hold() {
    none(sources(&[""], rules::drawers));
}

#[test]
fn nothing_is_left_to_do() {
    none(sources(&[""], rules::leftovers));
}

#[test]
fn unsafe_code_is_where_a_reason_is() {
    none(excused(&["crates/", "tests/", "bench/"], UNSAFE, rules::unsafe_code));
}

#[test]
fn tracked_files_name_no_machine() {
    none(repository::texts().flat_map(|(path, text)| documents::machines(&path, &text)).collect());
}

#[test]
fn every_decision_is_linked_and_every_link_of_a_decision_leads_somewhere() {
    let notes: Vec<_> = files("md").map(|path| (path.clone(), read(&path))).collect();
    none(documents::unlinked_decisions(&notes));
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    const DOCUMENT: &str = "ARCHITECTURE.md";
    if !repository::root().join(DOCUMENT).exists() {
        eprintln!("skipped: there is no {DOCUMENT} yet");
        return;
    }
    let sources: Vec<Source> = files("rs").map(Source::read).collect();
    none(documents::untested_invariants(&read(DOCUMENT), &sources));
}

#[test]
fn every_fault_names_a_test_that_exists() {
    let sources: Vec<Source> = files("rs").map(Source::read).collect();
    none(documents::untested_faults(&read("docs/faults.md"), &sources));
}

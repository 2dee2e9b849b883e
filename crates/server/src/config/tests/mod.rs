use super::*;

/// What a reload changes.
mod changes;
/// Pages derived from the definitions.
mod derived;
/// Variables.
mod environment;
/// Every key of the interface's example is known.
mod interface;
/// Exact messages, one table per kind of mistake.
mod messages;
/// What must hold between sections.
mod rules;
/// Order of the sources.
mod sources;
/// Values with units.
mod units;

pub(super) fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// `text` as the user's file, with an environment.
pub(super) fn options(text: &str) -> LoadOptions {
    let file = ConfigFile::Text { name: "tidings.toml".to_owned(), text: text.to_owned() };
    LoadOptions { file, ..LoadOptions::default() }
}

/// What is wrong with a configuration, in an environment.
pub(super) fn titles_with(options: &LoadOptions, env: Vec<(String, String)>) -> Vec<String> {
    match load(options, env) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.titles().map(str::to_owned).collect(),
    }
}

fn titles(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.titles().map(str::to_owned).collect(),
    }
}

/// Whether the only thing wrong with `text` is what `message` says, in full.
#[track_caller]
fn check(text: &str, message: &str) {
    let errors = parse(text).expect_err("this should be refused");
    assert_eq!(errors.to_string(), message.trim_start_matches('\n').trim_end());
}

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::Config;
use super::environment;
use super::not_yet;
use super::problem::{ConfigErrors, Problem, Warnings};
use super::rules;
use super::setting::{Context, Setting};
use super::source::{Origin, Place, Sources};
use super::tree::{Merge, Node, Table, Value, parse_document};

/// Items that always exist, where no source has one of the same name or path.
const BUILT_IN: &str = "[[stream]]\nname = \"default\"\n\n[[endpoint]]\npath = \"/v1/ws\"\n";

/// What to make a configuration of, besides the environment. Later fields override earlier ones.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Profiles to start from.
    pub profiles: Vec<Profile>,
    /// The user's file.
    pub file: ConfigFile,
    /// Options of the command line.
    pub overrides: Overrides,
}

/// A configuration that ships with Tidings.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name, for messages.
    pub name: String,
    /// TOML.
    pub text: String,
    /// The address that its endpoints move to (`--profile NAME@ADDR`).
    pub listen: Option<String>,
}

/// The user's file.
#[derive(Clone, Debug, Default)]
pub enum ConfigFile {
    /// None.
    #[default]
    None,
    /// This file, which must be there.
    Path(PathBuf),
    /// This file, if it is there.
    IfPresent(PathBuf),
    /// This text, as if read from a file of that name.
    Text {
        /// Its name, for messages.
        name: String,
        /// TOML.
        text: String,
    },
}

impl ConfigFile {
    /// The file that `--config` gave; without one, `./tidings.toml` if it is there.
    pub fn given_or_here(given: Option<PathBuf>) -> Self {
        given.map_or_else(|| Self::IfPresent(PathBuf::from("tidings.toml")), Self::Path)
    }
}

/// Options of the command line, as they were typed.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--listen`: `listen.public`. Endpoints of profiles that were not moved on their own
    /// (`NAME@ADDR`) move there too.
    pub listen: Option<String>,
    /// `--admin`: `listen.admin`.
    pub admin: Option<String>,
    /// `--data`: `broker.dir`.
    pub data: Option<String>,
    /// `--log-level`: `log.level`.
    pub log_level: Option<String>,
}

impl Overrides {
    fn entries(&self) -> [(&'static str, &'static str, &'static str, Option<&str>); 4] {
        [
            ("--listen", "listen", "public", self.listen.as_deref()),
            ("--admin", "listen", "admin", self.admin.as_deref()),
            ("--data", "broker", "dir", self.data.as_deref()),
            ("--log-level", "log", "level", self.log_level.as_deref()),
        ]
    }
}

/// A configuration that was taken.
#[derive(Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is odd about it.
    pub warnings: Warnings,
    /// The user's file, where one was read: to be told to the user.
    pub file: Option<PathBuf>,
    pub(super) tree: Node,
    pub(super) sources: Sources,
}

/// Without what was written: it may hold passwords.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, warnings, file, .. } = self;
        let mut loaded = f.debug_struct("Loaded");
        loaded.field("config", config).field("warnings", warnings).field("file", file);
        loaded.finish_non_exhaustive()
    }
}

/// Merges the sources, gives every value its type and checks the whole.
///
/// Reads no file but the user's and those that it names, and nothing of the process: `env` is all of the environment.
///
/// # Errors
/// All that is wrong at once, as far as one mistake doesn't hide another.
pub fn load(
    options: &LoadOptions,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    let env: BTreeMap<String, String> = env.into_iter().collect();
    let mut merging = Merging::default();
    for profile in &options.profiles {
        merging.add_profile(profile, options.overrides.listen.is_some());
    }
    let file = merging.add_file(&options.file);
    merging.add_text(Origin::BuiltIn, BUILT_IN, Merge::Beneath, |_| {});
    let unknown = environment::apply(&env, &mut merging);
    merging.add_overrides(&options.overrides);
    let Merging { tree, mut sources, problems } = merging;
    if !problems.is_empty() {
        return Err(ConfigErrors::new(problems, sources));
    }

    let mut cx = Context::new(&env, file.as_deref().and_then(Path::parent));
    let config = Config::read(&tree, &mut cx);
    let mut problems = cx.into_problems();
    // Rules look things up in the tree by their number in the configuration, which only agree
    // where everything could be read.
    let is_whole = problems.is_empty();
    problems.extend(not_yet::refusals(&tree));
    let Some(mut config) = config else {
        return Err(ConfigErrors::new(problems, sources));
    };
    if is_whole {
        problems.extend(rules::broken(&config, &tree));
    }
    if !problems.is_empty() {
        return Err(ConfigErrors::new(problems, sources));
    }
    rules::complete(&mut config);
    let warnings = environment::warnings(&unknown, &tree, &mut sources);
    let warnings = Warnings::new(warnings, sources.clone());
    Ok(Loaded { config, warnings, file, tree, sources })
}

/// Reads a configuration from `text` alone.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str) -> Result<Loaded, ConfigErrors> {
    let file = ConfigFile::Text { name: "tidings.toml".to_owned(), text: text.to_owned() };
    load(&LoadOptions { file, ..LoadOptions::default() }, [])
}

/// Sources as they are laid on top of each other.
pub(super) struct Merging {
    pub(super) tree: Node,
    pub(super) sources: Sources,
    pub(super) problems: Vec<Problem>,
}

impl Default for Merging {
    fn default() -> Self {
        let mut sources = Sources::default();
        let place = sources.add(Origin::BuiltIn, "");
        let tree = Node { value: Value::Table(Table::default()), place };
        Self { tree, sources, problems: Vec::new() }
    }
}

impl Merging {
    fn add_text(&mut self, origin: Origin, text: &str, how: Merge, adapt: impl FnOnce(&mut Table)) {
        let place = self.sources.add(origin, text);
        match parse_document(text, &place) {
            Ok(mut document) => {
                adapt(&mut document);
                self.lay(document, how);
            }
            Err(errors) => self.problems.extend(errors.iter().map(|e| syntax_problem(e, &place))),
        }
    }

    /// Lays a whole document on top.
    pub(super) fn lay(&mut self, document: Table, how: Merge) {
        if let Value::Table(table) = &mut self.tree.value {
            table.merge(document, Config::KEYS, how);
        }
    }

    /// Profiles don't override each other: what two of them claim is an error.
    fn add_profile(&mut self, profile: &Profile, all_move: bool) {
        let moved = profile.listen.as_deref().map(|address| {
            let before = format!("--profile {}@", profile.name);
            self.typed("--profile", &before, address)
        });
        let origin = Origin::Profile(profile.name.clone());
        self.add_text(origin, &profile.text, Merge::Append, |document| {
            for endpoint in document.items_mut("endpoint") {
                match &moved {
                    Some(node) => endpoint.set("listen", node.clone()),
                    None if all_move => endpoint.remove("listen"),
                    None => {}
                }
            }
        });
    }

    /// Returns the file that was read.
    fn add_file(&mut self, file: &ConfigFile) -> Option<PathBuf> {
        let (path, required) = match file {
            ConfigFile::None => return None,
            ConfigFile::Text { name, text } => {
                self.add_text(Origin::File(name.clone()), text, Merge::Replace, |_| {});
                return None;
            }
            ConfigFile::Path(path) => (path, true),
            ConfigFile::IfPresent(path) => (path, false),
        };
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let origin = Origin::File(path.display().to_string());
                self.add_text(origin, &text, Merge::Replace, |_| {});
                return Some(path.clone());
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => {}
            Err(error) => {
                let title = format!("cannot read {}: {error}", path.display());
                self.problems.push(Problem::new(title));
            }
        }
        None
    }

    fn add_overrides(&mut self, overrides: &Overrides) {
        for (option, section, key, value) in overrides.entries() {
            let Some(value) = value else { continue };
            let node = self.typed(option, &format!("{option} "), value);
            let place = node.place.clone();
            let (mut document, mut table) = (Table::default(), Table::default());
            table.set(key, node);
            document.set(section, Node { value: Value::Table(table), place });
            self.lay(document, Merge::Replace);
        }
    }

    /// A value as it was typed on the command line, behind `before`.
    fn typed(&mut self, option: &'static str, before: &str, value: &str) -> Node {
        let place = self.sources.add(Origin::Option(option), format!("{before}{value}"));
        let place = place.part(before.len(), value.len());
        Node { value: Value::Untyped(value.to_owned()), place }
    }
}

fn syntax_problem(error: &toml::de::Error, whole: &Place) -> Problem {
    let span = error.span().unwrap_or_default();
    // Some messages of the parser have several lines; the first says what is wrong.
    let mut lines = error.message().lines();
    let title = lines.next().unwrap_or("this is not TOML");
    let label = lines.collect::<Vec<_>>().join("; ");
    Problem::new(title).at(&whole.part(span.start, span.len()), label)
}

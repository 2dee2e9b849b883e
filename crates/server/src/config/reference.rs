use super::Config;
use super::not_yet;
use super::schema::{Key, Preset, Shape};
use super::setting::Setting;
use super::units::grouped;

const INTRODUCTION: &str = "\
# Configuration

<!-- Derived from the settings' definitions in `crates/server/src/config`. To write it again:
     UPDATE_DOCS=1 cargo test -p tidings-server configuration_page -->

Everything can be set in one TOML file: the one given with `--config FILE`, or `./tidings.toml` if
it is there. Later sources override earlier ones:

1. the defaults on this page,
2. profiles (`--profile NAME`),
3. the file. Its items replace those of profiles that have the same name or path; two profiles that
   claim the same are an error,
4. environment variables: `TIDINGS_` and the path of the setting in capitals, joined by two
   underscores: `TIDINGS_LOG__LEVEL=debug`. Items that exist are reached by their name or path, in
   which everything but letters and digits becomes `_`: `TIDINGS_STREAM__NEWS__PRIORITY=1`,
   `TIDINGS_ENDPOINT__V1_WS__HEARTBEAT=10s`. Lists are separated by commas, or TOML; a whole section
   or list of items is TOML: `TIDINGS_STREAM='[{ name = \"news\", topics = [\"news.>\"] }]'`,
5. options of the command line.

An unknown key is an error, an unknown `TIDINGS_` variable a warning. `tidings check` says what is
wrong and where; `tidings config` prints this page's content as TOML, `tidings config --effective`
what holds and where each value came from.

Durations are written `500ms`, `30s`, `10m`, `24h`, `7d`; sizes `64KiB`, `1MiB` (1,024 bytes and
so on), `500kB` (1,000) or as a plain number of bytes; rates `10/s`, `100/min`, `1000/h`. Secrets
never stand in the file: settings that end in `_env` name the variable that holds one.

\"Takes hold\" says when a change does: at a `reload`, without dropping a client, or at a `restart`.
";

/// `docs/configuration.md`: every setting with type, default and meaning.
pub fn reference_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for key in Config::KEYS {
        let (title, path, keys) = match key.shape() {
            Shape::Items(keys, _) => (format!("[[{}]]", key.name), format!("{}.*", key.name), keys),
            Shape::Section(keys) => (format!("[{}]", key.name), key.name.to_owned(), keys),
            _ => continue,
        };
        let note = not_yet::note(&path).map_or_else(String::new, |note| format!(" *{note}*"));
        page.push_str(&format!("\n## `{title}`\n\n{}{note}\n", key.meaning_text()));
        page.push_str(&markdown_table(keys, &path, &title));
    }
    page
}

/// A table of `keys`, and behind it those of the tables among them.
fn markdown_table(keys: &[Key], path: &str, title: &str) -> String {
    let mut table = "\n| key | type | default | takes hold | meaning |\n".to_owned();
    table.push_str("| --- | --- | --- | --- | --- |\n");
    let mut inner = String::new();
    for key in keys {
        let path = format!("{path}.{}", key.name);
        let note = not_yet::note(&path).map_or_else(String::new, |note| format!(" *{note}*"));
        table.push_str(&format!(
            "| `{}` | {} | {} | {} | {}{note} |\n",
            key.name,
            key.type_text(),
            key.default_text(),
            key.reload.as_str(),
            key.meaning_text(),
        ));
        let (keys, path, heading) = match key.shape() {
            Shape::Section(keys) => (keys, path, format!("`{}` in `{title}`", key.name)),
            Shape::Items(keys, _) => {
                (keys, format!("{path}.*"), format!("Items of `{}` in `{title}`", key.name))
            }
            Shape::Map(keys) => {
                (keys, format!("{path}.*"), format!("`{}.NAME` in `{title}`", key.name))
            }
            _ => continue,
        };
        let table = markdown_table(keys, &path, key.name);
        inner.push_str(&format!("\n### {heading}\n{table}"));
    }
    table + &inner
}

/// A setting, for programs.
#[derive(serde::Serialize)]
pub struct SettingReference {
    /// Its path; `*` stands for an item's place or a name that the user gives.
    key: String,
    /// What can be written for it.
    #[serde(rename = "type")]
    kind: String,
    /// What holds where it is not written; `null` where nothing does.
    default: Option<toml::Value>,
    /// Whether it must be written.
    required: bool,
    /// When a change takes hold: `reload` or `restart`.
    takes_hold: &'static str,
    /// What it means.
    meaning: String,
    /// What this version does not have of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// Every setting, in the order of the reference page.
pub fn reference_settings() -> Vec<SettingReference> {
    let mut settings = Vec::new();
    push_settings(Config::KEYS, "", &mut settings);
    settings
}

fn push_settings(keys: &[Key], path: &str, settings: &mut Vec<SettingReference>) {
    for key in keys {
        let path = format!("{path}{}", key.name);
        match key.shape() {
            Shape::Section(keys) => push_settings(keys, &format!("{path}."), settings),
            Shape::Items(keys, _) | Shape::Map(keys) => {
                push_settings(keys, &format!("{path}.*."), settings);
            }
            _ => settings.push(SettingReference {
                kind: key.type_text().replace('`', ""),
                default: match key.default {
                    Preset::Value(value) => value(),
                    Preset::Required | Preset::Unset(_) => None,
                },
                required: matches!(key.default, Preset::Required),
                takes_hold: key.reload.as_str(),
                meaning: key.meaning_text(),
                note: not_yet::note(&path),
                key: path,
            }),
        }
    }
}

impl Key {
    fn meaning_text(&self) -> String {
        self.meaning.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }

    fn type_text(&self) -> String {
        let words = match self.shape() {
            Shape::Value(word) => word.to_owned(),
            Shape::Choice(words) => format!("`{}`", words.join("`, `")),
            Shape::List(word) => format!("list ({word})"),
            Shape::Choices(words) => format!("list (`{}`)", words.join("`, `")),
            Shape::Section(_) => "table".to_owned(),
            Shape::Map(_) => "table of tables".to_owned(),
            Shape::Items(..) => "list of tables".to_owned(),
        };
        match self.bounds {
            Some(bounds) => format!("{words}, {}", bounds()),
            None => words,
        }
    }

    fn default_text(&self) -> String {
        match self.default {
            Preset::Required => "must be given".to_owned(),
            Preset::Unset(meaning) => meaning.to_owned(),
            Preset::Value(value) => match value() {
                Some(value) => format!("`{}`", written(&value)),
                None => String::new(),
            },
        }
    }
}

/// A value as a person would write it.
fn written(value: &toml::Value) -> String {
    match value {
        toml::Value::Integer(number) => grouped(number),
        value => value.to_string(),
    }
}

/// Every setting as a TOML file with comments. It sets nothing but defaults.
pub fn reference_toml() -> String {
    let mut file = String::new();
    for key in Config::KEYS {
        let (title, path, keys, mark) = match key.shape() {
            Shape::Items(keys, _) => {
                (format!("[[{}]]", key.name), format!("{}.*", key.name), keys, "# ")
            }
            Shape::Section(keys) => (format!("[{}]", key.name), key.name.to_owned(), keys, ""),
            _ => continue,
        };
        file.push_str(&format!("{}{mark}{title}\n", comment(key, &path)));
        for key in keys {
            file.push_str(&setting(key, &format!("{path}.{}", key.name), mark));
        }
        file.push('\n');
    }
    file
}

fn comment(key: &Key, path: &str) -> String {
    let meaning = key.meaning.iter().map(|line| line.trim().to_owned());
    meaning.chain(not_yet::note(path)).map(|line| format!("# {line}\n")).collect()
}

fn setting(key: &Key, path: &str, mark: &str) -> String {
    let (name, kind) = (key.name, key.type_text().replace('`', ""));
    let value = match (key.shape(), key.default) {
        (Shape::Map(keys), _) => {
            let inner =
                keys.iter().map(|key| setting(key, &format!("{path}.*.{}", key.name), "# "));
            format!("# [{path}.NAME]\n{}", inner.collect::<String>())
        }
        (_, Preset::Value(value)) => match value() {
            Some(value) => format!("{mark}{name} = {}\n", written(&value)),
            None => String::new(),
        },
        (_, Preset::Required) => format!("# {name} = … (must be given)\n"),
        (_, Preset::Unset(meaning)) => format!("# {name} = … (not set: {meaning})\n"),
    };
    format!("{}# {kind}\n{value}", comment(key, path))
}

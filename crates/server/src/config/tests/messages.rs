use proptest::prelude::*;

use super::*;

#[test]
fn unknown_keys_come_with_a_suggestion() {
    check(
        "[listen]\npubilc = \"127.0.0.1:80\"\n",
        r#"
error: unknown key `pubilc` in `listen`
 --> tidings.toml:2:1
  |
2 | pubilc = "127.0.0.1:80"
  | ^^^^^^ did you mean `public`?
  |
  = help: known are `public`, `admin`, `hosts` and `tls`
"#,
    );
    check(
        "[[stream]]\nname = \"news\"\ntopics = [\"news.>\"]\nretain = { colour = 5 }\n",
        r#"
error: unknown key `colour` in `stream.retain`
 --> tidings.toml:4:12
  |
4 | retain = { colour = 5 }
  |            ^^^^^^
  |
  = help: known are `count`, `age` and `bytes`
"#,
    );
    assert_eq!(titles("[[streams]]"), ["unknown key `streams`"]);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    check(
        "[log]\nlevel = \"verbose\"\nformat = 3\n[broker]\nkind = \"natz\"\n",
        r#"
error: `verbose` is not a log level
 --> tidings.toml:2:9
  |
2 | level = "verbose"
  |         ^^^^^^^^^ use `error`, `warn`, `info`, `debug` or `trace`

error: `format` must be one of `text` and `json`
 --> tidings.toml:3:10
  |
3 | format = 3
  |          ^ this is a whole number

error: `natz` is not a broker
 --> tidings.toml:5:8
  |
5 | kind = "natz"
  |        ^^^^^^ did you mean `nats`?
"#,
    );
}

#[test]
fn syntax_errors_point_at_the_text() {
    check(
        "[listen\npublic = \"x\"\n",
        r#"
error: unclosed table, expected `]`
 --> tidings.toml:1:8
  |
1 | [listen
  |        ^
"#,
    );
    let several = titles("[log]\nlevel = \n[log]\nlevel = 'info'\nx 5\n");
    assert!(several.len() >= 2, "{several:?}");
    assert_eq!(titles("[log]\nlevel = 'info'\nlevel = 'info'"), ["duplicate key"]);
}

/// Each line of the file alone, and the first line of what is said about it.
#[test]
fn values_of_the_wrong_kind() {
    for (text, expected) in [
        ("listen = 5", "`listen` must be a table"),
        ("[[listen]]", "`listen` must be a table"),
        ("[stream]", "`stream` must be a list of tables"),
        ("stream = 1", "`stream` must be a list"),
        ("[listen]\npublic = 8080", "`public` must be an address in quotes"),
        ("[listen]\npublic = \"8080\"", "`8080` is not an address"),
        ("[listen]\npublic = \"example.com:80\"", "`example.com:80` is not an address"),
        ("[server]\nworkers = 0", "`workers` must be between 1 and 1024"),
        ("[server]\nworkers = 1.5", "`workers` must be a whole number"),
        ("[server]\nworkers = \"4\"", "`workers` must be a whole number"),
        ("[server]\nworkers = -1", "`workers` must be a whole number"),
        ("[server]\nworkers = 99999999999", "`workers` must be at most 4_294_967_295"),
        ("[limits]\nconnections = 0", "`connections` must be between 1 and 10_000_000"),
        (
            "[limits]\nmessage_bytes = 99999999999999999999",
            "`message_bytes` must be a whole number",
        ),
        ("[limits]\nmessage_bytes = true", "`message_bytes` must be a size in quotes"),
        ("[limits]\nmessage_bytes = \"1B\"", "`message_bytes` must be between 1KiB and 64MiB"),
        ("[server]\nslow_timeout = 600", "`slow_timeout` must be a duration in quotes"),
        ("[server]\nslow_timeout = \"600\"", "`600` is not a duration"),
        ("[server]\nslow_timeout = 2026-01-01", "`slow_timeout` must be a duration in quotes"),
        ("[[stream]]\nname = \"Big News\"", "`Big News` is not a stream name"),
        ("[[stream]]\nname = \"$system\"", "`$system` is not a stream name"),
        ("[[stream]]\ntopics = [\"a\"]", "`stream` needs `name`"),
        ("[[stream]]\nname = \"a\"\ntopics = [\"a..b\"]", "`a..b` is not a pattern"),
        (
            "[[stream]]\nname = \"a\"\ntopics = [\"a\"]\nmax_rate = nan",
            "`max_rate` must be between 0.001 and 1000",
        ),
        ("[[endpoint]]\npath = \"ws\"", "`ws` is not a path"),
        ("[[endpoint]]\npath = \"/ws\"\norigins = [\"app\"]", "`app` is not a web origin"),
        ("[[endpoint]]\npath = \"/ws\"\ndialect = \"stduio\"", "`stduio` is not a dialect"),
        ("[[endpoint]]\npath = \"/ws\"\nlimits = { messages = \"fast\" }", "`fast` is not a rate"),
        (
            "[admin]\ntoken_env = \"not a name!\"",
            "`token_env` must be the name of an environment variable",
        ),
        ("[admin]\ntoken_env = \"NOWHERE\"", "the environment variable `NOWHERE` is not set"),
    ] {
        assert_eq!(titles(text), [expected], "{text}");
    }
}

#[test]
fn labels_say_what_to_write_instead() {
    check(
        "[listen]\npublic = \"8080\"\n[stream]\nname = \"a\"\n[server]\nworkers = -1\n",
        r#"
error: `8080` is not an address
 --> tidings.toml:2:10
  |
2 | public = "8080"
  |          ^^^^^^ write an IP address and a port, such as `127.0.0.1:8080`, or `0.0.0.0:8080` for every interface

error: `stream` must be a list of tables
 --> tidings.toml:3:1
  |
3 | [stream]
  | ^^^^^^^^ write `[[stream]]`

error: `workers` must be a whole number
 --> tidings.toml:6:11
  |
6 | workers = -1
  |           ^^ this is less than zero
"#,
    );
}

#[test]
fn passwords_are_masked_where_a_line_is_shown() {
    let text = "[redis]\nulr = \"redis://:hunter2@host\"\n";
    let errors = parse(text).unwrap_err();
    for shown in [errors.to_string(), format!("{errors:?}"), errors.render(true)] {
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("redis://:*******@host"), "{shown}");
    }
}

#[test]
fn wide_characters_keep_the_caret_in_place() {
    let errors =
        parse("[[stream]]\nname = \"news\"\ntopics = [\"größe.日本\", \"a b\"]").unwrap_err();
    let shown = errors.to_string();
    assert!(shown.contains("tidings.toml:3:23\n"), "{shown}");
}

#[test]
fn control_characters_of_a_file_do_not_reach_a_title() {
    let errors = titles("[log]\nlevel = \"a\\u001bb\\nc\"");
    assert_eq!(errors, ["`a\\u{1b}b\\nc` is not a log level"]);
}

/// A file of all sections, to be damaged.
const WHOLE: &str = r#"
[listen]
public = "127.0.0.1:8080"
hosts = ["größe.example", 'b']
[server]
workers = 1_0
slow_timeout = """10m"""
[[stream]]
name = "news"
topics = ["news.>", "日本.*"]
retain = { count = 5, age = "1h", bytes = 1e3 }
[[endpoint]]
path = "/ws"
limits = { messages = "5/s" }
[auth.roles."a b"]
publish = []
[redis]
url = "redis://:päss@host"
"#;

proptest! {
    #[test]
    fn no_file_makes_loading_or_its_messages_panic(text in any::<String>()) {
        if let Err(errors) = parse(&text) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn no_damage_makes_loading_or_its_messages_panic(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, "[\\[\\]{}=\",.# \na1é]{0,3}"), 1..4),
    ) {
        let mut letters: Vec<char> = WHOLE.chars().collect();
        for (at, length, instead) in cuts {
            let start = at.index(letters.len());
            let end = (start + length).min(letters.len());
            letters.splice(start..end, instead.chars());
        }
        match parse(&letters.into_iter().collect::<String>()) {
            Ok(loaded) => prop_assert!(!loaded.effective().contains("päss")),
            Err(errors) => prop_assert!(!errors.render(true).is_empty()),
        }
    }

    #[test]
    fn no_variable_makes_loading_or_its_messages_panic(
        name in "TIDINGS_[A-Z]{1,8}(__[A-Z1_]{0,8}){0,3}|TIDINGS_(STREAM|AUTH|ENDPOINT|LISTEN__HOSTS|AUTH__ROLES__X|LISTEN)",
        value in any::<String>(),
    ) {
        match load(&LoadOptions::default(), [(name, value)]) {
            Ok(loaded) => prop_assert!(loaded.warnings.titles().count() <= 1),
            Err(errors) => prop_assert!(!errors.to_string().is_empty()),
        }
    }
}

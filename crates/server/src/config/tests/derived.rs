use super::*;

/// With `UPDATE_DOCS` set, writes the page instead.
#[test]
fn configuration_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = reference_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/configuration.md differs from the settings' definitions; to write it again: \
         UPDATE_DOCS=1 cargo test -p tidings-server configuration_page"
    );
}

#[test]
fn every_setting_has_a_meaning_that_fits_a_table() {
    for line in reference_markdown().lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{line}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{line}");
        assert!(cells[4].ends_with(['.', '*']), "{line}");
    }
}

#[test]
fn the_reference_sets_nothing_but_defaults() {
    let reference = reference_toml();
    assert_eq!(parse(&reference).unwrap().config, parse("").unwrap().config);
    for expected in
        ["\npublic = \"127.0.0.1:8080\"\n", "\nconnections = 100_000\n", "\n# [[stream]]\n"]
    {
        assert!(reference.contains(expected), "{expected}");
    }
}

#[test]
fn programs_get_every_setting_with_its_default() {
    let settings: Vec<_> =
        reference_settings().iter().map(|setting| serde_json::to_value(setting).unwrap()).collect();
    let of = |key: &str| settings.iter().find(|setting| setting["key"] == key).unwrap();
    assert_eq!(of("limits.connections")["default"], 100_000);
    assert_eq!(of("stream.*.name")["required"], true);
    assert_eq!(of("stream.*.retain.count")["default"], serde_json::Value::Null);
    assert_eq!(of("auth.roles.*.subscribe")["takes_hold"], "reload");
    assert!(settings.iter().all(|it| it["meaning"].as_str().is_some_and(|it| !it.is_empty())));
}

#[test]
fn the_effective_configuration_says_where_values_came_from() {
    let text = "[log]\nlevel = \"debug\"\n[admin]\ntoken_env = \"T\"\n\n[[stream]]\nname = \"news\"\ntopics = [\"news.>\"]\nretain = { count = 5 }\n";
    let mut options = options(text);
    options.overrides.listen = Some("0.0.0.0:9000".to_owned());
    let env = variables(&[("TIDINGS_LIMITS__CONNECTIONS", "7"), ("T", "canary")]);
    let loaded = load(&options, env.clone()).unwrap();
    let effective = loaded.effective();
    for line in [
        "public = \"0.0.0.0:9000\"  # --listen",
        "admin = \"127.0.0.1:8081\"  # default",
        "level = \"debug\"  # tidings.toml:2",
        "token_env = \"T\"  # tidings.toml:4",
        "connections = 7  # TIDINGS_LIMITS__CONNECTIONS",
        "retain = { bytes = \"64MiB\", count = 5 }  # tidings.toml:9",
        "[auth.roles.anonymous]",
        "subscribe = [\">\"]  # default",
    ] {
        assert!(effective.lines().any(|found| found == line), "{line}\n{effective}");
    }
    assert!(!effective.contains("canary"));
    let values = loaded.values();
    for (path, value, origin) in [
        ("listen.public", "\"0.0.0.0:9000\"", "--listen"),
        ("limits.connections", "7", "TIDINGS_LIMITS__CONNECTIONS"),
        ("auth.roles.anonymous.subscribe", "[\">\"]", "default"),
        ("stream.0.name", "\"news\"", "tidings.toml:7"),
    ] {
        let found = values.iter().find(|(found, ..)| found == path).unwrap();
        assert_eq!((found.1.to_string().as_str(), found.2.as_str()), (value, origin), "{path}");
    }
    assert_eq!(loaded.origin("log.level"), "tidings.toml:2");
    assert_eq!(loaded.origin("stream.0.retain"), "tidings.toml:9");
    assert_eq!(loaded.origin("log.format"), "default");

    let again = load(&super::options(&effective), env);
    assert_eq!(again.unwrap().config.listen, loaded.config.listen);
}

#[test]
fn the_effective_configuration_can_be_read_back() {
    let text = "[server]\nworkers = 3\n[[stream]]\nname = \"a\"\ntopics = [\"a.>\", \"b\"]\nmax_rate = 2\n[[endpoint]]\npath = \"/ws\"\norigins = [\"null\"]\nlimits = { messages = \"5/s\" }\n[auth.roles.\"a b\"]\npublish = [\"x\"]\n[[source]]\nkind = \"host\"\n";
    let first = parse(text).unwrap();
    let effective = first.effective();
    assert_eq!(parse(&effective).unwrap().config, first.config);
}

use super::*;

fn profile(name: &str, text: &str) -> Profile {
    Profile { name: name.to_owned(), text: text.to_owned(), listen: None }
}

const STUDIO: &str = r#"
[log]
level = "debug"
[[stream]]
name = "studio"
topics = ["studio.>"]
[[endpoint]]
path = "/api/v1/ws"
listen = "127.0.0.1:8010"
heartbeat = "11s"
"#;

const TABLE: &str = r#"
[[endpoint]]
path = "/api/v1/ws"
listen = "127.0.0.1:8000"
heartbeat = "12s"
"#;

#[test]
fn later_sources_override_earlier_ones() {
    let mut options = options("[log]\nlevel = \"warn\"\n");
    let level = |options: &LoadOptions, env: &[(&str, &str)]| {
        load(options, variables(env)).unwrap().config.log.level
    };
    let none = LoadOptions::default();
    assert_eq!(level(&none, &[]), LogLevel::Info);
    let only_profile = LoadOptions { profiles: vec![profile("studio", STUDIO)], ..none };
    assert_eq!(level(&only_profile, &[]), LogLevel::Debug);
    options.profiles = only_profile.profiles;
    assert_eq!(level(&options, &[]), LogLevel::Warn);
    let env = [("TIDINGS_LOG__LEVEL", "error")];
    assert_eq!(level(&options, &env), LogLevel::Error);
    options.overrides.log_level = Some("trace".to_owned());
    assert_eq!(level(&options, &env), LogLevel::Trace);
}

#[test]
fn items_of_the_file_replace_those_of_profiles_as_a_whole() {
    let mut options = options(
        "[[stream]]\nname = \"studio\"\ntopics = [\"other.>\"]\n[[endpoint]]\npath = \"/api/v1/ws\"\n",
    );
    options.profiles = vec![profile("studio", STUDIO)];
    let config = load(&options, []).unwrap().config;
    assert_eq!(config.streams[0].topics[0].as_str(), "other.>");
    assert_eq!(config.streams.len(), 2);
    let [endpoint, _native] = config.endpoints.as_slice() else { panic!("two endpoints") };
    assert_eq!((endpoint.listen, endpoint.heartbeat), (None, Timespan::from_secs(30)));
}

#[test]
fn an_item_that_names_its_listener_replaces_only_there() {
    let mut options = options("[[endpoint]]\npath = \"/api/v1/ws\"\nlisten = \"127.0.0.1:8000\"\n");
    options.profiles = vec![profile("studio", STUDIO), profile("table", TABLE)];
    let config = load(&options, []).unwrap().config;
    let heartbeats: Vec<_> = config.endpoints.iter().map(|endpoint| endpoint.heartbeat).collect();
    assert_eq!(heartbeats, [11, 30, 30].map(Timespan::from_secs));
}

#[test]
fn profiles_move_alone_or_together() {
    let listeners = |options: &LoadOptions| -> Vec<String> {
        let config = load(options, []).unwrap().config;
        config.endpoints.iter().map(|endpoint| config.listener_of(endpoint).to_string()).collect()
    };
    let mut options =
        LoadOptions { profiles: vec![profile("studio", STUDIO)], ..LoadOptions::default() };
    assert_eq!(listeners(&options), ["127.0.0.1:8010", "127.0.0.1:8080"]);
    options.overrides.listen = Some("127.0.0.1:9000".to_owned());
    assert_eq!(listeners(&options), ["127.0.0.1:9000", "127.0.0.1:9000"]);
    options.profiles[0].listen = Some("127.0.0.1:9999".to_owned());
    assert_eq!(listeners(&options), ["127.0.0.1:9999", "127.0.0.1:9000"]);
}

#[test]
fn two_profiles_on_one_path_are_both_named() {
    let profiles = vec![profile("studio", STUDIO), profile("table", TABLE)];
    let mut options = LoadOptions { profiles, ..LoadOptions::default() };
    assert!(load(&options, []).is_ok());
    options.overrides.listen = Some("127.0.0.1:9000".to_owned());
    let errors = load(&options, []).unwrap_err();
    assert_eq!(
        errors.to_string(),
        r#"
error: two endpoints claim `/api/v1/ws` on 127.0.0.1:9000
 --> profile table:3:8
  |
3 | path = "/api/v1/ws"
  |        ^^^^^^^^^^^^ the second
  |
 ::: profile studio:8:8
  |
8 | path = "/api/v1/ws"
  |        ------------ the first
"#
        .trim()
    );
    options.overrides.listen = None;
    options.profiles = vec![profile("a", STUDIO), profile("b", STUDIO)];
    let errors = load(&options, []).unwrap_err();
    let titles: Vec<&str> = errors.titles().collect();
    assert_eq!(
        titles,
        ["two streams are named `studio`", "two endpoints claim `/api/v1/ws` on 127.0.0.1:8010"],
    );
}

#[test]
fn mistakes_on_the_command_line_show_the_option() {
    let mut options = LoadOptions::default();
    options.overrides.listen = Some("8080".to_owned());
    options.profiles = vec![Profile { listen: Some("x".to_owned()), ..profile("studio", STUDIO) }];
    let errors = load(&options, []).unwrap_err();
    let address = "write an IP address and a port, such as `127.0.0.1:8080`, or `0.0.0.0:8080` for every interface";
    assert_eq!(
        errors.to_string(),
        format!(
            r#"
error: `x` is not an address
 |
 | --profile studio@x
 |                  ^ {address}

error: `8080` is not an address
 |
 | --listen 8080
 |          ^^^^ {address}
"#
        )
        .trim()
    );
}

#[test]
fn the_file_must_be_there_unless_it_is_only_looked_for() {
    let dir = std::env::temp_dir().join(format!("tidings-config-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (there, missing) = (dir.join("tidings.toml"), dir.join("missing.toml"));
    std::fs::write(&there, "[log]\nlevel = \"debug\"\n").unwrap();
    let with = |file| LoadOptions { file, ..LoadOptions::default() };

    for file in [ConfigFile::Path(there.clone()), ConfigFile::IfPresent(there.clone())] {
        let loaded = load(&with(file), []).unwrap();
        assert_eq!(loaded.config.log.level, LogLevel::Debug);
        assert_eq!(loaded.file.as_ref(), Some(&there));
    }
    let loaded = load(&with(ConfigFile::IfPresent(missing.clone())), []).unwrap();
    assert_eq!(loaded.file, None);
    let errors = load(&with(ConfigFile::Path(missing.clone())), []).unwrap_err();
    let title = errors.titles().next().unwrap().to_owned();
    assert!(title.starts_with(&format!("cannot read {}: ", missing.display())), "{title}");

    std::fs::write(&there, "[log]\nlevel = 1\n").unwrap();
    let errors = load(&with(ConfigFile::Path(there.clone())), []).unwrap_err();
    assert!(errors.to_string().contains(&format!("--> {}:2:9", there.display())));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn syntax_errors_of_all_sources_come_together() {
    let mut options = options("[log\n");
    options.profiles = vec![profile("broken", "x =\n")];
    assert_eq!(load(&options, []).unwrap_err().count(), 2);
}

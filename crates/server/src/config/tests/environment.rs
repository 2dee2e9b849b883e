use super::*;

fn with(text: &str, env: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    load(&options(text), variables(env))
}

#[test]
fn variables_take_the_type_of_their_setting() {
    let env = [
        ("TIDINGS_LISTEN__PUBLIC", "0.0.0.0:9000"),
        ("TIDINGS_LISTEN__HOSTS", "a.example, b.example"),
        ("TIDINGS_SERVER__WORKERS", "2"),
        ("TIDINGS_SERVER__SLOW_TIMEOUT", "1m"),
        ("TIDINGS_LIMITS__CONNECTIONS", "10_000"),
        ("TIDINGS_LIMITS__BODY_BYTES", "65536"),
        ("TIDINGS_AUTH__ROLES__ANONYMOUS__SUBSCRIBE", "[\"a.>\", \"b.>\"]"),
        ("TIDINGS_AUTH__ROLES__ANONYMOUS__PUBLISH", ""),
        ("PATH", "/bin"),
    ];
    let loaded = with("", &env).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings.render(false));
    let config = loaded.config;
    assert_eq!(config.listen.public.to_string(), "0.0.0.0:9000");
    assert_eq!(config.listen.hosts[1].as_str(), "b.example");
    assert_eq!(config.server.worker_count(), 2);
    assert_eq!(config.server.slow_timeout, Timespan::from_mins(1));
    assert_eq!(config.limits.connections, 10_000);
    assert_eq!(config.limits.body_bytes, ByteSize::from_kib(64));
    assert_eq!(config.auth.roles["anonymous"].subscribe.len(), 2);
    assert_eq!(config.auth.roles["anonymous"].publish.len(), 0);
}

#[test]
fn variables_reach_items_by_name_or_path() {
    let text =
        "[[stream]]\nname = \"big-news\"\ntopics = [\"news.>\"]\nretain = { age = \"1h\" }\n";
    let env = [
        ("TIDINGS_STREAM__BIG_NEWS__PRIORITY", "-5"),
        ("TIDINGS_STREAM__BIG_NEWS__MAX_RATE", "0.5"),
        ("TIDINGS_STREAM__BIG_NEWS__RETAIN__COUNT", "7"),
        ("TIDINGS_STREAM__DEFAULT__RETAIN", "{ count = 3 }"),
        ("TIDINGS_ENDPOINT__V1_WS__HEARTBEAT", "5s"),
        ("TIDINGS_ENDPOINT__V1_WS__LIMITS__SUBSCRIPTIONS", "9"),
    ];
    let config = with(text, &env).unwrap().config;
    assert_eq!(config.streams[0].priority, -5);
    assert_eq!(config.streams[0].max_rate, Some(0.5));
    assert_eq!(config.streams[0].retain.count, Some(7));
    assert_eq!(config.streams[0].retain.age, Some(Timespan::from_hours(1)));
    assert_eq!(config.streams[1].retain.count, Some(3));
    assert_eq!(config.endpoints[0].heartbeat, Timespan::from_secs(5));
    assert_eq!(config.endpoints[0].limits.subscriptions, Some(9));
}

#[test]
fn a_whole_list_of_items_can_be_given_as_toml() {
    let items = "[{ name = \"news\", topics = [\"news.>\"] }, { name = \"b\", topics = [\"b\"] }]";
    let text = "[[stream]]\nname = \"b\"\ntopics = [\"old\"]\n";
    let config = with(text, &[("TIDINGS_STREAM", items)]).unwrap().config;
    let streams: Vec<&str> = config.streams.iter().map(|stream| stream.name.as_str()).collect();
    assert_eq!(streams, ["default", "news", "b"]);
    assert_eq!(config.streams[2].topics[0].as_str(), "b");
}

#[test]
fn mistakes_in_variables_show_the_variable() {
    let env = [
        ("TIDINGS_BROKER__KIND", "natz"),
        ("TIDINGS_SERVER__WORKERS", "many"),
        ("TIDINGS_STREAM__DEFAULT__TOPICS", "a, b..c"),
    ];
    assert_eq!(
        with("", &env).unwrap_err().to_string(),
        r#"
error: `natz` is not a broker
 |
 | TIDINGS_BROKER__KIND=natz
 |                      ^^^^ did you mean `nats`?

error: `workers` must be a whole number
 |
 | TIDINGS_SERVER__WORKERS=many
 |                         ^^^^ write digits, with `_` between them as you like

error: `b..c` is not a pattern
 |
 | TIDINGS_STREAM__DEFAULT__TOPICS=a, b..c
 |                                    ^^^^ a token is empty
"#
        .trim()
    );
    assert_eq!(
        with("", &[("TIDINGS_STREAM", "news")]).unwrap_err().to_string(),
        r#"
error: the variable of a whole section or list must hold TOML
 |
 | TIDINGS_STREAM=news
 |                ^^^^ such as `[{ … }]`
"#
        .trim()
    );
    let refused = with("", &[("TIDINGS_BROKER__KIND", "nats")]).unwrap_err();
    assert_eq!(
        refused.titles().collect::<Vec<_>>(),
        ["`broker.kind = \"nats\"` is not available in this version"],
    );
}

#[test]
fn variables_that_set_nothing_are_warned_of_and_their_values_not_shown() {
    let env = [
        ("TIDINGS_BROKER_KIND", "canary"),
        ("TIDINGS_LOG__LEVLE", "canary"),
        ("TIDINGS_STREAM__NOWS__PRIORITY", "canary"),
        ("TIDINGS_WHATEVER", "canary"),
        ("TIDINGS_TOKN", "canary"),
    ];
    let text = "[[stream]]\nname = \"news\"\ntopics = [\"news.>\"]\n";
    let loaded = with(text, &env).unwrap();
    assert_eq!(
        loaded.warnings.render(false),
        r#"
warning: the variable `TIDINGS_BROKER_KIND` sets nothing
 |
 | TIDINGS_BROKER_KIND
 | ^^^^^^^^^^^^^^^^^^^ did you mean `TIDINGS_BROKER__KIND`?

warning: the variable `TIDINGS_LOG__LEVLE` sets nothing
 |
 | TIDINGS_LOG__LEVLE
 | ^^^^^^^^^^^^^^^^^^ did you mean `TIDINGS_LOG__LEVEL`?

warning: the variable `TIDINGS_STREAM__NOWS__PRIORITY` sets nothing
 |
 | TIDINGS_STREAM__NOWS__PRIORITY
 | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ did you mean `TIDINGS_STREAM__NEWS__PRIORITY`?

warning: the variable `TIDINGS_TOKN` sets nothing
 |
 | TIDINGS_TOKN
 | ^^^^^^^^^^^^ did you mean `TIDINGS_TOKEN`?

warning: the variable `TIDINGS_WHATEVER` sets nothing
 |
 | TIDINGS_WHATEVER
 | ^^^^^^^^^^^^^^^^ sections and keys are joined by two underscores
"#
        .trim()
    );
    assert!(!format!("{loaded:?}").contains("canary"));
}

#[test]
fn variables_of_the_clients_and_those_that_settings_name_are_known() {
    let env = [
        ("TIDINGS_URL", "x"),
        ("TIDINGS_TOKEN", "x"),
        ("TIDINGS_ADMIN_URL", "x"),
        ("TIDINGS_ADMIN_TOKEN", "x"),
        ("TIDINGS_SECRET", "x"),
        ("TIDINGS_MY_TOKEN", "x"),
        ("TIDINGS_ADMIN__TOKEN_ENV", "TIDINGS_MY_TOKEN"),
    ];
    let loaded = with("", &env).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings.render(false));
}

#[test]
fn odd_variables_do_no_harm() {
    for name in [
        "TIDINGS_",
        "TIDINGS___",
        "TIDINGS_LOG__",
        "TIDINGS_LOG__LEVEL__X",
        "TIDINGS_STREAM__A",
        "TIDINGS_AUTH__ROLES____X",
    ] {
        let loaded = with("", &[(name, "x")]).unwrap();
        assert_eq!(loaded.warnings.titles().count(), 1, "{name}");
    }
}

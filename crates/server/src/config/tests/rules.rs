use super::*;

#[test]
fn an_admin_listener_that_others_reach_needs_a_token() {
    check(
        "[listen]\nadmin = \"0.0.0.0:8081\"\n",
        r#"
error: the admin listener 0.0.0.0:8081 is open to others and has no token
 --> tidings.toml:2:9
  |
2 | admin = "0.0.0.0:8081"
  |         ^^^^^^^^^^^^^^ not a loopback address
  |
  = help: set `admin.token_env` to the name of a variable that holds a token
"#,
    );
    let text = "[listen]\nadmin = \"0.0.0.0:8081\"\n[admin]\ntoken_env = \"T\"\n";
    let loaded = load(&options(text), variables(&[("T", "canary")])).unwrap();
    assert_eq!(loaded.config.admin.token_env.as_ref().unwrap().reveal(), "canary");
    assert!(!format!("{loaded:?}").contains("canary"));
    assert!(parse("[listen]\nadmin = \"[::1]:8081\"\n").is_ok());
    // An empty variable is no token.
    assert!(load(&options(text), variables(&[("T", "")])).is_err());
}

#[test]
fn listeners_must_not_clash() {
    for (text, expected) in [
        ("public = '127.0.0.1:8081'", "clients and the admin listener cannot share port 8081"),
        ("public = '0.0.0.0:8081'", "clients and the admin listener cannot share port 8081"),
        ("public = '127.0.0.1:0'\nadmin = '127.0.0.1:0'", ""),
        ("public = '[::]:8081'", ""),
        (
            "[[endpoint]]\npath = '/ws'\nlisten = '127.0.0.1:8081'",
            "`/ws` and the admin listener cannot share port 8081",
        ),
    ] {
        let expected: Vec<&str> =
            Some(expected).into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(titles(&format!("[listen]\n{text}")), expected, "{text}");
    }
}

#[test]
fn the_most_specific_pattern_wins_and_ties_are_errors() {
    let streams = |patterns: &[&str]| -> String {
        let stream = |(at, pattern): (usize, &&str)| {
            format!("[[stream]]\nname = \"s{at}\"\ntopics = [\"{pattern}\"]\n")
        };
        patterns.iter().enumerate().map(stream).collect()
    };
    for patterns in [
        &["a.>", "a.b"][..],
        &["a.b", "a.>", "a.*"],
        &["a.>", "b.>"],
        &["*.x", "a.x"],
        // Whoever wants everything may have it; `default` is left with nothing.
        &[">", "a.>"],
        &["a.*.c", "a.b.d"],
    ] {
        assert_eq!(titles(&streams(patterns)), Vec::<String>::new(), "{patterns:?}");
    }
    for (patterns, expected) in [
        (&["a.>", "a.>"][..], "two streams capture `a.>`"),
        (&[">", ">"], "two streams capture `>`"),
        (&["a.*", "*.b"], "`a.*` and `*.b` share topics, and neither is within the other"),
        (&["*.b.>", "a.>"], "`*.b.>` and `a.>` share topics, and neither is within the other"),
        (&["a.$x", "$x.>"], "`$x.>` selects topics of the system"),
        (&["a.b>"], "`a.b>` captures by a part of a token"),
    ] {
        assert_eq!(titles(&streams(patterns)), [expected], "{patterns:?}");
    }
}

#[test]
fn both_patterns_of_a_tie_are_shown() {
    check(
        "[[stream]]\nname = \"logs\"\ntopics = [\"x\", \"*.log\"]\n\n[[stream]]\nname = \"app\"\ntopics = [\"app.*\"]\n",
        r#"
error: `*.log` and `app.*` share topics, and neither is within the other
 --> tidings.toml:7:11
  |
3 | topics = ["x", "*.log"]
  |                ------- of stream `logs`
...
7 | topics = ["app.*"]
  |           ^^^^^^^ of stream `app`
"#,
    );
}

#[test]
fn a_stream_that_takes_everything_leaves_nothing_to_default() {
    let config = parse("[[stream]]\nname = \"all\"\ntopics = [\">\"]").unwrap().config;
    let default = config.streams.iter().find(|stream| stream.is_default()).unwrap();
    assert!(default.topics.is_empty());
}

#[test]
fn the_default_stream_can_be_given_other_limits_but_not_topics() {
    let config = parse("[[stream]]\nname = \"default\"\nretain = { count = 5 }").unwrap().config;
    let [default] = config.streams.as_slice() else { panic!("one stream") };
    assert_eq!(default.topics[0].as_str(), ">");
    assert_eq!(default.retain.count, Some(5));
    // What `retain` doesn't name doesn't hold, except bytes.
    assert_eq!(default.retain.age, None);
    assert_eq!(default.retain.bytes, ByteSize::from_mib(64));
    assert_eq!(
        titles("[[stream]]\nname = \"default\"\ntopics = [\"a\"]"),
        ["the stream `default` captures what no other stream does"],
    );
}

#[test]
fn streams_have_names_of_their_own_topics_and_one_way_to_deliver() {
    let stream = |more: &str| format!("[[stream]]\nname = \"a\"\n{more}\n");
    let twice = stream("topics = ['a.>']") + &stream("topics = ['b.>']");
    assert_eq!(titles(&twice), ["two streams are named `a`"]);
    assert_eq!(titles(&stream("")), ["stream `a` captures nothing"]);
    assert_eq!(
        titles(&stream("topics = ['a.>']\ndeliver = 'every'\nmax_rate = 5")),
        ["stream `a` delivers every event, so it has no rate"],
    );
    let paced = parse(&stream("topics = ['a.>']\nmax_rate = 0.5")).unwrap().config;
    assert_eq!(paced.streams[0].mode().interval_ms, 2_000);
}

#[test]
fn a_path_is_claimed_once_per_listener() {
    check(
        "[[endpoint]]\npath = \"/ws\"\n[[endpoint]]\npath = \"/ws\"\nlisten = \"localhost:8080\"\n",
        r#"
error: two endpoints claim `/ws` on 127.0.0.1:8080
 --> tidings.toml:4:8
  |
2 | path = "/ws"
  |        ----- the first
3 | [[endpoint]]
4 | path = "/ws"
  |        ^^^^^ the second
"#,
    );
    let apart =
        "[[endpoint]]\npath = \"/ws\"\n[[endpoint]]\npath = \"/ws\"\nlisten = \"127.0.0.1:9000\"\n";
    assert_eq!(titles(apart), Vec::<String>::new());
    let aliases =
        "[[endpoint]]\npath = \"/a\"\naliases = [\"/b\", \"/c\"]\n[[endpoint]]\npath = \"/c\"\n";
    let both = format!("{aliases}aliases = [\"/b\"]\n");
    assert_eq!(titles(&both), ["two endpoints claim `/b` on 127.0.0.1:8080"]);
    // An endpoint of its own has precedence over an alias, such as one of a profile.
    let config = parse(aliases).unwrap().config;
    let first = config.endpoints.iter().find(|one| one.path.as_str() == "/a").unwrap();
    assert_eq!(first.aliases.iter().map(EndpointPath::as_str).collect::<Vec<_>>(), ["/b"]);
    let native = "[[endpoint]]\npath = \"/a\"\naliases = [\"/v1/ws\"]\n";
    assert_eq!(titles(native), ["`/v1/ws` is an endpoint of its own, and no alias"]);
}

#[test]
fn what_clients_may_name_can_be_a_topic() {
    let named = |name: &str| {
        titles(&format!(
            "[[endpoint]]\npath = \"/t\"\ndialect = \"table\"\nroot = \"table\"\nnames = [\"a\", \"{name}\"]\n"
        ))
    };
    assert_eq!(named("foul.late"), Vec::<String>::new());
    for wrong in ["", "a b", "*", "a."] {
        let titles = named(wrong);
        assert!(
            titles[0].starts_with(&format!("`{wrong}` cannot be a name of events: ")),
            "{titles:?}"
        );
    }
}

#[test]
fn an_endpoint_of_the_same_path_overrides_the_built_in_one() {
    for listen in ["", "listen = \"127.0.0.1:8080\""] {
        let text = format!("[[endpoint]]\npath = \"/v1/ws\"\nheartbeat = \"5s\"\n{listen}");
        let config = parse(&text).unwrap().config;
        let [endpoint] = config.endpoints.as_slice() else { panic!("one endpoint") };
        assert_eq!(endpoint.heartbeat, Timespan::from_secs(5));
    }
}

#[test]
fn what_must_survive_needs_a_directory() {
    check(
        "[[stream]]\nname = \"a\"\ntopics = [\"a\"]\ndurability = \"fsync\"\n",
        r#"
error: stream `a` has no directory to be kept in
 --> tidings.toml:4:14
  |
4 | durability = "fsync"
  |              ^^^^^^^ what is in memory survives nothing
  |
  = help: set `broker.dir` (or `--data`) to a directory
"#,
    );
}

#[test]
fn with_a_directory_streams_are_buffered_unless_they_say() {
    let stream = |name: &str, more: &str| {
        format!("[[stream]]\nname = \"{name}\"\ntopics = [\"{name}\"]\n{more}")
    };
    let streams = stream("a", "") + &stream("b", "durability = \"memory\"\n") + &stream("c", "");
    let of = |text: &str| -> Vec<Option<Durability>> {
        parse(text).unwrap().config.streams.iter().map(|stream| stream.durability).collect()
    };
    use Durability::{Buffered, Memory};
    let with = format!("[broker]\ndir = \"./data\"\n{streams}");
    assert_eq!(of(&with), [Some(Buffered), Some(Memory), Some(Buffered), Some(Memory)]);
    assert_eq!(of(&streams), [Some(Memory); 4]);
}

#[test]
fn publishers_wait_for_a_device_that_can_exist() {
    let stream = |wait_for: &str| {
        format!("[[stream]]\nname = \"audio\"\ntopics = [\"audio.>\"]\nwait_for = {wait_for}\n")
    };
    check(
        &stream("{ device = \"\" }"),
        r#"
error: stream `audio` waits for a device that cannot exist
 --> tidings.toml:4:23
  |
4 | wait_for = { device = "" }
  |                       ^^ 1 to 255 bytes without control characters
"#,
    );
    for (wrong, expected) in [
        ("{ bytes = \"1MiB\" }", "`stream.wait_for` needs `device`"),
        ("{ device = \"a\", bytes = \"0B\" }", "`bytes` must be between 1B and 1GiB"),
        ("{ device = \"a\", bytes = \"2GiB\" }", "`bytes` must be between 1B and 1GiB"),
        ("{ device = \"a\", size = 1 }", "unknown key `size` in `stream.wait_for`"),
    ] {
        assert_eq!(titles(&stream(wrong)), [expected], "{wrong}");
    }
    let config = parse(&stream("{ device = \"recognizer\" }")).unwrap().config;
    let wait_for = config.streams.iter().find_map(|stream| stream.wait_for.clone()).unwrap();
    assert_eq!((&*wait_for.device, wait_for.bytes.as_bytes()), ("recognizer", 1 << 20));
}

#[test]
fn a_source_says_what_it_reads_and_where() {
    let remotes = "[nats]\nurl = 'nats://h'\n[redis]\nurl = 'redis://h'\n";
    for (source, expected) in [
        ("kind = 'nats'\nsubjects = ['a.>']\nroot = 'r'\nuser = '/a~1b/0'", ""),
        ("kind = 'redis'\nchannels = ['a*']\nstreams = ['b']", ""),
        ("kind = 'system'\nroot = 'r'", ""),
        ("kind = 'nats'", "a source of kind `nats` needs `subjects`"),
        ("kind = 'redis'", "a source of kind `redis` needs `channels` or `streams`"),
        ("kind = 'system'", "a source of kind `system` needs `root`"),
        ("kind = 'host'\nsubjects = ['a']", "a source of kind `host` has no `subjects`"),
        ("kind = 'host'\nuser = '/a'", "a source of kind `host` has no `user`"),
        ("kind = 'redis'\nchannels = ['']", "a channel or stream has no name"),
        ("kind = 'redis'\nstreams = ['a']\nuser = 'a'", "`user` must be a JSON pointer"),
        ("kind = 'redis'\nstreams = ['a']\nuser = '/~2'", "`user` must be a JSON pointer"),
        ("kind = 'nats'\nsubjects = ['a.b>']", "NATS has no subjects that begin like this"),
    ] {
        let expected: Vec<&str> =
            Some(expected).into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(titles(&format!("{remotes}[[source]]\n{source}\n")), expected, "{source}");
    }
    for source in ["kind = 'nats'\nsubjects = ['a']", "kind = 'redis'\nchannels = ['a']"] {
        let titles = titles(&format!("[[source]]\n{source}\n"));
        assert!(titles[0].ends_with("has no server"), "{titles:?}");
    }
}

#[test]
fn urls_of_remote_parts_are_checked_and_their_passwords_not_shown() {
    for (text, title) in [
        ("[nats]\nurl = 'http://u:canary@h'", "`nats.url` is not the URL of a NATS server"),
        ("[nats]\nurl = 'nats://u:canary@h:port'", "`nats.url` is not the URL of a NATS server"),
        ("[redis]\nurl = 'http://u:canary@h'", "`redis.url` is not the URL of a Redis server"),
        ("[redis]\nurl = 'rediss://u:canary@h'", "`redis.url` is not the URL of a Redis server"),
    ] {
        let errors = parse(text).expect_err("this should be refused");
        assert_eq!(errors.titles().collect::<Vec<_>>(), [title]);
        assert!(!errors.to_string().contains("canary"), "{errors}");
    }
}

#[test]
fn a_schema_that_is_wrong_is_told_with_its_place() {
    let folder = std::env::temp_dir().join(format!("tidings-schema-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("good.json"), "{\"type\":\"object\"}").unwrap();
    std::fs::write(folder.join("bad.json"), "{\"type\":\n\"strnig\"}").unwrap();
    let file = folder.join("tidings.toml");
    let with = |schema: &str| {
        std::fs::write(&file, format!("[[schema]]\ntopics = ['a']\nfile = '{schema}'\n")).unwrap();
        load(&LoadOptions { file: ConfigFile::Path(file.clone()), ..LoadOptions::default() }, [])
    };
    // Beside the file, wherever the process stands.
    assert_eq!(with("good.json").unwrap().config.schemas.len(), 1);
    let wrong = with("bad.json").unwrap_err().to_string();
    assert!(wrong.contains("`bad.json` is not a JSON Schema"), "{wrong}");
    assert!(wrong.contains("tidings.toml:3:8") && wrong.contains("strnig"), "{wrong}");
    let missing = with("missing.json").unwrap_err().to_string();
    assert!(missing.contains("cannot read `missing.json`"), "{missing}");
    std::fs::remove_dir_all(folder).unwrap();
}
